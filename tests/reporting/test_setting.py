"""Reports of transductive benchmarks: apart from others, and said to be so."""

import pandas as pd
import pytest

from lpclip.reporting.figures import severity_figure
from lpclip.reporting.markdown import markdown
from lpclip.reporting.methods import Methods
from lpclip.reporting.page.render import render
from lpclip.reporting.page.tables import read_tables
from lpclip.reporting.setting import in_words
from lpclip.reporting.terminal import summary
from tests.helpers.evaluations import Evaluation, small_evaluation, write_tables

CAPTION = "Transductive: the unlabelled images are the test images."
ALONE = "Predictions for the unlabelled images alone, no head: means."


def add_pool_method(evaluation, benchmark):
    """Add a method that predicts only the clean test images."""
    names = {"model": "tiny", "benchmark": benchmark, "method": "means"}
    first = evaluation.methods[0]
    evaluation.methods.append({**first, **names, "kind": "means", "predicts": "pool"})
    for table in ("robustness", "rounds", "per_class", "comparisons"):
        rows = evaluation.rows[table]
        own = [row for row in rows if row["method"] == "zero_shot"]
        own = [row for row in own if row.get("shift", "clean") == "clean"]
        rows += [{**row, **names} for row in own if row["benchmark"] == benchmark]


@pytest.fixture(scope="module")
def both():
    """The small evaluation, and a transductive one on clean images alone."""
    evaluation = small_evaluation()
    other = small_evaluation(benchmark="digits_transductive")
    for table in ("robustness", "comparisons"):
        other.rows[table] = [row for row in other.rows[table] if row["shift"] == "clean"]
    for table in ("ood", "ood_curves", "ood_held_out"):
        other.rows[table] = []
    add_pool_method(other, "digits_transductive")
    return Evaluation(
        evaluation.methods + other.methods,
        {table: rows + other.rows[table] for table, rows in evaluation.rows.items()},
    )


@pytest.fixture(scope="module")
def results(both, tmp_path_factory):
    return write_tables(both, tmp_path_factory.mktemp("setting"))


def test_the_report_has_what_a_method_predicts(results):
    report = pd.read_csv(results / "report.csv").set_index(["benchmark", "method"])["predicts"]
    assert report["digits_transductive", "means"] == "pool"
    assert (report.drop("means", level="method") == "images").all()


def test_the_summary_has_a_table_of_its_own_that_explains_itself(results):
    text = summary(results / "report.csv")
    inductive, transductive = text.split("digits_transductive, model tiny")
    assert CAPTION not in inductive
    assert CAPTION in transductive
    assert ALONE in transductive
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_table_for_a_readme_does_so_too(results):
    inductive, transductive = markdown(results / "report.csv").split("**digits_transductive")
    assert CAPTION not in inductive
    assert f"{CAPTION}\n\n{ALONE}\n\n| method |" in transductive


def test_the_page_does_so_too(results, both):
    tables = read_tables(results.glob("*.csv")).of("tiny", "digits_transductive")
    own = [method for method in both.methods if method["benchmark"] == "digits_transductive"]
    run = {
        "id": "", "about": "", "spent": "", "durations": [], "models": [], "versions": [],
        "configuration": "", "skipped": [],
        "skipped_columns": [], "n_skipped": "0",
    }  # fmt: skip
    page = render(tables, Methods(own), guard={}, pools={}, pictures={}, run=run)
    assert f"{CAPTION} {ALONE}" in page
    assert in_words("digits", tables["report"]) == [ALONE]


def test_figures_of_severities_leave_out_what_has_none(both):
    robustness = pd.DataFrame(both.rows["robustness"])
    methods = Methods(both.methods)
    assert len(severity_figure(robustness, methods).axes) == 2
    alone = [row for row in both.methods if row["benchmark"] != "digits"]
    rows = robustness[robustness["benchmark"] != "digits"]
    assert len(severity_figure(rows, Methods(alone)).axes) == 2


def test_a_method_without_corruptions_takes_no_mean_from_the_others(tmp_path):
    evaluation = small_evaluation()
    add_pool_method(evaluation, "digits")
    results = write_tables(evaluation, tmp_path)
    report = pd.read_csv(results / "report.csv").set_index("method")
    assert report["mean_corruption_accuracy"].drop("means").notna().all()
    assert pd.isna(report.loc["means", "mean_corruption_accuracy"])
    assert pd.isna(report.loc["means", "far_auroc_recommended"])
    assert report.loc["means", "accuracy"] == report.loc["zero_shot", "accuracy"]
    shifts = pd.read_csv(results / "shifts.csv")
    assert shifts.loc[shifts["method"] == "means", "shift"].tolist() == ["clean"]
    # One that should have them and lacks some does.
    evaluation.methods[-1]["predicts"] = "images"
    again = write_tables(evaluation, tmp_path / "again")
    assert pd.read_csv(again / "report.csv")["mean_corruption_accuracy"].isna().all()
