"""The section of shifts: accuracy against severity, a table of corruptions, natural shifts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from lpclip.columns.report import REPORT
from lpclip.columns.robustness import ROBUSTNESS
from lpclip.columns.table import FRACTION
from lpclip.corruption_names import STANDARD
from lpclip.reporting.methods import Method
from lpclip.reporting.page.figure import panel, svg_of
from lpclip.reporting.page.summary import signed
from lpclip.reporting.page.tables import Tables
from lpclip.reporting.plot_style import Style, line_over_seeds, per_cent, shared_corruptions
from lpclip.reporting.report_table import clean_rows

SOURCES = {"official": "published files", "generated": "made in memory"}
_SUMMARIES = (
    "mean_corruption_accuracy", "worst_corruption_accuracy", "accuracy_lost_1_to_5",
    "mce_vs_zero_shot", "relative_mce_vs_zero_shot", "mce_vs_alexnet", "relative_mce_vs_alexnet",
)  # fmt: skip
_FULL_COLOUR = 0.2  # a difference of 20 points has the full colour


class Heat(NamedTuple):
    """A cell of the table of corruptions: accuracy, and how far from zero-shot, -1 to 1."""

    text: str
    difference: str
    heat: float


def section(
    tables: Tables, methods: Sequence[Method], looks: Mapping[str, Style]
) -> dict[str, Any]:
    """Return a block per source of corruptions, generated or official, and the natural shifts."""
    robustness = tables["robustness"]
    if robustness.empty or robustness["accuracy"].isna().all():
        return {"blocks": [], "natural": None}
    names = [method.method for method in methods]
    blocks = []
    for source, made in SOURCES.items():
        cells = robustness[robustness["source"] == source]
        if len(cells):
            clean = clean_rows(robustness)
            blocks.append(
                {
                    "source": source,
                    "made": made,
                    "figures": _severity(clean, cells, names, looks),
                    "summary": _summary(tables["report"], source),
                    "table": _heat_table(cells, methods),
                    "frost": set(cells["texture"]),
                }
            )
    natural = robustness[robustness["family"] == "natural"]
    return {"blocks": blocks, "natural": _heat_table(natural, methods) if len(natural) else None}


def _summary(report: pd.DataFrame, source: str) -> dict[str, Any] | None:
    """Return the figures of all corruptions of one source, a row per method."""
    prefix = "official_" if source == "official" else ""
    shown = [name for name in _SUMMARIES if prefix + name in report]
    shown = [name for name in shown if report[prefix + name].notna().any()]
    if not shown:
        return None
    rows = []
    for _, row in report.iterrows():
        cells = []
        for name in shown:
            scale = 100.0 if REPORT[name].unit == FRACTION else 1.0
            value = row[prefix + name]
            text = "" if pd.isna(value) else f"{scale * value:.1f}"
            if text and name == "worst_corruption_accuracy":
                text += f" ({str(row[prefix + 'worst_corruption']).replace('_', ' ')})"
            cells.append(text)
        rows.append({"method": row["method"], "cells": cells})
    return {"columns": [REPORT[name].caption for name in shown], "rows": rows}


def _severity(
    clean: pd.DataFrame, cells: pd.DataFrame, names: Sequence[str], looks: Mapping[str, Style]
) -> list[tuple[str, Markup]]:
    standard = cells[cells["shift"].isin(STANDARD)]
    shared = shared_corruptions(standard)
    points = pd.concat([clean, standard[standard["shift"].isin(shared)]])
    figures = []
    for column in ("accuracy", "ece"):
        title, ends = ROBUSTNESS[column].caption, list[str]()
        with panel() as axes:
            for name in names:
                own = points[points["method"] == name]
                line_over_seeds(axes, own, "severity", column, looks[name])
                means = own.groupby("severity")[column].mean().dropna()
                if len(means):
                    ends.append(f"{name} {per_cent(means.iloc[0])} to {per_cent(means.iloc[-1])}")
            axes.set_xticks(range(6), ["clean", "1", "2", "3", "4", "5"])
            axes.set_xlabel(f"severity (mean of {len(shared)} corruptions)")
            axes.yaxis.set_major_formatter(per_cent)
            if column == "ece":
                axes.set_ylim(bottom=0)
            figures.append(
                (title, svg_of(axes, f"{title} from clean to severity 5: {'; '.join(ends)}."))
            )
    return figures


def _heat_table(cells: pd.DataFrame, methods: Sequence[Method]) -> dict[str, Any]:
    """Return the accuracy of every method, mean over severities and seeds, a row per shift."""
    means = cells.groupby(["shift", "method"], sort=False)["accuracy"].mean().unstack()
    baseline = next((method.method for method in methods if method.kind == "zero_shot"), "")
    shifts = _in_order(cells)
    made = cells.loc[cells["family"] != "natural", "shift"]
    extra, rows = set(made) - set(STANDARD), []
    for shift in shifts:
        reference = _number(means, shift, baseline)
        row = [_heat(_number(means, shift, m.method), reference, m) for m in methods]
        rows.append({"shift": shift, "extra": shift in extra, "cells": row})
    return {"methods": [method.method for method in methods], "rows": rows}


def _heat(value: float, reference: float, method: Method) -> Heat:
    if math.isnan(value):
        return Heat("", "", 0.0)
    text = f"{100 * value:.1f}"
    if method.kind == "zero_shot" or math.isnan(reference):
        return Heat(text, "", 0.0)
    gap = value - reference
    return Heat(text, signed(gap), round(min(1.0, max(-1.0, gap / _FULL_COLOUR)), 2))


def _number(means: pd.DataFrame, shift: str, method: str) -> float:
    return float(means[method][shift]) if method in means else float("nan")


def _in_order(cells: pd.DataFrame) -> list[str]:
    """Return the standard corruptions, then the others, as they come in robustness.csv."""
    found = list(dict.fromkeys(cells["shift"]))
    return sorted(found, key=lambda shift: shift not in STANDARD)
