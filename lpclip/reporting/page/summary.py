"""The first section: every method in one table, with its difference to zero-shot."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from lpclip.columns.table import STANDARD_MEAN
from lpclip.reporting.methods import Method
from lpclip.reporting.page.tables import Tables
from lpclip.reporting.terminal import SHOWN, Shown

_COMPARED = {"accuracy": "clean", "mean_corruption_accuracy": STANDARD_MEAN}


class Cell(NamedTuple):
    """A figure of one method as text.

    Attributes:
        mean: the figure, "" where there is none.
        deviation: over seeds, "" for one seed.
        mark: "best" of the column, "unlabelled" for the best that saw no label, or "".
        difference: to zero-shot, with its interval where there is one.
        effect: "better" or "worse" than zero-shot, "unsure" where the interval holds 0, or "".
    """

    mean: str
    deviation: str = ""
    mark: str = ""
    difference: str = ""
    effect: str = ""


def section(tables: Tables, methods: Sequence[Method]) -> dict[str, Any]:
    """Return the header and rows of the table, and a sentence that sums it up."""
    report = tables["report"]
    columns = [
        column for column in SHOWN if column.name in report and report[column.name].notna().any()
    ]
    baseline = next((method.method for method in methods if method.kind == "zero_shot"), None)
    by_column = [_cells(column, report, tables["comparisons"], baseline) for column in columns]
    return {
        "columns": [column.header.replace("\n", " ") for column in columns],
        "notes": list(dict.fromkeys(column.meaning for column in columns if column.meaning)),
        "rows": [
            {
                "method": str(row["method"]),
                "n_labels": f"{int(row['n_labels']):,}",
                "cells": [cells[place] for cells in by_column],
            }
            for place, (_, row) in enumerate(report.iterrows())
        ],
        "has_labels": report["accuracy"].notna().any(),
        "has_intervals": len(tables["comparisons"]) > 0,
        "verdict": verdict(report, tables["comparisons"], baseline, methods),
    }


def compared(comparisons: pd.DataFrame, method: str, shift: str) -> "pd.Series[Any] | None":
    """Return the row of comparisons.csv for a method and a shift; None where there is none."""
    if comparisons.empty:
        return None
    rows = comparisons[(comparisons["method"] == method) & (comparisons["shift"] == shift)]
    rows = rows[rows["difference"].notna()]
    # Of two sources of corruptions, that of report.csv comes first.
    return rows.iloc[0] if len(rows) else None


def interval(row: "pd.Series[Any]") -> str:
    """Return a paired difference as text, in points: +8.0 [+6.1, +9.9]; without an interval, alone.

    An interval that is no wider than a tenth of a point is given with one more digit, so that
    only one of no width looks like it.
    """
    low, high = row["difference_low"], row["difference_high"]
    if pd.isna(low) or pd.isna(high):
        return signed(row["difference"])
    digits = 2 if 0 < high - low <= 0.001 else 1
    return f"{signed(row['difference'], digits)} [{signed(low, digits)}, {signed(high, digits)}]"


def signed(fraction: float, digits: int = 1) -> str:
    """Return a difference in points, with a true minus sign and none for what rounds to zero."""
    text = f"{100 * fraction:+.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _cells(
    column: Shown, report: pd.DataFrame, comparisons: pd.DataFrame, baseline: str | None
) -> list[Cell]:
    exact = column.scale * report[column.name]
    values = exact.round(1)
    deviations = column.scale * report[f"{column.name}_std"]
    unlabelled = report["n_labels"] == 0
    known, known_unlabelled = values.dropna().tolist(), values[unlabelled].dropna().tolist()
    best = column.best(known)
    best_unlabelled = column.best(known_unlabelled) if known_unlabelled else None
    reference = exact[report["method"] == baseline]
    cells = []
    for method, value, number, deviation, free in zip(
        report["method"], values, exact, deviations, unlabelled, strict=True
    ):
        if pd.isna(value):
            cells.append(Cell(""))
            continue
        mark = "best" if value == best else ""
        if not mark and free and value == best_unlabelled:
            mark = "unlabelled"
        difference = effect = ""
        if len(reference) and method != baseline and pd.notna(reference.iloc[0]):
            gap = float(number - reference.iloc[0]) / 100
            difference = signed(gap)
            better = (gap > 0) == (column.best([0.0, 1.0]) == 1.0)
            effect = "unsure" if round(gap, 4) == 0 else "better" if better else "worse"
            row = compared(comparisons, method, _COMPARED.get(column.name, ""))
            if row is not None:
                difference, effect = interval(row), effect_of(row)
        spread = f"{deviation:.1f}" if pd.notna(deviation) else ""
        cells.append(Cell(f"{value:.1f}", spread, mark, difference, effect))
    return cells


def effect_of(row: "pd.Series[Any]") -> str:
    """Return whether the interval of a paired difference in accuracy excludes 0."""
    if row["difference_low"] > 0:
        return "better"
    return "worse" if row["difference_high"] < 0 else "unsure"


def verdict(
    report: pd.DataFrame,
    comparisons: pd.DataFrame,
    baseline: str | None,
    methods: Sequence[Method],
) -> str:
    """Return which head to ship, by what is known without a label, then which was most accurate."""
    trained = report[
        (report["n_labels"] == 0) & (report["method"] != baseline) & report["accuracy"].notna()
    ]
    start = report[report["method"] == baseline]
    if trained.empty or start.empty or start["accuracy"].isna().all():
        return ""
    zero = start.iloc[0]
    best = trained.nlargest(1, "accuracy").iloc[0]
    guarded = [method.method for method in methods if method.kind == "guarded"]
    shipped = trained[trained["method"].isin(guarded)]
    if shipped.empty:
        return (
            f"Of the methods that saw no label, {best['method']} is the most accurate on clean "
            f"images: {_against(best, zero, comparisons)} It was picked from this very table, "
            "which flatters it a little."
        )
    own = shipped.iloc[0]
    sentence = (
        f"Ship {own['method']}, whose head was chosen without a label. On clean images it is right "
        f"for {_against(own, zero, comparisons)}"
    )
    if _same(own, zero):
        sentence = f"Ship zero-shot's own head, {baseline}: the guard of {own['method']} kept it."
    if best["accuracy"] <= max(own["accuracy"], zero["accuracy"]):
        return sentence
    row = compared(comparisons, best["method"], "clean")
    gain = interval(row) if row is not None else signed(best["accuracy"] - zero["accuracy"])
    return sentence + (
        f" In this table {best['method']} is more accurate: {100 * best['accuracy']:.1f} % of "
        f"clean images ({gain} points). Only the labels of the test set show that; it was picked "
        "by them, which flatters it a little."
    )


def _against(row: "pd.Series[Any]", zero: "pd.Series[Any]", comparisons: pd.DataFrame) -> str:
    """Return accuracies and calibration of a method against those of zero-shot."""
    found = compared(comparisons, row["method"], "clean")
    gain = interval(found) if found is not None else signed(row["accuracy"] - zero["accuracy"])
    sentence = (
        f"{100 * row['accuracy']:.1f} %, against {100 * zero['accuracy']:.1f} % for "
        f"{zero['method']} ({gain} points)."
    )
    if pd.notna(row["mean_corruption_accuracy"]):
        found = compared(comparisons, row["method"], STANDARD_MEAN)
        gap = row["mean_corruption_accuracy"] - zero["mean_corruption_accuracy"]
        gain = interval(found) if found is not None else signed(gap)
        sentence += (
            f" Under corruption it is right for {100 * row['mean_corruption_accuracy']:.1f} % "
            f"({gain} points)."
        )
    closer = "closer to" if row["ece"] < zero["ece"] else "further from"
    return sentence + (
        f" Its confidence is {closer} its accuracy: the calibration error is "
        f"{100 * row['ece']:.1f} against {100 * zero['ece']:.1f}."
    )


def _same(one: "pd.Series[Any]", other: "pd.Series[Any]") -> bool:
    """Return whether two methods have the same figures on clean images, as one head has."""
    return bool(one["accuracy"] == other["accuracy"] and one["ece"] == other["ece"])
