"""A run with a sweep of two settings, on precomputed features."""

import copy
import re

import numpy as np
import pytest

import lpclip
from tests.helpers import copy_workflow
from tests.helpers.runs import planned, snakemake, write

N, C, D, SCALE = 120, 3, 12, 12.0
RATES, THRESHOLDS = [1e-3, 1e-2], [0.0, 0.6]
RATE, THRESHOLD = "method.optimisation.learning_rate", "labelling.threshold"

CONFIG = {
    "seeds": [0, 1],
    "models": {"mine": {"architecture": "x", "pretrained": "precomputed", "scale": SCALE}},
    "datasets": {
        name: {"source": {"kind": "features", "path": "f.npz", "key": name, "labels": "labels"}}
        for name in ("adapt", "test")
    },
    "benchmarks": {
        "shapes": {
            "class_names": ["0", "1", "2"],
            "text_features": {"path": "f.npz", "key": "text"},
            "adapt": "adapt",
            "test": "test",
            "corruptions": [],
        }
    },
    "labellings": {"plain": {"threshold": {"sweep": THRESHOLDS}, "prior": "align"}},
    "methods": {
        "zero_shot": {"kind": "zero_shot"},
        "lp_clip": {
            "kind": "self_training",
            "labelling": "plain",
            "rounds": 1,
            "optimisation": {"epochs": 4, "learning_rate": {"sweep": RATES}},
        },
    },
}
POINTS = [
    f"lp_clip_learning_rate_{rate}_threshold_{threshold}"
    for rate in ("1e-3", "0.01")
    for threshold in ("0", "0.6")
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: clusters, and text features biased towards the first class."""
    folder = tmp_path_factory.mktemp("sweeps") / "run"
    folder.mkdir()
    copy_workflow(folder)
    rng = np.random.default_rng(0)
    centres = np.linalg.qr(rng.normal(size=(D, D)))[0][:C]
    labels = np.arange(N) % C
    arrays = {name: centres[labels] + 0.3 * rng.normal(size=(N, D)) for name in ("adapt", "test")}
    arrays["text"] = centres + 0.7 * centres[0] + 0.2 * rng.normal(size=(C, D))
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    np.savez(folder / "f.npz", **arrays, labels=labels)
    write(folder, CONFIG)
    (folder / "printed.txt").write_text(snakemake(folder))
    return folder


@pytest.fixture(scope="module")
def sweep(finished):
    return lpclip.read_report(finished / "results/sweep.csv").set_index("method")


def test_there_is_a_row_per_point_with_what_was_varied_as_columns(sweep):
    assert list(sweep.index) == POINTS
    assert sweep[RATE].tolist() == [RATES[0], RATES[0], RATES[1], RATES[1]]
    assert sweep[THRESHOLD].tolist() == THRESHOLDS * 2
    assert set(sweep["sweep"]) == {"lp_clip"}


def test_figures_are_those_of_report_csv(finished, sweep):
    report = lpclip.read_report(finished / "results/report.csv").set_index("method")
    for name in ("accuracy", "accuracy_std", "ece", "nll"):
        assert sweep[name].tolist() == report.loc[sweep.index, name].tolist()


def test_the_two_bests_are_those_of_the_estimate_and_of_test_accuracy(sweep):
    assert sweep["estimated_gain"].notna().all()
    sure = sweep[sweep["reason"] == ""]
    chosen = sweep.index[sweep["best_without_labels"] == "yes"].tolist()
    assert chosen == [sure["estimated_gain"].idxmax()]
    tested = sweep.index[sweep["best_by_test_accuracy"] == "yes"].tolist()
    assert tested == [sweep["accuracy"].idxmax()]


def test_no_job_that_estimates_can_read_a_label(finished):
    printed = snakemake(finished, "-n", "--forceall")
    (inputs,) = re.findall(r"rule estimate_gains:\n\s+input: (.*)\n", printed)
    results = "results/mine/shapes"
    assert set(inputs.split(", ")) == {
        "cache/mine/text/shapes.h5",
        "cache/mine/images/adapt/clean.h5",
        *(f"{results}/{point}/probes.h5" for point in POINTS),
    }


def test_summary_and_page_name_both_bests(finished, sweep):
    chosen = sweep.index[sweep["best_without_labels"] == "yes"][0]
    printed = " ".join((finished / "printed.txt").read_text().split())
    sentence = re.search(
        r"Sweep lp_clip on shapes, model mine, 4 points: [^;]*;[^;]*;[^;]*\.", printed
    )
    assert f"the guard's estimate picks {chosen} (estimated gain +" in sentence[0]
    assert "picked from this very table, which flatters it" in sentence[0]
    page = (finished / "results/report.html").read_text()
    assert "Accuracy by optimisation.learning_rate" in page
    assert "Accuracy by labelling.threshold" in page


def test_a_further_value_runs_its_own_jobs_and_the_reports(finished):
    assert planned(finished) == {}
    more = copy.deepcopy(CONFIG)
    more["methods"]["lp_clip"]["optimisation"]["learning_rate"]["sweep"] = [3e-3, *RATES]
    write(finished, more)
    try:
        assert planned(finished) == {
            # Two, one per threshold.
            **dict.fromkeys(("train_probe", "evaluate", "evaluate_held_out", "evaluate_rounds"), 2),
            "evaluate_samples": 2,
            **dict.fromkeys(("estimate_gains", "predictions", "report", "page"), 1),
        }
        more["methods"]["lp_clip"]["optimisation"]["learning_rate"]["sweep"] = RATES[:1]
        write(finished, more)
        assert set(planned(finished)) == {
            "estimate_gains",
            "predictions",
            "report",
            "page",
        }
    finally:
        write(finished, CONFIG)
