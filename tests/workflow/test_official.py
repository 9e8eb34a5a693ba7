"""A workflow on imitations of published sets: corruptions, a partial shift, ObjectNet."""

import json

import numpy as np
import pytest
from PIL import Image

import lpclip
from lpclip.data import imagenet
from lpclip.transforms.corruptions.registry import SEVERITIES
from tests.helpers import copy_workflow
from tests.helpers.runs import snakemake, write

CORRUPTIONS = {"noise": ["gaussian_noise"], "weather": ["fog"]}
CLASSES = {"n01440764": 0, "n01443537": 1, "n02708093": 409, "n03196217": 530}
N = 2  # images per class

CONFIG = {
    "seeds": [0],
    "compute": {"threads": 1},
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
    "datasets": {
        "val": {"source": {"kind": "folder", "root": "data/val"}},
        "imagenet-c": {"source": {"kind": "imagenet_c", "root": "data/c"}},
        "imagenet-r": {"source": {"kind": "folder", "root": "data/r"}, "published": "imagenet_r"},
        "foreign": {"source": {"kind": "folder", "root": "data/foreign"}},
    },
    "benchmarks": {
        "imagenet": {
            "class_names": list(imagenet.synsets()),
            "templates": ["{}."],
            "adapt": "val",
            "test": "val",
            "corruptions": [],
            "official_corruptions": "imagenet-c",
            "shifts": ["imagenet-r"],
            "ood": {"far": ["foreign"]},
        }
    },
    "labellings": {},
    "methods": {"zero_shot": {"kind": "zero_shot"}},
}


def write_images(root, classes):
    random = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(N):
            pixels = random.integers(256, size=(32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name}_{i}.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("official")
    copy_workflow(folder)
    write_images(folder / "data/val", CLASSES)
    write_images(folder / "data/r", list(CLASSES)[:3:2])
    write_images(folder / "data/foreign", ["a", "b", "c"])
    for corruption in (name for names in CORRUPTIONS.values() for name in names):
        for severity in SEVERITIES:
            write_images(folder / f"data/c/{corruption}/{severity}", CLASSES)
    write(folder, CONFIG)
    snakemake(folder, "results/report.html")
    return folder


def accuracy(folder, view, labels, classes=None, dataset="val"):
    """Compute it by hand for the zero-shot head on a cache's features."""
    probe = lpclip.load_probe(folder / "results/tiny/imagenet/zero_shot/probes.h5")
    name, _, version = view.partition("/")
    views = "clean" if name == "clean" else next(f for f, n in CORRUPTIONS.items() if name in n)
    frame = lpclip.read_frame(
        folder / f"cache/tiny/images/{dataset}/{views}.h5", view=name, version=int(version or 1) - 1
    )
    logits = probe.logits(frame.filter(regex=r"^d\d+$").to_numpy())
    if classes is not None:
        outside = np.setdiff1d(np.arange(1000), classes)
        logits[:, outside] = -np.inf
    kept = np.isin(labels, classes) if classes is not None else np.full(len(labels), True)
    return np.mean(logits.argmax(axis=1)[kept] == np.array(labels)[kept])


def test_official_rows_are_of_the_published_files(finished):
    table = lpclip.read_report(finished / "results/robustness.csv")
    official = table[table["source"] == "official"]
    assert len(official) == 2 * len(SEVERITIES)
    assert set(official["dataset"]) == {"imagenet-c"}
    assert "generated" not in set(table["source"])
    labels = np.repeat(list(CLASSES.values()), N)
    for row in official.to_dict("records"):
        view = f"{row['shift']}/{row['severity']}"
        assert row["accuracy"] == accuracy(finished, view, labels, dataset="imagenet-c")
        assert row["n"] == len(labels)


def test_a_shift_of_some_classes_stands_beside_clean_images_of_the_same(finished):
    table = lpclip.read_report(finished / "results/robustness.csv")
    shift = table[table["shift"] == "imagenet-r"].iloc[0]
    clean = table[table["family"] == "clean"].set_index("subset")
    own = [0, 409]
    labels = np.repeat(own, N)
    assert shift["accuracy"] == accuracy(finished, "clean", labels, own, dataset="imagenet-r")
    of_val = np.repeat(list(CLASSES.values()), N)
    assert clean.loc["imagenet-r", "accuracy"] == accuracy(finished, "clean", of_val, own)
    assert clean.loc["", "accuracy"] == accuracy(finished, "clean", of_val)
    assert list(clean["n"]) == [len(of_val), len(labels)]


def test_means_need_all_corruptions_and_fits_all_classes(finished):
    shifts = lpclip.read_report(finished / "results/shifts.csv")
    assert {"clean", "official", "natural"} == set(shifts["source"])
    assert "standard_corruptions" not in set(shifts["shift"])
    assert shifts["effective_robustness"].isna().all()
    log = next(finished.glob("logs/evaluate/tiny/imagenet/zero_shot/imagenet-r/*.log")).read_text()
    assert "no effective robustness: imagenet_r has 200 classes, this set 2" in log


def test_classes_of_a_foreign_set_do_not_matter(finished):
    table = lpclip.read_report(finished / "results/ood.csv")
    assert set(table["n_ood"]) == {3 * N}


def test_the_page_shows_the_published_files(finished):
    pictures = json.loads((finished / "results/tiny/imagenet/pictures.json").read_text())
    shown = {one["name"]: list(one["images"]) for one in pictures["official_examples"]}
    assert shown == {
        name: list(map(str, SEVERITIES)) for names in CORRUPTIONS.values() for name in names
    }
    page = (finished / "results/report.html").read_text()
    assert all(
        image in page for one in pictures["official_examples"] for image in one["images"].values()
    )
