"""Figures of the report: accuracy and calibration against severity, and training's rounds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lpclip.metrics import STANDARD_CORRUPTIONS
from lpclip.reporting.methods import Method, Methods
from lpclip.reporting.report_table import SOURCES, clean_rows, is_complete, standard_cells
from lpclip.utils.atomic import atomic_path

# Colours of Okabe & Ito (2008) that keep contrast on white and apart for every colour vision;
# markers and, beyond seven methods, dashes tell lines apart without colour. Grey is zero-shot.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9", "#E69F00", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)))
_BASELINE = {"color": "#6B6B6B", "marker": "o", "linestyle": (0, (4, 2))}
_INK = "#333333"
_WIDTH = 9.0  # inches

# On top of matplotlib's defaults, so that no one's own matplotlibrc changes a report.
_STYLE: list[Any] = [
    "default",
    {
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.labelcolor": _INK,
        "axes.edgecolor": "#888888",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.8,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.5,
        "legend.frameon": False,
        "savefig.dpi": 150,
    },
]

Style = dict[str, Any]


def severity_figure(robustness: pd.DataFrame, methods: Methods) -> Figure:
    """Accuracy and ECE against severity: a row per model and benchmark, a line per method.

    Severity 0 is clean; 1..5 are means over the standard corruptions that every method was
    evaluated on. The band is the standard deviation over seeds.
    """
    with matplotlib.style.context(_STYLE):
        pairs, styles = methods.pairs(), _styles(methods)
        figure, panels = _grid(len(pairs), 2)
        for row, (model, benchmark) in zip(panels, pairs, strict=True):
            results = robustness[
                (robustness["model"] == model) & (robustness["benchmark"] == benchmark)
            ]
            source = _source(results)
            cells = standard_cells(results, source)
            # Means are comparable only over corruptions that every method has.
            shared = _shared_corruptions(cells)
            cells = cells[cells["shift"].isin(shared)]
            points = pd.concat([clean_rows(results), cells])
            for axes, column, title in zip(
                row, ("accuracy", "ece"), ("Accuracy", "Calibration error (ECE)"), strict=True
            ):
                for method in methods.of(model, benchmark):
                    own = points[points["method"] == method.method]
                    _line(axes, own, "severity", column, styles[method.method])
                axes.set_title(_title(title, model, benchmark, pairs))
                axes.yaxis.set_major_formatter(_per_cent)
                axes.set_xticks(range(6), ["clean", "1", "2", "3", "4", "5"])
                axes.set_xlabel(_severity_label(source, len(shared)))
            row[1].set_ylim(bottom=0)
        _legend(figure, methods.all, styles)
        return figure


def rounds_figure(rounds: pd.DataFrame, methods: Methods) -> Figure:
    """Test accuracy, pseudo-label accuracy and coverage per round of the self-training methods.

    A row per model and benchmark; the line is the mean over seeds, the band their standard
    deviation. A cross marks a round in which a seed collapsed and kept the probe before it.
    """
    panels_of = {
        "test_accuracy": "Test accuracy",
        "pseudo_label_accuracy": "Accuracy of kept pseudo-labels",
        "coverage": "Coverage: share kept",
    }
    trained = rounds[rounds["coverage"].notna()]
    is_shown = set(trained[["model", "benchmark", "method"]].itertuples(index=False, name=None))
    shown = [method for method in methods.all if method[:3] in is_shown]
    with matplotlib.style.context(_STYLE):
        if not shown:
            return _note("No method trains itself in rounds.")
        pairs = list(dict.fromkeys((method.model, method.benchmark) for method in shown))
        styles = _styles(methods)
        figure, panels = _grid(len(pairs), 3)
        last = int(rounds["round"].max())
        for row, (model, benchmark) in zip(panels, pairs, strict=True):
            for axes, (column, title) in zip(row, panels_of.items(), strict=True):
                for method in shown:
                    if method[:2] == (model, benchmark):
                        own = _of_method(rounds, method)
                        _line(axes, own, "round", column, styles[method.method])
                        _crosses(axes, own, column, styles[method.method])
                axes.set_title(_title(title, model, benchmark, pairs))
                axes.set_xlabel("round (0: zero-shot)")
                axes.set_xlim(-0.3, last + 0.3)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
                axes.yaxis.set_major_formatter(_per_cent)
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


def _styles(methods: Methods) -> dict[str, Style]:
    """One look per method name, the same in every figure and panel."""
    kinds = {method.method: method.kind for method in methods.all}
    styles: dict[str, Style] = {}
    others = [name for name, kind in kinds.items() if kind != "zero_shot"]
    for index, name in enumerate(others):
        cycle, place = divmod(index, len(_COLOURS))
        styles[name] = {
            "color": _COLOURS[place],
            "marker": _MARKERS[place],
            "linestyle": _DASHES[cycle % len(_DASHES)],
        }
    return styles | {name: _BASELINE for name, kind in kinds.items() if kind == "zero_shot"}


def _line(axes: Axes, rows: pd.DataFrame, x: str, y: str, style: Style) -> None:
    """Mean over seeds against x, with a band of one standard deviation where there are several."""
    per_seed = rows.groupby([x, "seed"])[y].mean().dropna()
    if per_seed.empty:
        return
    over_seeds = per_seed.groupby(level=0)
    mean, deviation = over_seeds.mean(), over_seeds.std(ddof=1).fillna(0.0)
    places = mean.index.to_numpy(np.float64)
    middle, half = mean.to_numpy(np.float64), deviation.to_numpy(np.float64)
    if half.any():
        axes.fill_between(
            places, middle - half, middle + half, color=style["color"], alpha=0.16, linewidth=0
        )
    axes.plot(places, middle, **style, markeredgecolor="white", markeredgewidth=0.7)


def _crosses(axes: Axes, own: pd.DataFrame, column: str, style: Style) -> None:
    collapsed = own[(own["status"] == "collapsed") & own[column].notna()]
    if len(collapsed):
        axes.scatter(
            collapsed["round"].to_numpy(np.float64), collapsed[column].to_numpy(np.float64),
            marker="x", s=60, linewidths=2, color=style["color"], zorder=3,
        )  # fmt: skip


def _legend(
    figure: Figure, methods: Iterable[Method], styles: dict[str, Style], *, collapsed: bool = False
) -> None:
    """Above the panels, where it covers no data."""
    seen: dict[str, set[int]] = {}
    for method in methods:
        seen.setdefault(method.method, set()).add(method.n_labels)
    labels = {name: f"{name} ({_labels(counts)})" for name, counts in seen.items()}
    handles = [
        Line2D([], [], **styles[name], markeredgecolor="white", markeredgewidth=0.7, label=label)
        for name, label in labels.items()
    ]
    if collapsed:
        handles.append(
            Line2D([], [], color=_INK, marker="x", markeredgewidth=2, linestyle="none",
                   label="collapsed")
        )  # fmt: skip
    # In inches: 0.065 a character of 9 points, 0.65 for the line and the gap beside it.
    widths = [0.065 * len(str(handle.get_label())) + 0.65 for handle in handles]
    fits = sum(widths) <= _WIDTH
    n_columns = len(handles) if fits else max(1, int(_WIDTH / max(widths)))
    figure.legend(handles=handles, loc="outside upper center", ncols=n_columns, fontsize=9)


def _labels(counts: set[int]) -> str:
    """How many labels a method saw; benchmarks may differ in it."""
    if counts == {0}:
        return "no labels"
    low, high = f"{min(counts):,}", f"{max(counts):,}"
    return f"{low} labels" if low == high else f"{low} to {high} labels"


def _per_cent(fraction: float, _: int | None = None) -> str:
    return f"{100 * fraction:.4g}%"


def _title(title: str, model: str, benchmark: str, pairs: list[tuple[str, str]]) -> str:
    return title if len(pairs) == 1 else f"{title}\n{model}, {benchmark}"


def _severity_label(source: str, n_corruptions: int) -> str:
    if n_corruptions == 0:
        return "severity (no corruptions)"
    return f"severity (mean of {n_corruptions} {source} corruptions)"


def _of_method(table: pd.DataFrame, method: Method) -> pd.DataFrame:
    return table[
        (table["model"] == method.model)
        & (table["benchmark"] == method.benchmark)
        & (table["method"] == method.method)
    ]


def _source(results: pd.DataFrame) -> str:
    """Published corruptions rather than generated ones, complete ones rather than some."""
    present = set(results.loc[results["shift"].isin(STANDARD_CORRUPTIONS), "source"])
    found = [source for source in reversed(SOURCES) if source in present]
    return next((source for source in found if is_complete(results, source)), [*found, ""][0])


def _shared_corruptions(cells: pd.DataFrame) -> set[str]:
    by_method = [set(rows["shift"]) for _, rows in cells.groupby("method")]
    return set.intersection(*by_method) if by_method else set()


def _note(text: str) -> Figure:
    figure = Figure(figsize=(_WIDTH, 1.2), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=_INK)
    return figure
