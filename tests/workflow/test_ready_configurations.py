"""The ready-made configurations run on small images in the layouts that they describe."""

import pickle
import re

import numpy as np
import open_clip
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from snakemake.utils import update_config

import lpclip
from lpclip.config.check import complete
from lpclip.methods.registry import sees_labels
from lpclip.models import tiny
from tests.helpers import ROOT
from tests.helpers.published_sets import write_cifar_c, write_imagenet_c, write_objectnet
from tests.helpers.runs import snakemake

READY = ("cifar10", "cifar100", "imagenet", "folder")
WNIDS = ["n01440764", "n01443537", "n02708093", "n03196217"]
CORRUPTIONS = ["fog"]

# Added to the configurations: a small model and little work. Their datasets are unchanged.
SMALL = {
    "seeds": [0],
    "compute": {"threads": 1, "workers": 0},
    "views": {"weak": {"versions": 1}, "strong": {"versions": 1}},
    "models": {"ViT-B-32": {"architecture": "lpclip-tiny", "pretrained": "mine.safetensors"}},
    "methods": {"lp_clip": {"kind": "self_training", "labelling": "auto", "rounds": 1}},
    "benchmarks": {
        "imagenet": {
            "templates": ["a photo of a {}."],
            "ood": {"far": ["inaturalist", "textures"]},  # the rest have the same layout
        }
    },
}
# torchvision compares files with the sums of the published ones, which look-alikes cannot have.
EASIER = """
import sys
from pathlib import Path

for name, module in list(sys.modules.items()):
    if name.startswith("torchvision.datasets.") and hasattr(module, "check_integrity"):
        module.check_integrity = lambda path, md5=None: Path(path).is_file()
"""


def pixels(*seed, size=32):
    return np.random.default_rng(seed).integers(256, size=(size, size, 3), dtype=np.uint8)


def write_images(root, classes=("",), n=2, ending="jpg"):
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            Image.fromarray(pixels(c, i, size=40)).save(root / name / f"{name}_{i}.{ending}")


def write_pickle(path, content):
    """Write a pickle like the published files of CIFAR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def rows(labels):
    """Return images in CIFAR's layout, ``[N, 3072]``."""
    return np.stack([pixels(i, label).reshape(-1) for i, label in enumerate(labels)])


def write_cifar(root):
    """Write imitations of CIFAR-10, CIFAR-100 and SVHN."""
    ten, hundred = (
        yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())["benchmarks"][name]
        for name in ("cifar10", "cifar100")
    )
    folder = root / "cifar-10-batches-py"
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        labels = np.arange(10).tolist()
        write_pickle(folder / name, {"data": rows(labels), "labels": labels})
    write_pickle(folder / "batches.meta", {"label_names": ten["class_names"]})
    folder = root / "cifar-100-python"
    for name in ("train", "test"):
        labels = np.arange(100).tolist()
        write_pickle(folder / name, {"data": rows(labels), "fine_labels": labels})
    names = [name.replace(" ", "_") for name in hundred["class_names"]]
    write_pickle(folder / "meta", {"fine_label_names": names})
    images = np.stack([pixels(i) for i in range(5)], axis=-1)
    savemat(root / "test_32x32.mat", {"X": images, "y": np.array([[1], [10], [3], [2], [5]])})


def write_imagenet(root):
    write_images(root / "imagenet/train", WNIDS, n=3, ending="JPEG")
    for name in ("imagenet/val", "imagenet-a", "imagenet-r", "sketch"):
        write_images(root / name, WNIDS[:3] if name == "imagenet-a" else WNIDS)
    write_images(root / "imagenetv2-matched-frequency-format-val", map(str, range(1000)), n=1)
    write_imagenet_c(root / "imagenet-c", CORRUPTIONS, WNIDS[:2], size=32)
    write_objectnet(root / "objectnet-1.0")
    for name in ("iNaturalist", "SUN", "Places"):
        write_images(root / name / "images")
    write_images(root / "dtd/images", ["banded", "woven"])


def write_weights(path):
    """Write random weights of the small model: its trained ones treat most words alike."""
    open_clip.add_model_config(tiny.CONFIG)
    torch.manual_seed(0)
    save_file(open_clip.create_model(tiny.ARCHITECTURE).state_dict(), path)


def write_photos(root):
    write_images(root / "unlabelled", ["holidays", "2019 – été"], n=6)
    (root / "unlabelled/broken.jpg").write_bytes(b"no image")
    write_images(root / "test", ["cat", "dog", "bicycle"])


