"""The section of confidence: reliability diagrams on clean and on corrupted images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lpclip.columns.table import STANDARD_MEAN
from lpclip.reporting.methods import Method
from lpclip.reporting.page.figure import BASELINE, INK, panel, svg_of
from lpclip.reporting.page.tables import Tables
from lpclip.reporting.plot_style import Style, per_cent

_SIZE = (3.1, 3.1)
_SMALLEST_SHARE = 0.005  # of the images; the accuracy of fewer is too noisy


def section(
    tables: Tables, methods: Sequence[Method], looks: Mapping[str, Style]
) -> list[dict[str, Any]]:
    """Return a diagram per method; none where reliability.csv has no rows."""
    reliability = tables["reliability"]
    if reliability.empty:
        return []
    figures = []
    for method in methods:
        own = reliability[reliability["method"] == method.method]
        groups = (("clean", "clean"), ("corrupted", STANDARD_MEAN))
        parts = {name: own[own["shift"] == shift] for name, shift in groups}
        curves = {name: _curve(rows) for name, rows in parts.items() if len(rows)}
        if curves:
            figures.append(_diagram(method.method, curves, looks[method.method]))
    return figures


def _curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Pool seeds and severities: n, confidence and accuracy per bin that has images."""
    rows = rows[rows["n"] > 0].set_index("bin")
    n = rows["n"].groupby(level=0).sum()
    sums = rows[["confidence", "accuracy"]].mul(rows["n"], axis=0).groupby(level=0).sum()
    return sums.div(n, axis=0).assign(n=n)[["n", "confidence", "accuracy"]]


def _diagram(name: str, curves: Mapping[str, pd.DataFrame], style: Style) -> dict[str, Any]:
    words = []
    with panel(_SIZE) as axes:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        for group, curve in curves.items():
            clean = group == "clean"
            weight = curve["n"] / curve["n"].sum()
            excess = 100 * float((weight * (curve["confidence"] - curve["accuracy"])).sum())
            tendency = "overconfident" if excess > 0 else "underconfident"
            words.append(f"{group}: {abs(excess):.1f} points {tendency} overall")
            x, y, share = (
                values[weight >= _SMALLEST_SHARE].to_numpy(np.float64)
                for values in (curve["confidence"], curve["accuracy"], weight)
            )
            axes.plot(
                x, y, color=style["color"] if clean else BASELINE, marker="o" if clean else "s",
                markersize=4.5, linestyle="-" if clean else (0, (3, 2)),
            )  # fmt: skip
            if clean:
                # How many images there are at a confidence: bars at the foot, a quarter high.
                axes.bar(x, share / share.max() / 4, width=0.05, color=style["color"], alpha=0.25)
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.02)
        axes.xaxis.set_major_formatter(per_cent)
        axes.yaxis.set_major_formatter(per_cent)
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        description = f"Reliability diagram of {name}. {'; '.join(words)}."
        return {"name": name, "svg": svg_of(axes, description), "words": words}
