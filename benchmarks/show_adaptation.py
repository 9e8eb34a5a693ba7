"""Show the results of the adaptation study as a Markdown table and a figure.

    python benchmarks/adaptation.py && python benchmarks/show_adaptation.py

Prints the table and writes docs/adaptation.png.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

HERE = Path(__file__).parent
LABEL_FREE = ("lp_clip", "lp_clip_balanced", "lp_clip_auto")
GUARDED = "lp_clip_guarded"
# Colour of Okabe & Ito (2008) and marker of each method.
LOOKS = {
    "lp_clip": ("#0072B2", "o"),
    "lp_clip_balanced": ("#D55E00", "s"),
    "lp_clip_auto": ("#009E73", "^"),
    GUARDED: ("#000000", "D"),
}


def gains() -> pd.DataFrame:
    """Return zero-shot's accuracy and the gains over it per case, in per cent."""
    rows = pd.read_csv(HERE / "results/adaptation.csv")
    table = 100 * rows.pivot_table(index="case", columns="method", values="accuracy", sort=False)
    zero = table.pop("zero_shot")
    shown = table.sub(zero, axis=0)
    shown.insert(0, "zero_shot", zero)
    shown["oracle"] = shown[list(LABEL_FREE)].max(axis=1).clip(lower=0)
    decisions = pd.read_csv(HERE / "results/adaptation_guard.csv")
    shown["strength"] = decisions.groupby("case", sort=False)["strength"].mean()
    limits = rows[rows["method"] == GUARDED].groupby("case", sort=False)
    shown["low"], shown["high"] = (100 * limits[k].first() for k in ("gain_low", "gain_high"))
    return shown


def markdown(table: pd.DataFrame) -> str:
    head = ["case", "zero-shot", *LABEL_FREE, f"{GUARDED} [95 %]", "strength", "oracle", "superv."]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for case, row in table.iterrows():
        limits = "" if pd.isna(row["low"]) else f" [{row['low']:+.1f}, {row['high']:+.1f}]"
        cells = [
            str(case),
            f"{row['zero_shot']:.1f}",
            *(f"{row[name]:+.1f}" for name in LABEL_FREE),
            f"**{row[GUARDED]:+.1f}**{limits}",
            f"{row['strength']:.2g}",
            f"{row['oracle']:+.1f}",
            f"{row['supervised']:+.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(table: pd.DataFrame) -> None:
    fig, axes = plt.subplots(figsize=(9, 0.3 * len(table) + 1.4), layout="constrained")
    places = range(len(table))
    axes.axvspan(-100, 0, color="#F2F2F2", zorder=0)
    axes.axvline(0, color="#6B6B6B", linewidth=1)
    limits = table[[GUARDED, "low", "high"]]
    axes.hlines(places, limits["low"], limits["high"], color="#000000", linewidth=1.2)
    for name, (colour, marker) in LOOKS.items():
        axes.scatter(table[name], places, color=colour, marker=marker, s=28, label=name, zorder=3)
    axes.set_yticks(list(places), list(table.index), fontsize=9)
    axes.invert_yaxis()
    shown = table[list(LOOKS)]
    axes.set_xlim(shown.min().min() - 1, shown.max().max() + 1)
    axes.set_xlabel("accuracy over zero-shot, points (mean of 5 seeds; bar: 95 % of the guarded)")
    axes.grid(axis="x", color="#E4E4E4")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    fig.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    fig.savefig(HERE.parent / "docs/adaptation.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    found = gains()
    print(markdown(found))
    figure(found)
