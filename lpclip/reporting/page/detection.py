"""The section of OOD detection: AUROC per score; ROC curves and histograms of two scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from lpclip.ood_score_names import WITHOUT_HEAD
from lpclip.reporting import detection as chosen
from lpclip.reporting.methods import Method
from lpclip.reporting.page.figure import BASELINE, INK, panel, svg_of
from lpclip.reporting.page.tables import Tables
from lpclip.reporting.plot_style import Style, per_cent
from lpclip.types import FloatArray

SCORE = "max_logit"  # has figures, next to the recommended one; the table has all
_BARS = 40


def section(
    tables: Tables, methods: Sequence[Method], looks: Mapping[str, Style]
) -> dict[str, Any] | None:
    """Return a table of all scores and, per OOD set, an ROC figure and a histogram per method."""
    ood = tables["ood"]
    if ood.empty:
        return None
    names = [method.method for method in methods]
    curves = tables["ood_curves"]
    choice = chosen.recommended(tables["ood_held_out"])
    figures = []
    for group, dataset in dict.fromkeys(zip(ood["group"], ood["dataset"], strict=True)):
        own = ood[(ood["dataset"] == dataset) & (ood["group"] == group)]
        bins = curves
        if len(curves):
            bins = curves[(curves["dataset"] == dataset) & (curves["group"] == group)]
        figures.append(
            {
                "dataset": dataset,
                "group": group,
                "table": _table(own, names),
                "plots": [
                    _plots(title, scores, dataset, bins, names, looks)
                    for title, scores in (
                        (_title(choice), choice),
                        (SCORE.replace("_", " "), dict.fromkeys(names, SCORE)),
                    )
                    if scores and len(bins)
                ],
            }
        )
    advice = f"{chosen.in_words(choice)} {chosen.HOW}" if choice else ""
    return {"figures": figures, "advice": advice}


def _title(choice: Mapping[str, str]) -> str:
    scores = set(choice.values())
    return f"recommended: {scores.pop() if len(scores) == 1 else 'by method'}".replace("_", " ")


def _plots(
    title: str,
    scores: Mapping[str, str],
    dataset: str,
    curves: pd.DataFrame,
    names: Sequence[str],
    looks: Mapping[str, Style],
) -> dict[str, Any]:
    """Return an ROC figure and histograms of one score per method.

    Where it uses no head, the score is the same for every method, and is plotted once.
    """
    own = pd.Series(scores)
    bins = curves[curves["score"] == curves["method"].map(own)]
    shown = [name for name in names if (bins["method"] == name).any()]
    without_head = set(scores.values()) <= set(WITHOUT_HEAD)
    if without_head:
        shown = shown[:1]
        looks = {name: {**looks[name], "color": INK, "linestyle": "-"} for name in shown}
    labels = {name: "every method" if without_head else name for name in shown}
    histograms = [
        (label, _histogram(label, dataset, bins[bins["method"] == name], looks[name], scores[name]))
        for name, label in labels.items()
    ]
    return {
        "title": title,
        "without_head": without_head,
        "roc": _roc(dataset, bins, shown, looks) if shown else None,
        "histograms": histograms,
    }


def _table(own: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Return AUROC, mean over seeds, a row per method and a column per score."""
    scores = list(dict.fromkeys(own["score"]))
    means = own.groupby(["method", "score"])["auroc"].mean().unstack()
    rows = []
    for name in names:
        cells = []
        for score in scores:
            value = means.loc[name, score] if name in means.index else float("nan")
            best = len(means) > 1 and round(value, 3) == round(means[score].max(), 3)
            cells.append(("" if pd.isna(value) else f"{100 * value:.1f}", best))
        rows.append({"method": name, "cells": cells})
    return {"scores": [score.replace("_", " ") for score in scores], "rows": rows}


def _roc(
    dataset: str, bins: pd.DataFrame, names: Sequence[str], looks: Mapping[str, Style]
) -> Markup:
    """Plot shares of test and OOD images above a threshold against each other, mean over seeds."""
    grid = np.linspace(0, 1, 101)
    with panel((3.6, 3.4)) as axes:
        axes.plot([0, 1], [0, 1], color=BASELINE, linewidth=0.8, linestyle=(0, (1, 2)))
        for name in names:
            per_seed = []
            for _, rows in bins[bins["method"] == name].groupby("seed"):
                ordered = rows.sort_values("bin", ascending=False)
                inside, outside = (
                    np.concatenate([[0.0], ordered[key].cumsum() / ordered[key].sum()])
                    for key in ("n_id", "n_ood")
                )
                per_seed.append(np.interp(grid, outside, inside))
            if per_seed:
                style = {**looks[name], "marker": ""}
                axes.plot(grid, np.mean(per_seed, axis=0), **style)
        axes.set_xlim(-0.01, 1.0)
        axes.set_ylim(0, 1.01)
        axes.xaxis.set_major_formatter(per_cent)
        axes.yaxis.set_major_formatter(per_cent)
        axes.set_xlabel("OOD images taken for in-distribution")
        axes.set_ylabel("test images recognised")
        which = f"of {len(names)} methods" if len(names) > 1 else "of one score"
        return svg_of(axes, f"ROC curves {which}, test images against {dataset}.")


def _histogram(name: str, dataset: str, bins: pd.DataFrame, style: Style, score: str) -> Markup:
    """Plot the densities of the score over test images, filled, and over OOD images, a line."""
    rows = bins[bins["seed"] == bins["seed"].min()]
    edges = np.linspace(rows["low"].min(), rows["high"].max(), _BARS + 1)
    with panel((3.1, 2.0)) as axes:
        inside, outside = (_density(rows, key, edges) for key in ("n_id", "n_ood"))
        axes.stairs(inside, edges, fill=True, color=style["color"], alpha=0.45)
        axes.stairs(outside, edges, color=BASELINE, linewidth=1.4)
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(score.replace("_", " "))
        shared = float(np.minimum(inside, outside).sum())
        return svg_of(
            axes, f"Scores of {name}: test images and {dataset} share {100 * shared:.0f}% of area."
        )


def _density(rows: pd.DataFrame, key: str, edges: FloatArray) -> FloatArray:
    """Return the share of images in each of equally wide bins, from bins of any width."""
    ordered = rows.sort_values("bin")
    places = np.concatenate([ordered["low"].to_numpy()[:1], ordered["high"].to_numpy()])
    below = np.concatenate([[0.0], ordered[key].cumsum().to_numpy() / ordered[key].sum()])
    # Where many scores are equal, edges repeat; interpolation needs them to grow.
    keep = np.append(np.diff(places) > 0, True)
    share: FloatArray = np.diff(np.interp(edges, places[keep], below[keep]))
    return share
