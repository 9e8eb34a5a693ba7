"""Figures show the tables' numbers, also where values are missing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lpclip.columns.registry import EVALUATED
from lpclip.corruption_names import STANDARD
from lpclip.reporting.evaluation_tables import read_parts
from lpclip.reporting.figures import rounds_figure, severity_figure
from lpclip.reporting.methods import Methods


def figure_of(draw, kind, evaluation, folder):
    arguments = evaluation.write(folder)
    methods = Methods(arguments["methods"])
    return draw(read_parts(EVALUATED[kind], arguments[kind], methods), methods)


def lines_of(figure, panel):
    return [line.get_xydata() for line in figure.axes[panel].lines]


def test_severity_shows_means_over_standard_corruptions_per_method(evaluation, tmp_path):
    figure = figure_of(severity_figure, "robustness", evaluation, tmp_path)
    rows = pd.DataFrame(evaluation.rows["robustness"])
    for panel, column in enumerate(("accuracy", "ece")):
        lines = lines_of(figure, panel)
        assert len(lines) == 4
        for line, method in zip(lines, evaluation.methods, strict=True):
            own = rows[rows["method"] == method["method"]]
            expected = [own.loc[own["shift"] == "clean", column].mean()]
            corrupted = own[own["shift"].isin(STANDARD)]
            expected += [
                corrupted.loc[corrupted["severity"] == s, column].mean() for s in range(1, 6)
            ]
            np.testing.assert_allclose(line, np.column_stack([range(6), expected]), rtol=1e-9)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "zero_shot (no labels)",
        "lp_clip (no labels)",
        "lp_clip_balanced (no labels)",
        "supervised (898 labels)",
    ]


def test_severity_says_how_many_corruptions_it_shows(evaluation, tmp_path):
    full = figure_of(severity_figure, "robustness", evaluation, tmp_path / "full")
    assert full.axes[0].get_xlabel() == "severity (mean of 15 generated corruptions)"
    evaluation.rows["robustness"] = [
        row for row in evaluation.rows["robustness"] if row["shift"] in ("clean", "fog", "snow")
    ]
    two = figure_of(severity_figure, "robustness", evaluation, tmp_path / "two")
    assert two.axes[0].get_xlabel() == "severity (mean of 2 generated corruptions)"
    evaluation.rows["robustness"] = [
        row for row in evaluation.rows["robustness"] if row["shift"] == "clean"
    ]
    none = figure_of(severity_figure, "robustness", evaluation, tmp_path / "none")
    assert none.axes[0].get_xlabel() == "severity (no corruptions)"
    assert lines_of(none, 0)[0].shape == (1, 2)


def test_rounds_show_the_self_training_methods_only(evaluation, tmp_path):
    figure = figure_of(rounds_figure, "rounds", evaluation, tmp_path)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["lp_clip (no labels)", "lp_clip_balanced (no labels)"]
    test_accuracy, _, coverage = (lines_of(figure, panel)[0] for panel in range(3))
    assert list(test_accuracy[:, 0]) == [0, 1, 2, 3, 4, 5]
    assert list(coverage[:, 0]) == [1, 2, 3, 4, 5]


def test_a_collapsed_round_has_a_cross_and_a_legend_entry(evaluation, tmp_path):
    row = next(row for row in evaluation.rows["rounds"] if row["round"] == 3)
    row["status"] = "collapsed"
    figure = figure_of(rounds_figure, "rounds", evaluation, tmp_path)
    crosses = figure.axes[0].collections[-1].get_offsets()
    assert crosses.shape[1] == 2
    assert [3.0, pytest.approx(row["test_accuracy"])] in [
        list(offset)
        for collection in figure.axes[0].collections
        for offset in collection.get_offsets()
    ]
    assert figure.legends[0].get_texts()[-1].get_text() == "collapsed"


def test_unknown_pseudo_label_accuracy_is_said_in_its_panel(evaluation, tmp_path):
    for row in evaluation.rows["rounds"]:
        row["pseudo_label_accuracy"] = np.nan
    figure = figure_of(rounds_figure, "rounds", evaluation, tmp_path)
    assert [len(axes.texts) for axes in figure.axes] == [0, 1, 0]


def test_without_self_training_the_figure_says_so(evaluation, tmp_path):
    evaluation.rows["rounds"] = []
    figure = figure_of(rounds_figure, "rounds", evaluation, tmp_path)
    assert figure.texts[0].get_text() == "No method trains itself in rounds."


def test_a_personal_matplotlib_style_changes_no_figure(evaluation, tmp_path):
    plain = figure_of(severity_figure, "robustness", evaluation, tmp_path)
    with plt.rc_context({"axes.grid": False, "font.size": 30, "figure.facecolor": "black"}):
        styled = figure_of(severity_figure, "robustness", evaluation, tmp_path)
    for figure in (plain, styled):
        assert figure.get_facecolor() == (1, 1, 1, 1)
        assert figure.axes[0].title.get_fontsize() == 11
