"""A workflow on precomputed features: from one .npz to the reports, without images."""

import os
import re

import numpy as np
import pandas as pd
import pytest
import yaml

import lpclip
from tests.helpers import copy_workflow
from tests.helpers.runs import planned, run, snakemake, write

N, C, D = 120, 3, 16

CONFIG = {
    "seeds": [0, 1],
    "models": {"mine": {"architecture": "ViT-B-32", "pretrained": "precomputed", "scale": 12.0}},
    "datasets": {
        "adapt": {
            "source": {
                "kind": "features",
                "path": "f.npz",
                "key": "adapt",
                "labels": "adapt_labels",
                "class_names": "classes",
            }
        },
        "test": {
            "source": {
                "kind": "features",
                "path": "f.npz",
                "key": "test",
                "labels": "test_labels",
                "class_names": "classes",
            }
        },
        "far": {"source": {"kind": "features", "path": "f.npz", "key": "far"}},
    },
    "benchmarks": {
        "shapes": {
            "text_features": {"path": "f.npz", "key": "text", "class_names": "classes"},
            "adapt": "adapt",
            "test": "test",
            "corruptions": [],
            "ood": {"far": ["far"]},
        }
    },
    "labellings": {"aligned": {"threshold": 0.4, "prior": "align"}},
    "methods": {
        "zero_shot": {"kind": "zero_shot"},
        "lp_clip": {
            "kind": "self_training",
            "labelling": "aligned",
            "rounds": 2,
            "student_view": "strong",
            "optimisation": {"epochs": 8, "learning_rate": 0.01},
        },
        "supervised": {"kind": "supervised", "c_steps": 3},
    },
}


def write_features(path, *, permuted=False):
    """Linearly separable clusters, and text features biased towards the first class."""
    rng = np.random.default_rng(0)
    centres = np.linalg.qr(rng.normal(size=(D, D)))[0][:C]
    labels = np.arange(N) % C
    arrays = {name: centres[labels] + 0.2 * rng.normal(size=(N, D)) for name in ("adapt", "test")}
    arrays["text"] = centres + 1.3 * centres[0] + 0.2 * rng.normal(size=(C, D))
    arrays["far"] = rng.normal(size=(20, D))
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    classes = np.array(["circle", "square", "triangle"])
    adapt = rng.permutation(labels) if permuted else labels
    np.savez(path, **arrays, adapt_labels=classes[adapt], test_labels=labels, classes=classes)


