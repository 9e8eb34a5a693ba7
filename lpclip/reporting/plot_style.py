"""How every figure looks: colours, markers and lines of the methods."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lpclip.reporting.methods import Methods

# Markers and, beyond seven methods, dashes distinguish lines without colour.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)))
N_COLOURS = len(MARKERS)

Style = Mapping[str, Any]


def rc_of(*, ink: str, edge: str, grid: str, **others: Any) -> list[Any]:
    """Return a style for `matplotlib.style.context`, on top of matplotlib's defaults.

    So a user's matplotlibrc changes no figure.
    """
    return [
        "default",
        {
            "axes.labelcolor": ink,
            "axes.edgecolor": edge,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": grid,
            "xtick.color": ink,
            "ytick.color": ink,
            **{name.replace("__", "."): value for name, value in others.items()},
        },
    ]


def styles_of(methods: Methods, colours: Sequence[str], baseline: str) -> dict[str, Style]:
    """Return one look per method name, the same in every figure; zero-shot is the baseline."""
    kinds = {method.method: method.kind for method in methods.all}
    styles: dict[str, Style] = {}
    for index, name in enumerate(name for name, kind in kinds.items() if kind != "zero_shot"):
        cycle, place = divmod(index, N_COLOURS)
        styles[name] = {
            "color": colours[place],
            "marker": MARKERS[place],
            "linestyle": _DASHES[cycle % len(_DASHES)],
        }
    of_baseline = {"color": baseline, "marker": "o", "linestyle": (0, (4, 2))}
    return styles | {name: of_baseline for name, kind in kinds.items() if kind == "zero_shot"}


def line_over_seeds(axes: Axes, rows: pd.DataFrame, x: str, y: str, style: Style) -> None:
    """Plot the mean over seeds of ``y`` against ``x``, with a band of one standard deviation."""
    per_seed = rows.groupby([x, "seed"])[y].mean().dropna()
    if per_seed.empty:
        return
    over_seeds = per_seed.groupby(level=0)
    middle = over_seeds.mean().to_numpy(np.float64)
    half = over_seeds.std(ddof=1).fillna(0.0).to_numpy(np.float64)
    places = over_seeds.mean().index.to_numpy(np.float64)
    if half.any():
        axes.fill_between(
            places, middle - half, middle + half, color=style["color"], alpha=0.16, linewidth=0
        )
    axes.plot(places, middle, **style)


def crosses(axes: Axes, rows: pd.DataFrame, y: str, style: Style) -> None:
    """Plot a cross at every round in which a seed collapsed."""
    collapsed = rows[(rows["status"] == "collapsed") & rows[y].notna()]
    if len(collapsed):
        axes.scatter(
            collapsed["round"].to_numpy(np.float64), collapsed[y].to_numpy(np.float64),
            marker="x", s=60, linewidths=2, color=style["color"], zorder=3,
        )  # fmt: skip


def shared_corruptions(cells: pd.DataFrame) -> set[str]:
    """Return the shifts that every method has: only over these are means comparable."""
    by_method = [set(rows["shift"]) for _, rows in cells.groupby("method")]
    return set.intersection(*by_method) if by_method else set()


def per_cent(fraction: float, _: float | None = None) -> str:
    """Format a tick of an axis."""
    return f"{100 * fraction:.4g}%"
