"""The section of sweeps: figures by setting, marks and the table."""

import re
from itertools import product

import pandas as pd
import pytest

from lpclip.columns.sweep import sweep_table
from lpclip.reporting.page.sweeps import section
from lpclip.reporting.read import read_report
from lpclip.reporting.sweep import by_pair
from lpclip.storage.reports import write_report
from tests.helpers.evaluations import small_evaluation
from tests.helpers.pages import drawings, page_of, text_of

RATE, PRIOR, ROUNDS = "method.optimisation.learning_rate", "labelling.prior", "method.rounds"


def rows_of(grid, folder, **changes):
    """Rows of sweep.csv, one per point; the second is picked without labels, the last by tests."""
    settings = tuple(grid)
    table = sweep_table(settings)
    rows = []
    for place, values in enumerate(product(*grid.values())):
        row = dict.fromkeys(table.names, 0.01) | {
            "model": "tiny", "benchmark": "digits", "method": f"point_{place}", "sweep": "grid",
            "n_labels": 0, "n_seeds": 3, "reason": "", "accuracy": 0.7 + 0.01 * place,
            "mean_corruption_accuracy": 0.5 + 0.01 * place, "best_without_labels": "no",
            "best_by_test_accuracy": "no", **dict(zip(settings, map(str, values), strict=True)),
        }  # fmt: skip
        rows.append(row | changes)
    rows[1]["best_without_labels"] = rows[-1]["best_by_test_accuracy"] = "yes"
    write_report(rows, folder / "sweep.csv", table)
    return read_report(folder / "sweep.csv")


def shown(rows):
    (found,) = section([rows])
    return found


def label_of(figure):
    return re.search(r'aria-label="([^"]*)"', figure["svg"])[1]


def test_there_is_a_figure_per_setting_with_a_line_per_value_of_the_others(tmp_path):
    found = shown(rows_of({RATE: [1e-4, 1e-2], PRIOR: ["align", "auto"]}, tmp_path))
    rate, prior = found["figures"]
    assert (rate["title"], prior["title"]) == ("optimisation.learning_rate", "labelling.prior")
    assert [key.name for key in rate["legend"]] == ["prior align", "prior auto"]
    assert [key.name for key in prior["legend"]] == ["learning_rate 0.0001", "learning_rate 0.01"]
    assert label_of(rate) == (
        "Accuracy by optimisation.learning_rate: clean, prior align: 0.0001 70.0 %, 0.01 72.0 %; "
        "clean, prior auto: 0.0001 71.0 %, 0.01 73.0 %; corrupted, prior align: 0.0001 50.0 %, "
        "0.01 52.0 %; corrupted, prior auto: 0.0001 51.0 %, 0.01 53.0 %."
    )


def ticks(figure):
    return re.findall(r"<text[^>]*>([^<]*)</text>", figure["svg"])


def places(figure):
    """Where the ticks of the horizontal axis are."""
    found = re.findall(r'<use xlink:href="#[^"]*" x="([0-9.]+)" y="([0-9.]+)"', figure["svg"])
    found = found or re.findall(r'href="#[^"]*" x="([0-9.]+)" y="([0-9.]+)"', figure["svg"])
    below = max(float(y) for _, y in found)
    return sorted({float(x) for x, y in found if float(y) == below})


@pytest.mark.parametrize(
    ("values", "equal"), [([1e-4, 1e-3, 1e-2], True), ([0.1, 0.2, 0.3], True), ([1, 2, 8], False)]
)
def test_the_axis_is_logarithmic_over_a_decade_and_more(tmp_path, values, equal):
    first, second, third = places(shown(rows_of({RATE: values}, tmp_path))["figures"][0])
    assert (second - first == pytest.approx(third - second, rel=0.01)) == equal


def test_text_is_placed_side_by_side_under_its_names(tmp_path):
    figure = shown(rows_of({PRIOR: ["none", "align", "auto"]}, tmp_path))["figures"][0]
    assert [text for text in ticks(figure) if text in ("none", "align", "auto")] == [
        "none", "align", "auto",
    ]  # fmt: skip


def test_many_combinations_become_a_mean_with_its_range(tmp_path):
    rows = rows_of({RATE: [1e-4, 1e-3], ROUNDS: list(range(1, 10))}, tmp_path)
    rate, rounds = shown(rows)["figures"]
    assert rate["averaged"] == 9
    assert rate["legend"] == []
    assert "clean, mean over the other settings: 0.0001 74.0 %, 0.001 83.0 %" in label_of(rate)
    assert rounds["averaged"] == 0
    assert shown(rows)["folded"]


def test_the_page_shows_points_marks_and_sentence_and_is_well_formed(tmp_path):
    rows = rows_of({RATE: [1e-4, 1e-3]}, tmp_path, sweep="a<b")
    evaluation = small_evaluation()
    page = page_of(evaluation, tmp_path)
    assert "Sweeps" not in text_of(page)
    rows.to_csv(tmp_path / "sweep.csv", index=False)
    page = page_of(evaluation, tmp_path, sweep=tmp_path / "sweep.csv")
    text = text_of(page)
    assert "Sweep a&lt;b on digits, model tiny, 2 points: without a label the guard" in text
    assert "○ without labels" in text
    assert "☆ by test labels" in text
    assert "a<b" not in page
    assert '<a href="#tiny-digits-0-sweeps">Sweeps</a>' in page
    assert len(drawings(page)) > len(drawings(page_of(evaluation, tmp_path)))


def test_without_accuracy_there_are_no_figures_but_the_points(tmp_path):
    nothing = dict.fromkeys(("accuracy", "mean_corruption_accuracy"), float("nan"))
    rows = rows_of({RATE: [1e-4, 1e-3]}, tmp_path, **nothing).assign(best_by_test_accuracy="no")
    found = shown(rows)
    assert found["figures"] == []
    assert [row["figures"][0][0] for row in found["rows"]] == ["", ""]
    assert "accuracy is not known without a labelled test set" in found["words"]


def test_a_sweep_is_shown_with_its_model_and_one_of_models_once(tmp_path):
    own = rows_of({RATE: [1e-4, 1e-3]}, tmp_path)
    other = own.assign(model="large")
    assert list(by_pair(pd.concat([own, other], ignore_index=True))) == [
        ("tiny", "digits"), ("large", "digits"),
    ]  # fmt: skip
    rows = pd.concat([own[:1], other[:1]], ignore_index=True).assign(sweep="vit/point_0")
    (groups,) = by_pair(rows).values()
    assert [len(group) for group in groups] == [2]
