"""configs/whurs19.yaml reads features in the layout of the published clone, whole and in halves."""

import re
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
import torch
import yaml

from lpclip.config.check import complete
from lpclip.data.index import index_samples
from lpclip.data.subsets import Stratified
from lpclip.features.imported import copy_features, copy_text
from lpclip.methods.registry import sees_labels
from lpclip.models.spec import ModelSpec
from lpclip.storage.features import read_features
from lpclip.storage.samples import read_samples
from lpclip.storage.text import read_head
from tests.helpers import ROOT
from tests.helpers.runs import snakemake

CONFIG = ROOT / "configs/whurs19.yaml"
N_CLASSES, DIM = 19, 8
SIZES = [4 + label % 3 for label in range(N_CLASSES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small clone in it."""
    folder = tmp_path_factory.mktemp("whurs19")
    place = folder / "data/RS-TransCLIP/results/WHURS19/CLIP/ViT-B-32"
    place.mkdir(parents=True)
    torch.manual_seed(0)
    labels = torch.arange(N_CLASSES).repeat_interleave(torch.tensor(SIZES))
    labels = labels[torch.randperm(len(labels))]
    images = torch.nn.functional.normalize(torch.randn(len(labels), DIM), dim=1)
    save_from_gpu(images.half(), place / "images.pt")
    torch.save(labels, place / "classes.pt")
    text = torch.nn.functional.normalize(torch.randn(N_CLASSES, DIM), dim=1)
    save_from_gpu(text.half(), place / "texts_averageprompt.pt")
    save_from_gpu(text.half(), place / "texts_a_satellite_image_of_a.pt")
    return folder


def save_from_gpu(tensor, path):
    """Save a tensor as torch.save does if it is on a GPU, as those of the clone were."""
    torch.save(tensor, path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if name.endswith("data.pkl"):
                on_cpu, on_gpu = (
                    b"X" + len(d).to_bytes(4, "little") + d for d in (b"cpu", b"cuda:0")
                )
                assert content.count(on_cpu) == 1
                content = content.replace(on_cpu, on_gpu)
            archive.writestr(name, content)


@pytest.fixture
def written(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return yaml.safe_load(CONFIG.read_text())


def test_the_configuration_is_complete_and_no_method_sees_a_label(written):
    checked = complete(written)
    assert set(checked.benchmarks) == {"whurs19", "whurs19_transductive"}
    assert set(checked.labelled) == set(checked.benchmarks)
    used = {name for one in checked.benchmarks.values() for name in one.datasets}
    assert set(checked.datasets) == used
    assert not any(sees_labels(method.kind) for method in checked.methods.values())
    assert len(checked.methods) == 5
    assert all(len(one.class_names) == N_CLASSES for one in checked.benchmarks.values())


def test_the_halves_share_no_image_and_are_together_all_of_every_class(written, tmp_path):
    found = {}
    for name, dataset in written["datasets"].items():
        how = dataset.get("stratified")
        index_samples(
            output=tmp_path / f"{name}.h5",
            dataset=name,
            source=dataset["source"],
            stratified=None if how is None else Stratified(**how),
        )
        found[name] = read_samples(tmp_path / f"{name}.h5", labels=True)
    whole, adapt, test = (found[name] for name in ("whurs19", "whurs19-adapt", "whurs19-test"))
    assert not set(adapt["id"]) & set(test["id"])
    assert set(adapt["id"]) | set(test["id"]) == set(whole["id"])
    counts = [one["label"].value_counts().sort_index().to_numpy() for one in (adapt, test)]
    assert (counts[0] + counts[1]).tolist() == SIZES
    assert np.abs(counts[0] - counts[1]).max() <= 1


def test_features_that_were_saved_on_a_gpu_are_read_without_one(folder, written, tmp_path):
    source = written["datasets"]["whurs19"]["source"]
    model = ModelSpec("CLIP-ViT-B-32", **written["models"]["CLIP-ViT-B-32"])
    index_samples(output=tmp_path / "samples.h5", dataset="whurs19", source=source)
    copy_features(
        samples=tmp_path / "samples.h5",
        output=tmp_path / "clean.h5",
        dataset="whurs19",
        path=source["path"],
        model=model,
    )
    copy_text(
        output=tmp_path / "text.h5",
        path=written["benchmarks"]["whurs19"]["text_features"]["path"],
        class_names=source["class_names"],
        model=model,
    )
    images = torch.load(folder / source["path"], map_location="cpu", weights_only=True)
    features = read_features(tmp_path / "clean.h5", "clean", expected={})
    np.testing.assert_allclose(features, images.float().numpy(), atol=1e-3)
    head, _ = read_head(tmp_path / "text.h5")
    assert head.weight.shape == (N_CLASSES, DIM)
    assert head.scale == 100


def test_the_command_for_another_encoder_gives_a_whole_configuration(folder, tmp_path, monkeypatch):
    text = CONFIG.read_text()
    (command,) = re.findall(r"^# +(sed .*?) > configs/mine.yaml", text, flags=re.M | re.S)
    command = command.replace("\\\n#", "").replace("configs/whurs19.yaml", str(CONFIG))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    shutil.copytree(folder / "data", tmp_path / "data")
    results = tmp_path / "data/RS-TransCLIP/results/WHURS19"
    (results / "GeoRSCLIP").mkdir()
    (results / "CLIP/ViT-B-32").rename(results / "GeoRSCLIP/ViT-L-14")
    monkeypatch.chdir(tmp_path)
    checked = complete(yaml.safe_load(done.stdout))
    assert {n: one.architecture for n, one in checked.models.items()} == {
        "GeoRSCLIP-ViT-L-14": "ViT-L-14"
    }


def test_the_workflow_plans_every_method_on_both_benchmarks(folder):
    files = ("--snakefile", ROOT / "Snakefile")
    files += ("--configfile", CONFIG, ROOT / "configs/adapters.yaml")
    printed = snakemake(folder, "-n", *files, "--", "results/report.csv")
    for benchmark in ("whurs19", "whurs19_transductive"):
        for method in ("lp_clip_auto", "lp_clip_guarded", "stata"):
            assert f"results/CLIP-ViT-B-32/{benchmark}/{method}/probes.h5" in printed
    # Which predicts the images of its pool alone.
    assert "results/CLIP-ViT-B-32/whurs19_transductive/lame/probes.h5" in printed
    assert "results/CLIP-ViT-B-32/whurs19/lame/probes.h5" not in printed
