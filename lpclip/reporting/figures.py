"""Figures of the report: accuracy and calibration against severity, and training's rounds."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lpclip.columns.robustness import ROBUSTNESS
from lpclip.columns.rounds import ROUNDS
from lpclip.columns.table import is_transductive
from lpclip.corruption_names import STANDARD
from lpclip.reporting.methods import Method, Methods
from lpclip.reporting.plot_style import (
    Style,
    crosses,
    line_over_seeds,
    per_cent,
    rc_of,
    shared_corruptions,
    styles_of,
)
from lpclip.reporting.report_table import (
    SOURCES,
    clean_rows,
    is_complete,
    of_method,
    rows_of,
    standard_cells,
)
from lpclip.utils.atomic import atomic_path

# Colours of Okabe & Ito (2008) that keep contrast on white and apart for every colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#E69F00", "#000000")
_BASELINE = "#6B6B6B"
_INK = "#333333"
_WIDTH = 9.0  # inches
_STYLE = rc_of(
    ink=_INK,
    edge="#888888",
    grid="#E4E4E4",
    font__size=10,
    axes__titlesize=11,
    axes__titlelocation="left",
    grid__linewidth=0.8,
    lines__linewidth=1.8,
    lines__markersize=5.5,
    lines__markeredgecolor="white",
    lines__markeredgewidth=0.7,
    legend__frameon=False,
    savefig__dpi=150,
)


def severity_figure(robustness: pd.DataFrame, methods: Methods) -> Figure:
    """Plot accuracy and ECE against severity: a row per model and benchmark, a line per method.

    Severity 0 is clean; 1..5 are means over the standard corruptions that every method was
    evaluated on. The band is the standard deviation over seeds.
    """
    with matplotlib.style.context(_STYLE):
        pairs, styles = (
            _with_severities(robustness, methods),
            styles_of(methods, _COLOURS, _BASELINE),
        )
        figure, panels = _grid(len(pairs), 2)
        for row, (model, benchmark) in zip(panels, pairs, strict=True):
            results = rows_of(robustness, model, benchmark)
            of_pair = methods.of(model, benchmark)
            source = _source(results, of_pair)
            cells = standard_cells(results, source)
            shared = shared_corruptions(cells)
            cells = cells[cells["shift"].isin(shared)]
            points = pd.concat([clean_rows(results), cells])
            for axes, column in zip(row, ("accuracy", "ece"), strict=True):
                for method in of_pair:
                    own = points[points["method"] == method.method]
                    line_over_seeds(axes, own, "severity", column, styles[method.method])
                axes.set_title(_title(ROBUSTNESS[column].caption, model, benchmark, pairs))
                axes.yaxis.set_major_formatter(per_cent)
                axes.set_xticks(range(6), ["clean", "1", "2", "3", "4", "5"])
                axes.set_xlabel(_severity_label(source, len(shared)))
            row[1].set_ylim(bottom=0)
        _legend(figure, methods.all, styles)
        return figure


def rounds_figure(rounds: pd.DataFrame, methods: Methods) -> Figure:
    """Plot test accuracy, pseudo-label accuracy and coverage per round of self-training.

    A row per model and benchmark; the line is the mean over seeds, the band their standard
    deviation. A cross marks a round in which a seed collapsed and kept the probe before it.
    """
    columns = ("test_accuracy", "pseudo_label_accuracy", "coverage")
    shown = [m for m in methods.all if of_method(rounds, m)["coverage"].notna().any()]
    with matplotlib.style.context(_STYLE):
        if not shown:
            return _note("No method trains itself in rounds.")
        pairs = list(dict.fromkeys((method.model, method.benchmark) for method in shown))
        styles = styles_of(methods, _COLOURS, _BASELINE)
        figure, panels = _grid(len(pairs), 3)
        last = int(rounds["round"].max())
        for row, (model, benchmark) in zip(panels, pairs, strict=True):
            for axes, column in zip(row, columns, strict=True):
                for method in shown:
                    if method[:2] == (model, benchmark):
                        own = of_method(rounds, method)
                        line_over_seeds(axes, own, "round", column, styles[method.method])
                        crosses(axes, own, column, styles[method.method])
                axes.set_title(_title(ROUNDS[column].caption, model, benchmark, pairs))
                axes.set_xlabel("round (0: zero-shot)")
                axes.set_xlim(-0.3, last + 0.3)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
                axes.yaxis.set_major_formatter(per_cent)
                if not axes.lines:
                    axes.text(0.5, 0.5, "not known:\nno labels", ha="center", color=_INK,
                              transform=axes.transAxes)  # fmt: skip
            row[2].set_ylim(0, 1.02)
        collapsed = "collapsed" in set(rounds["status"])
        _legend(figure, shown, styles, collapsed=collapsed)
        return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all, with nothing in it that changes from run to run."""
    with matplotlib.style.context(_STYLE), atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _grid(n_rows: int, n_columns: int) -> tuple[Figure, npt.NDArray[np.object_]]:
    figure = Figure(figsize=(_WIDTH, 0.7 + 3.1 * n_rows), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels: npt.NDArray[np.object_] = figure.subplots(n_rows, n_columns, squeeze=False)
    return figure, panels


def _legend(
    figure: Figure,
    methods: Iterable[Method],
    styles: Mapping[str, Style],
    *,
    collapsed: bool = False,
) -> None:
    """Set the legend above the panels, where it covers no data."""
    seen: dict[str, set[int]] = {}
    for method in methods:
        seen.setdefault(method.method, set()).add(method.n_labels)
    labels = {name: f"{name} ({_labels(counts)})" for name, counts in seen.items()}
    handles = [Line2D([], [], **styles[name], label=label) for name, label in labels.items()]
    if collapsed:
        handles.append(
            Line2D([], [], color=_INK, marker="x", markeredgecolor=_INK, markeredgewidth=2,
                   linestyle="none", label="collapsed")
        )  # fmt: skip
    # In inches: 0.065 a character of 9 points, 0.65 for the line and the gap next to it.
    widths = [0.065 * len(str(handle.get_label())) + 0.65 for handle in handles]
    fits = sum(widths) <= _WIDTH
    n_columns = len(handles) if fits else max(1, int(_WIDTH / max(widths)))
    figure.legend(handles=handles, loc="outside upper center", ncols=n_columns, fontsize=9)


def _labels(counts: set[int]) -> str:
    """Return how many labels a method saw; benchmarks may differ in it."""
    if counts == {0}:
        return "no labels"
    low, high = f"{min(counts):,}", f"{max(counts):,}"
    return f"{low} labels" if low == high else f"{low} to {high} labels"


def _title(title: str, model: str, benchmark: str, pairs: list[tuple[str, str]]) -> str:
    return title if len(pairs) == 1 else f"{title}\n{model}, {benchmark}"


def _severity_label(source: str, n_corruptions: int) -> str:
    if n_corruptions == 0:
        return "severity (no corruptions)"
    return f"severity (mean of {n_corruptions} {source} corruptions)"


def _with_severities(robustness: pd.DataFrame, methods: Methods) -> list[tuple[str, str]]:
    """Return models and benchmarks, transductive ones only where they have corruptions."""
    pairs = methods.pairs()
    found = [
        pair
        for pair in pairs
        if not is_transductive(pair[1]) or (rows_of(robustness, *pair)["severity"] > 0).any()
    ]
    return found or pairs


def _source(results: pd.DataFrame, methods: Sequence[Method]) -> str:
    """Prefer published corruptions to generated ones, and complete sets to incomplete ones."""
    present = set(results.loc[results["shift"].isin(STANDARD), "source"])
    found = [source for source in reversed(SOURCES) if source in present]
    complete = (source for source in found if is_complete(results, source, methods))
    return next(complete, [*found, ""][0])


def _note(text: str) -> Figure:
    figure = Figure(figsize=(_WIDTH, 1.2), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=_INK)
    return figure
