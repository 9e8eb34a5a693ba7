"""The printed summary: right values, the best one marked, within the terminal's width."""

import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.reporting.markdown import markdown
from lpclip.reporting.terminal import summary
from tests.helpers.evaluations import write_tables


def summary_of(evaluation, folder):
    return summary(write_tables(evaluation, folder) / "report.csv")


def row_of(text, method):
    return next(line for line in text.splitlines() if line.split()[:1] == [method])


def test_summary_shows_the_report_in_per_cent(evaluation, tmp_path):
    text = summary_of(evaluation, tmp_path)
    report = pd.read_csv(tmp_path / "results/report.csv").set_index("method").loc["lp_clip"]
    cells = row_of(text, "lp_clip").split()
    assert cells[1] == "0"
    expected = [
        f"{100 * report[name]:.1f}±{100 * report[f'{name}_std']:.1f}"
        for name in ("accuracy", "mean_corruption_accuracy")
    ]
    assert [cell.rstrip("*") for cell in cells[2:4]] == expected
    assert cells[4].startswith(f"{report['mce_vs_zero_shot']:.1f}±")
    assert len(cells) == 9
    assert row_of(text, "supervised").split()[1] == "898"


def test_the_best_of_each_column_has_a_star_and_ties_share_it(evaluation, tmp_path):
    for row in evaluation.rows["robustness"]:
        row["ece"] = 0.1 if row["method"] in ("zero_shot", "lp_clip") else 0.2
    text = summary_of(evaluation, tmp_path)
    cells = {m: row_of(text, m).split() for m in ("zero_shot", "lp_clip", "supervised")}
    assert [cells[m][2].endswith("*") for m in cells] == [False, False, True]
    assert [cells[m][5].endswith("*") for m in cells] == [True, True, False]


@pytest.mark.parametrize("name", ["lp_clip_balanced", "lp_clip_without_strong_views"])
def test_summary_fits_100_columns(evaluation, tmp_path, name):
    for row in [*evaluation.methods, *(row for rows in evaluation.rows.values() for row in rows)]:
        if row["method"] == "lp_clip_balanced":
            row["method"] = name
    text = summary_of(evaluation, tmp_path)
    assert name in text
    assert "±" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_summary_says_which_corruptions_and_views_were_used(evaluation, tmp_path):
    text = summary_of(evaluation, tmp_path / "generated")
    assert "Corruptions are generated" in text
    assert "Strong views 'disjoint': lp_clip, lp_clip_balanced." in text
    assert "Frost is procedural" in text
    assert "photographs (frost_images)." not in text
    for row in evaluation.rows["robustness"]:
        row["texture"] = "photographs" if row["shift"] == "frost" else ""
    text = summary_of(evaluation, tmp_path / "photographs")
    assert "Frost is procedural" not in text
    assert "Frost is made of photographs (frost_images)." in text
    evaluation.rows["robustness"] = [
        row for row in evaluation.rows["robustness"] if row["shift"] in ("clean", "fog")
    ]
    text = summary_of(evaluation, tmp_path / "partial")
    assert "need all 15 corruptions" in text
    assert "Frost is" not in text
    assert "mCE vs" not in text


def test_published_corruptions_have_figures_of_their_own(evaluation, tmp_path):
    for row in evaluation.rows["robustness"]:
        row["source"] = row["source"].replace("generated", "official")
    text = summary_of(evaluation, tmp_path)
    assert "official: on the published files" in text
    assert "Corruptions are generated" not in text
    assert "need all 15" not in text


def test_a_run_without_labels_says_that_accuracy_is_not_known(evaluation, tmp_path):
    for row in evaluation.rows["robustness"]:
        row |= {"accuracy": float("nan"), "ece": float("nan")}
    text = summary_of(evaluation, tmp_path)
    assert "Without a labelled test set accuracy is not known." in text
    assert "need all 15" not in text


def test_only_columns_that_are_shown_are_explained(evaluation, tmp_path):
    explained = ("corrupt.:", "mCE:", "ECE:", "AUROC:")
    text = summary_of(evaluation, tmp_path / "all")
    assert [text.count(word) for word in explained] == [1, 1, 1, 1]
    evaluation.rows["robustness"] = [
        row for row in evaluation.rows["robustness"] if row["shift"] == "clean"
    ]
    evaluation.rows["ood"] = []
    text = summary_of(evaluation, tmp_path / "clean")
    assert [text.count(word) for word in explained] == [0, 0, 1, 0]


def test_a_file_that_is_no_report_is_refused(tmp_path):
    with pytest.raises(LpclipError, match=r"report\.csv does not exist"):
        summary(tmp_path / "report.csv")
    (tmp_path / "report.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LpclipError, match="lacks the columns accuracy, benchmark"):
        summary(tmp_path / "report.csv")


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("accuracy", "abc", "column 'accuracy' holds no numbers"),
        ("ece_std", "1,5", "column 'ece_std' holds no numbers"),
        ("n_seeds", "1.5", "column 'n_seeds' holds something other than whole numbers"),
        ("n_labels", "1e300", "column 'n_labels' holds something other than whole numbers"),
        ("n_labels", "", "column 'n_labels' holds something other than whole numbers"),
        ("accuracy_std", None, "it lacks the columns accuracy_std"),
    ],
)
def test_a_table_that_was_edited_is_a_sentence(evaluation, tmp_path, column, value, sentence):
    path = write_tables(evaluation, tmp_path) / "report.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if value is None:
        table = table.drop(columns=column)
    else:
        table.loc[0, column] = value
    table.to_csv(path, index=False)
    for show in (summary, markdown):
        with pytest.raises(LpclipError, match=sentence):
            show(path)
    table.iloc[:0].to_csv(path, index=False)
    with pytest.raises(LpclipError, match=r"has no rows|it lacks"):
        summary(path)
