"""sweep.csv: points, figures of the report, and the best by two rules, also in words."""

import numpy as np
import pandas as pd
import pytest

import lpclip
from lpclip.columns.sweep import ESTIMATES, FIGURES
from lpclip.reporting.methods import Methods
from lpclip.reporting.sweep import in_words, settings_of, write_sweep_table
from lpclip.storage.reports import write_part
from tests.helpers.evaluations import small_evaluation, write_tables

RATE, SHARE = "method.optimisation.learning_rate", "method.label_share"


def point(sweep, **varied):
    names = {"rate": RATE, "share": SHARE, "size": "model.image_size"}
    return {"sweep": sweep, "varied": {names[name]: value for name, value in varied.items()}}


SWEPT = {
    "methods": {
        "lp_clip": point("grid", rate=1e-4),
        "lp_clip_balanced": point("grid", rate=3e-4),
        "supervised": point("taught", share=1.0),
    }
}


def estimate(method, gain, reason=""):
    numbers = {"estimated_gain": gain, "gain_low": gain - 0.02, "gain_high": gain + 0.02}
    names = {"model": "tiny", "benchmark": "digits", "method": method}
    return {**names, **numbers, "change": 0.1, "reason": reason}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    evaluation = small_evaluation()
    folder = tmp_path_factory.mktemp("results")
    return write_tables(evaluation, folder), Methods(evaluation.methods)


def table_of(results, folder, sweeps, estimates=()):
    reports, methods = results
    path = folder / "estimates.csv"
    write_part(pd.DataFrame(estimates, columns=list(ESTIMATES.names)), path, ESTIMATES)
    output = folder / "sweep.csv"
    write_sweep_table(reports / "report.csv", [path], sweeps, output, methods)
    return lpclip.read_report(output)


def test_rows_have_what_was_varied_and_the_figures_of_report_csv(results, tmp_path):
    found = table_of(results, tmp_path, SWEPT).set_index("method")
    assert list(found.index) == list(SWEPT["methods"])
    assert found[RATE].tolist()[:2] == [1e-4, 3e-4]
    assert np.isnan(found.loc["supervised", RATE])
    report = lpclip.read_report(results[0] / "report.csv").set_index("method")
    for name in FIGURES:
        np.testing.assert_array_equal(found[name], report.loc[found.index, name])


def test_the_bests_are_picked_within_a_sweep_by_what_may_be_picked(results, tmp_path):
    estimates = [estimate("lp_clip", 0.03), estimate("lp_clip_balanced", 0.05, "it collapsed")]
    found = table_of(results, tmp_path, SWEPT, estimates).set_index("method")
    assert found["best_without_labels"].tolist() == ["yes", "no", "no"]
    assert found["best_by_test_accuracy"].tolist() == ["no", "yes", "yes"]
    assert found["reason"].tolist() == ["", "it collapsed", "it saw labels"]
    assert np.isnan(found.loc["supervised", "estimated_gain"])


def test_both_bests_in_words(results, tmp_path):
    estimates = [estimate("lp_clip", 0.03), estimate("lp_clip_balanced", 0.05, "it collapsed")]
    first, second = in_words(table_of(results, tmp_path, SWEPT, estimates))
    assert first.startswith("Sweep grid on digits, model tiny, 2 points: without a label the guard")
    assert (
        "picks lp_clip (estimated gain +3.0 points, whose interval holds those of all others"
        in first
    )
    assert "labels of the test set pick lp_clip_balanced (accuracy 8" in first
    assert first.endswith("picked from this very table, which flatters it).")
    assert "1 point: without a label none can be picked; the labels" in second
    estimates = [estimate("lp_clip", 0.01, "too few"), estimate("lp_clip_balanced", 0.0, "none")]
    (text, _) = in_words(table_of(results, tmp_path, SWEPT, estimates))
    assert "without a label none is picked, since too few;" in text
    estimates = [estimate("lp_clip", 0.01), estimate("lp_clip_balanced", 0.09)]
    (text, _) = in_words(table_of(results, tmp_path, SWEPT, estimates))
    assert "gain +9.0 points, accuracy 8" in text
    assert "the labels of the test set pick the same one" in text


def test_without_a_sweep_there_is_only_a_header(results, tmp_path):
    found = table_of(results, tmp_path, None)
    assert found.empty
    assert "accuracy" in found
    assert in_words(found) == []


def test_models_that_are_swept_are_compared_by_test_accuracy_alone(tmp_path):
    small, large = small_evaluation("small"), small_evaluation("large")
    small.methods += large.methods
    for kind, rows in large.rows.items():
        small.rows[kind] += rows
    results = write_tables(small, tmp_path), Methods(small.methods)
    models = {"small": point("vit", size=32), "large": point("vit", size=64)}
    found = table_of(results, tmp_path, {"models": models})
    assert set(found["sweep"]) == {f"vit/{name}" for name in found["method"]}
    assert set(found["model.image_size"]) == {32, 64}
    assert set(found["best_without_labels"]) == {"no"}
    of_method = found[found["method"] == "lp_clip"]
    assert sorted(of_method["best_by_test_accuracy"]) == ["no", "yes"]
    assert "its model is varied, not its method" in set(found["reason"])
    assert settings_of(of_method) == ["model.image_size"]
    # In which the points of a sweep do not differ.
    both = {"models": models, "methods": SWEPT["methods"]}
    found = table_of(results, tmp_path, both).query("model == 'small'")
    assert settings_of(found[found["sweep"] == "grid"]) == [RATE]
    assert settings_of(found[found["sweep"] == "taught"]) == [SHARE, "model.image_size"]
    assert "on digits, 2 points: without a label none can be picked" in in_words(of_method)[0]


def test_values_that_are_no_numbers_are_kept_as_text(results, tmp_path):
    swept = {"methods": {"lp_clip": point("grid", rate="auto"), "supervised": point("g", rate=[1])}}
    assert table_of(results, tmp_path, swept)[RATE].tolist() == ["auto", "[1]"]