def prepare(folder, *, permuted=False):
    folder.mkdir()
    copy_workflow(folder)
    write_features(folder / "f.npz", permuted=permuted)
    write(folder, CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = prepare(tmp_path_factory.mktemp("precomputed") / "run")
    snakemake(folder)
    return folder


def test_every_report_is_made_and_self_training_gains(finished):
    report = pd.read_csv(finished / "results/report.csv").set_index("method")
    assert list(report.index) == ["zero_shot", "lp_clip", "supervised"]
    assert report.loc["zero_shot", "accuracy"] < report.loc["lp_clip", "accuracy"]
    assert report.loc["supervised", "accuracy"] > 0.9
    assert list(report["n_labels"]) == [0, 0, N]
    assert report["far_auroc_max_logit"].notna().all()
    for name in ("robustness", "ood", "rounds", "per_class"):
        assert len(pd.read_csv(finished / f"results/{name}.csv"))
    assert (finished / "results/figures/severity.png").is_file()


def test_the_report_says_that_the_student_saw_no_random_views(finished):
    report = pd.read_csv(finished / "results/report.csv", keep_default_na=False)
    assert list(report["student_view"]) == ["", "clean", ""]
    assert list(report["strong_policy"]) == ["", "", ""]


def test_classes_are_those_of_the_file(finished):
    probe = lpclip.load_probe(finished / "results/mine/shapes/lp_clip/probes.h5")
    assert probe.class_names == ("circle", "square", "triangle")
    assert probe.provenance["weights"] == "precomputed"
    assert probe.scale == 12.0


def test_nothing_is_left_to_do_and_another_file_reruns_it_all(finished):
    assert planned(finished) == {}
    before = (finished / "f.npz").read_bytes()
    times = (finished / "f.npz").stat()
    try:
        write_features(finished / "f.npz", permuted=True)
        jobs = planned(finished)
        assert jobs["index_samples"] == jobs["copy_features"] == 3
        assert jobs["copy_text"] == 1
    finally:
        (finished / "f.npz").write_bytes(before)
        os.utime(finished / "f.npz", ns=(times.st_atime_ns, times.st_mtime_ns))


def test_no_label_free_rule_reads_labels(finished):
    text = snakemake(finished, "-n", "--forceall")
    rules = "train_probe|pseudo_labels|describe_pool|copy_text"
    blocks = re.findall(rf"rule ({rules}):\n\s+input: (.*)\n\s+output: (.*)", text)
    assert len(blocks) == 6
    for rule, inputs, output in blocks:
        assert ("samples.h5" in inputs) == ("supervised" in output)
        assert ("f.npz" in inputs) == (rule == "copy_text")
    copied = (finished / "logs/copy_features/mine/adapt/clean.log").read_text()
    assert "label" not in copied.splitlines()[0]


def test_probes_do_not_depend_on_labels_of_the_adapt_set(finished, tmp_path):
    other = prepare(tmp_path / "permuted", permuted=True)
    paths = [f"results/mine/shapes/{name}/probes.h5" for name in ("lp_clip", "supervised")]
    snakemake(other, *paths)
    before, after = (
        [lpclip.load_probe(folder / path).weight for path in paths] for folder in (finished, other)
    )
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


@pytest.mark.parametrize("test", [None, "unlabelled"])
def test_without_a_labelled_test_set_reports_tell_what_can_be_known(tmp_path, test):
    folder = prepare(tmp_path / "run")
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["datasets"]["unlabelled"] = {"source": {"kind": "features", "path": "f.npz"}}
    config["datasets"]["unlabelled"]["source"]["key"] = "test"
    shapes = config["benchmarks"]["shapes"]
    del shapes["test"], shapes["corruptions"], config["methods"]["supervised"]
    if test:
        shapes["test"] = test
    config["methods"]["lp_clip"]["optimisation"]["epochs"] = 2
    config["methods"]["guarded"] = {"kind": "guarded", "candidates": ["lp_clip"]}
    write(folder, config)
    text = snakemake(folder)
    assert "Without a labelled test set accuracy is not known." in text
    report = lpclip.read_report(folder / "results/report.csv").set_index("method")
    assert set(report.index) == {"zero_shot", "lp_clip", "guarded"}
    assert report["accuracy"].isna().all()
    shifts = lpclip.read_report(folder / "results/shifts.csv").query("shift == 'clean'")
    assert shifts["confidence"].between(0, 1).all()
    assert report["far_auroc_max_logit"].notna().all()
    rounds = lpclip.read_report(folder / "results/rounds.csv")
    assert rounds["test_accuracy"].isna().all()
    # The adapt set has labels, which are only used to evaluate its pseudo-labels.
    assert rounds["pseudo_label_accuracy"].notna().any()
    robustness = lpclip.read_report(folder / "results/robustness.csv")
    assert set(robustness["dataset"]) == {test or "adapt"}
    assert (robustness["n"] == N).all()
    assert lpclip.read_report(folder / "results/guard.csv")["decision"].notna().all()


def test_a_benchmark_of_images_and_one_of_features_share_a_configuration(finished):
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["models"]["tiny"] = {"architecture": "lpclip-tiny", "pretrained": "embedded"}
    for name in ("adapt", "test"):
        config["datasets"][f"digits-{name}"] = {"source": {"kind": "digits", "split": name}}
    config["benchmarks"]["shapes"]["models"] = ["mine"]
    config["benchmarks"]["digits"] = {
        "models": ["tiny"],
        "class_names": [str(digit) for digit in range(10)],
        "templates": ["a photo of the number {}."],
        "adapt": "digits-adapt",
        "test": "digits-test",
        "corruptions": ["noise"],
    }
    write(finished, config)
    try:
        jobs = planned(finished)
    finally:
        write(finished, CONFIG)
    assert jobs["embed_text"] == 1
    assert jobs["embed_images"] == 4  # clean and adapt of one set, clean and noise of the other
    assert jobs["train_probe"] == 3
    assert not {"copy_text", "copy_features"} & set(jobs)


def test_views_of_features_have_no_rule(finished):
    status, text = run(finished, "-n", "cache/mine/images/adapt/adapt.h5")
    assert status != 0
    assert "MissingRule" in text
