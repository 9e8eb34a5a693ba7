"""Show the results of the battery: Markdown tables, key figures and a figure.

    python benchmarks/adaptation.py && python benchmarks/show_adaptation.py

Prints the tables and writes docs/adaptation.png.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from adaptation_tables import CASE, NAMES, means, report, without_themselves
from compared import GUARDED, ZERO_SHOT

HERE = Path(__file__).parent
# Colour of Okabe & Ito (2008) and marker of each method that is shown.
LOOKS = {
    "lp_clip": ("#0072B2", "o"),
    "lp_clip_auto": ("#009E73", "^"),
    "transclip": ("#E69F00", "v"),
    "stata": ("#CC79A7", "<"),
    "inmap": ("#D55E00", "s"),
    GUARDED: ("#000000", "D"),
}
TABLES = ("genuine", "harm", "many classes")
LEAST = -25.0  # points; what loses more is shown here


def figure(rows: pd.DataFrame) -> None:
    """Draw the gains: of the genuine sets per unlabelled set, and of the digits."""
    table = without_themselves(means(rows, "gain"))
    others = table[table.index.get_level_values("table") != "digits"]
    digits = table[table.index.get_level_values("table") == "digits"]
    panels = [panel for panel in (_by_pool(others), _by_case(digits)) if panel]
    fig, axes = plt.subplots(
        *(len(panels), 1),
        figsize=(9, 0.27 * sum(map(len, panels)) + 1.6),
        layout="constrained",
        squeeze=False,
        sharex=True,
        height_ratios=[max(len(panel), 3) for panel in panels],
    )
    for axis, panel in zip(axes[:, 0], panels, strict=True):
        _draw(axis, panel)
    interval = _intervals(rows)
    if len(digits):
        places = np.arange(len(digits))
        limits = 100 * interval.reindex(digits.index)
        axes[-1, 0].hlines(
            places, limits["gain_low"], limits["gain_high"], color="#000000", linewidth=1.2
        )
    axes[-1, 0].set_xlabel(
        f"accuracy over zero-shot, points (means of seeds; {LEAST:g} stands for all below)\n"
        "above: a mark per set of images; below: with 95 % of the guarded head's"
    )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    fig.savefig(HERE.parent / "docs/adaptation.png", dpi=130, metadata={"Software": None})


def _by_pool(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return a row per unlabelled set, with the gains of every set of images."""
    names = [
        f"{images}, {pool}" if kind == "many classes" else pool.replace(", the whole set", "")
        for kind, images, pool in table.index
    ]
    panel = [(str(name), part) for name, part in table.groupby(names, sort=False)]
    # Genuine features first, as tidy as they come.
    return sorted(panel, key=lambda row: TABLES.index(str(row[1].index[0][0])))


def _by_case(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    names = [", ".join(filter(None, case[1:])) for case in table.index]
    return [(name, table.iloc[[row]]) for row, name in enumerate(names)]


def _draw(axis: Any, panel: Sequence[tuple[str, pd.DataFrame]]) -> None:
    axis.axvspan(2 * LEAST, 0, color="#F2F2F2", zorder=0)
    axis.axvline(0, color="#6B6B6B", linewidth=1)
    offsets = np.linspace(-0.3, 0.3, len(LOOKS)) if len(panel[0][1]) > 1 else np.zeros(len(LOOKS))
    for (method, (colour, marker)), offset in zip(LOOKS.items(), offsets, strict=True):
        points = [
            (max(value, LEAST), place + offset)
            for place, (_, part) in enumerate(panel)
            if method in part
            for value in part[method].dropna()
        ]
        x, y = np.array(points).T if points else ([], [])
        name = NAMES.get(method, method)
        axis.scatter(x, y, color=colour, marker=marker, s=16, label=name, zorder=3, linewidth=0)
    axis.set_yticks(range(len(panel)), [name for name, _ in panel], fontsize=8)
    axis.set_ylim(len(panel) - 0.5, -0.5)
    axis.set_xlim(left=LEAST - 1)
    axis.grid(axis="x", color="#E4E4E4")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _intervals(rows: pd.DataFrame) -> pd.DataFrame:
    method = GUARDED if (rows["method"] == GUARDED).any() else ZERO_SHOT
    own = rows[rows["method"] == method].groupby(CASE, sort=False)
    return own[["gain_low", "gain_high"]].first()


def read(name: str) -> pd.DataFrame:
    """Read a table of results; an empty one where there is nothing."""
    try:
        found = pd.read_csv(HERE / f"results/{name}.csv")
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()
    return found.fillna({"pool": ""}) if "pool" in found else found


if __name__ == "__main__":
    accuracy = read("adaptation")
    print(report(accuracy, read("adaptation_guard"), read("adaptation_ood")))
    figure(accuracy)
