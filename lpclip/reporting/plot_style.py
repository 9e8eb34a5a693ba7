"""How every figure looks: colours, markers and lines of the methods."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

N_COLOURS = 7


Style = Mapping[str, Any]


def line_over_seeds(axes: Axes, rows: pd.DataFrame, x: str, y: str, style: Style) -> None:
    """Mean over seeds of ``y`` against ``x``, with a band of one standard deviation."""
    per_seed = rows.groupby([x, "seed"])[y].mean().dropna()
    if per_seed.empty:
        return
    over_seeds = per_seed.groupby(level=0)
    middle = over_seeds.mean().to_numpy(np.float64)
    half = over_seeds.std(ddof=1).fillna(0.0).to_numpy(np.float64)
    places = over_seeds.mean().index.to_numpy(np.float64)
    if half.any():
        axes.fill_between(
            places, middle - half, middle + half, color=style["color"], alpha=0.15, linewidth=0
        )
    axes.plot(places, middle, **style, markeredgewidth=0)


def per_cent(fraction: float, _: float | None = None) -> str:
    """A tick of an axis."""
    return f"{100 * fraction:.4g}%"