def write_edited(path):
    """Write configs/folder.yaml with all its edits made and its benchmark renamed."""
    text, edits = re.subn(
        r"^( +)# (test:.*|  source:.*|  on_bad_image:.*|corruptions:.*)$",
        r"\1\2",
        (ROOT / "configs/folder.yaml").read_text(),
        flags=re.MULTILINE,
    )
    assert edits == 5
    path.write_text(text.replace("  mine:", "  measured:"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Imitations of all datasets, in the folders that the configurations name."""
    folder = tmp_path_factory.mktemp("ready")
    write_cifar(folder / "data")
    write_cifar_c(folder / "data/CIFAR-10-C", np.arange(10), CORRUPTIONS)
    write_cifar_c(folder / "data/CIFAR-100-C", np.arange(100), CORRUPTIONS)
    (folder / "data/CIFAR-10.1").mkdir()
    np.save(folder / "data/CIFAR-10.1/cifar10.1_v6_labels.npy", np.arange(4))
    images = np.stack([pixels(i) for i in range(4)])
    np.save(folder / "data/CIFAR-10.1/cifar10.1_v6_data.npy", images)
    write_imagenet(folder / "data")
    write_photos(folder / "photos")
    write_weights(folder / "mine.safetensors")
    write_edited(folder / "edited.yaml")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    (folder / "easier.py").write_text(EASIER)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """Reports by name, of one run of all configurations, since starting jobs dominates the time."""
    files = [*(ROOT / f"configs/{name}.yaml" for name in READY), "edited.yaml", "small.yaml"]
    snakemake(
        folder,
        *("--cores", "2", "--snakefile", ROOT / "Snakefile", "--configfile", *files),
        *("--", "results/report.csv"),
        LPCLIP_WARM_PATCH=str(folder / "easier.py"),
    )
    names = ("report", "robustness", "ood", "rounds", "per_class", "skipped")
    return {name: lpclip.read_report(folder / f"results/{name}.csv") for name in names}


def of(table, benchmark):
    return table[table["benchmark"] == benchmark]


@pytest.fixture
def merged(folder, monkeypatch):
    """Return a function that merges configurations as Snakemake does and completes them."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda *_: True)

    def complete_all(*names):
        config = {}
        for name in names:
            update_config(config, yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text()))
        return complete(config)

    return complete_all


@pytest.mark.parametrize("name", READY)
def test_a_configuration_is_complete_by_itself(merged, name):
    completed = merged(name)
    assert not any(sees_labels(method.kind) for method in completed.methods.values())
    # Everything that is defined is used.
    used = {name for one in completed.benchmarks.values() for name in one.datasets}
    assert set(completed.datasets) == used


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_supervised_heads_and_all_baselines_can_follow_cifar(merged, name):
    alone = merged(name)
    both = merged(name, "supervised")
    assert list(both.methods) == [*alone.methods, "supervised"]
    assert both.labellings == alone.labellings
    more = merged(name, "supervised", "baselines", "ablations").methods
    assert {"supervised", "few_shot_16", "lp_clip_soft"} <= set(more)


@pytest.mark.parametrize(("n_classes", "shifts"), [(10, {"cifar10.1"}), (100, set())])
def test_cifar_has_published_corruptions_shifts_and_foreign_sets(found, n_classes, shifts):
    name, other = f"cifar{n_classes}", f"cifar{110 - n_classes}"
    table, ood = of(found["robustness"], name), of(found["ood"], name)
    assert of(found["report"], name)["accuracy"].between(0, 1).all()
    assert set(table["dataset"]) == {f"{name}-test", f"{name}-c", *shifts}
    assert set(table.loc[table["source"] == "official", "dataset"]) == {f"{name}-c"}
    assert dict(zip(ood["dataset"], ood["group"], strict=True)) == {
        f"{other}-test": "near",
        "svhn-test": "far",
    }


def test_imagenet_has_published_corruptions_shifts_and_foreign_sets(found):
    table = of(found["robustness"], "imagenet")
    assert table.loc[table["subset"] == ""].groupby("dataset")["n"].max().to_dict() == {
        "imagenet-val": 8,
        "imagenet-c": 4,
        "imagenet-v2": 1000,
        "imagenet-a": 6,
        "imagenet-r": 8,
        "imagenet-sketch": 8,
        "objectnet": 6,
    }
    foreign = of(found["ood"], "imagenet")
    assert set(foreign["dataset"]) == {"inaturalist", "textures"}


def test_images_of_ones_own_need_no_label(found):
    report = of(found["report"], "mine")
    assert len(report) == 1
    assert report["accuracy"].isna().all()
    assert of(found["robustness"], "mine")["confidence"].between(0.3, 1).all()
    assert list(found["skipped"]["path"]) == ["photos/unlabelled/broken.jpg"]


def test_images_of_ones_own_are_tested_where_a_test_set_is_given(found):
    assert of(found["report"], "measured")["accuracy"].between(0, 1).all()
    assert set(of(found["robustness"], "measured")["dataset"]) == {"test"}
    assert sorted(of(found["per_class"], "measured")["class_name"]) == ["bicycle", "cat", "dog"]
