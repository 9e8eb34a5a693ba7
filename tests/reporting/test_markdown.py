"""The table for a README: its columns, and the values of the report."""

import pandas as pd
import pytest

from lpclip.cli.command import main
from lpclip.reporting.markdown import markdown
from tests.helpers import ROOT
from tests.helpers.evaluations import small_evaluation, write_tables

# From the table of the default run on.
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("The built-in default:")[2]


def rows_of(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]


def test_the_table_has_the_columns_of_the_readme_and_the_figures_of_the_report(
    evaluation, tmp_path, capsys
):
    path = write_tables(evaluation, tmp_path) / "report.csv"
    main(["summary", str(path), "--format", "markdown"])
    header, line, *rows = rows_of(capsys.readouterr().out)
    assert [header, line] == rows_of(README)[:2]
    report = pd.read_csv(path).set_index("method")
    assert [row[0] for row in rows] == list(report.index)
    lp_clip, supervised = rows[1], rows[3]
    names = ["accuracy", "mean_corruption_accuracy", "ece", "corrupted_ece"]
    names += ["near_auroc_max_logit", "far_auroc_max_logit"]
    assert lp_clip[1:] == [
        "0",
        *(
            f"{100 * report.loc['lp_clip', name]:.1f} ± "
            f"{100 * report.loc['lp_clip', f'{name}_std']:.1f}"
            for name in names
        ),
    ]
    assert supervised[1] == "898"
    # One seed has no standard deviation.
    assert rows[0][2] == f"{100 * report.loc['zero_shot', 'accuracy']:.1f}"


def test_columns_without_a_figure_are_left_out(evaluation, tmp_path):
    evaluation.rows["ood"] = []
    text = markdown(write_tables(evaluation, tmp_path) / "report.csv")
    assert rows_of(text)[0] == rows_of(README)[0][:6]


@pytest.mark.parametrize("several", [False, True])
def test_tables_have_names_where_there_are_several(evaluation, tmp_path, several):
    if several:
        other = small_evaluation(benchmark="letters")
        evaluation.methods += other.methods
        for kind, rows in other.rows.items():
            evaluation.rows[kind] += rows
    text = markdown(write_tables(evaluation, tmp_path) / "report.csv")
    assert ("**letters, model tiny**" in text) == several
    assert ("**digits, model tiny**" in text) == several
