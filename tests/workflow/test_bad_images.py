"""A workflow on folders with unreadable images."""

import csv
import os
import shutil

import pytest
import yaml

import lpclip
from lpclip.data.registry import open_source
from lpclip.storage.hdf5 import read_provenance
from tests.helpers import copy_workflow
from tests.helpers.runs import planned, run, snakemake, write

CLASSES = ["zero", "one"]
CUT = ["test/0/digit-0.png", "test/1/digit-7.png"]

CONFIG = {
    "seeds": [0],
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
    "datasets": {
        "adapt": {"source": {"kind": "folder", "root": "adapt", "labelled": False}},
        "test": {
            "source": {"kind": "folder", "root": "test"},
            "on_bad_image": "skip",
            "class_map": "names.csv",
        },
    },
    "benchmarks": {
        "digits": {
            "class_names": CLASSES,
            "templates": ["the digit {}."],
            "adapt": "adapt",
            "test": "test",
            "corruptions": [],
        }
    },
    "labellings": {"plain": {}},
    "methods": {"zero_shot": {"kind": "zero_shot"}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a test set of ten zeros and ten ones, and the same images as adapt set."""
    folder = tmp_path_factory.mktemp("bad") / "run"
    folder.mkdir()
    copy_workflow(folder)
    digits = open_source("digits", {"split": "test"})
    for label in range(2):
        chosen = [sample for sample in digits.samples() if sample.label == label][:10]
        for number, sample in enumerate(chosen):
            for root in ("adapt", "test"):
                path = folder / f"{root}/{label}/digit-{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                digits.read(sample.path).save(path)
    for name in CUT:
        (folder / name).write_bytes((folder / name).read_bytes()[:50])
    (folder / "names.csv").write_text("folder,name\n0,zero\n1,one\n")
    write(folder, CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(folder):
    return folder, snakemake(folder)


def test_what_was_skipped_is_in_the_report_and_the_summary(finished):
    folder, printed = finished
    with (folder / "results/skipped.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset"], row["path"]) for row in rows] == [("test", name) for name in CUT]
    assert "Images left out because they cannot be read: 2 of dataset test." in printed
    robustness = lpclip.read_report(folder / "results/robustness.csv")
    assert list(robustness["n"]) == [18]


def test_labels_belong_to_the_rows_that_are_left(finished):
    frame = lpclip.read_frame(
        finished[0] / "cache/tiny/images/test/clean.h5",
        labels=finished[0] / "cache/data/test/samples.h5",
    )
    assert [int(name.split("/")[0]) for name in frame["id"]] == list(frame["label"])
    index = read_provenance(finished[0] / "cache/data/test/samples.h5")
    assert index["class_names"] == '["zero", "one"]'


def test_a_limit_indexes_its_dataset_again_and_no_other(finished):
    folder, _ = finished
    assert planned(folder) == {}
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["datasets"]["adapt"]["limit"] = 5
    write(folder, config)
    # The probe of zero-shot has read no image of the adapt set; the table of rounds, the choice of
    # an OOD score and the description of the set have, the last in its weak views.
    jobs = ("index_samples", "describe_pool", "evaluate_rounds", "evaluate_held_out")
    once = dict.fromkeys((*jobs, "report", "page"), 1)
    try:
        assert planned(folder) == {**once, "embed_images": 2}
    finally:
        write(folder, CONFIG)


def test_an_edited_class_map_indexes_its_dataset_again(finished):
    path = finished[0] / "names.csv"
    before, times = path.read_text(), path.stat()
    path.write_text("folder,name\n0,one\n1,zero\n")
    try:
        assert planned(finished[0])["index_samples"] == 1
    finally:
        path.write_text(before)
        os.utime(path, (times.st_atime, times.st_mtime))


def test_by_default_the_run_stops_and_names_them(folder, finished, tmp_path):
    del finished  # not while the run is in progress
    other = tmp_path / "run"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("cache", "results", "logs"))
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    del config["datasets"]["test"]["on_bad_image"]
    write(other, config)
    status, printed = run(other)
    assert status != 0
    assert printed.count("2 images cannot be read:") == 1
    assert all(printed.count(f"  {name} (") == 1 for name in CUT)
    assert "embed_images tiny test clean failed:\n2 images" in printed
    assert "CalledProcessError" not in printed
    log = "logs/embed_images/tiny/test/clean.log"
    assert f"\n(log: {log})\n" in printed
    assert f"\nError of a failed job, printed above: {log}\n" in printed
    assert "Traceback" not in printed
