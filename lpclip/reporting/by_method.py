"""All figures of a method in one row: report.csv with those that other tables hold.

Their names are those of reports of earlier versions, which held them all; so old and new reports
are shown and compared alike.
"""

import re

import pandas as pd

from lpclip.columns.report import OF_ALL_CORRUPTIONS
from lpclip.columns.table import METHOD_NAMES, STANDARD_MEAN
from lpclip.reporting.report_table import detection_table

_KEYS = list(METHOD_NAMES)
_OF_CLEAN = ("top5_accuracy", "mean_per_class_accuracy", "confidence")


def with_shifts(report: pd.DataFrame, shifts: pd.DataFrame) -> pd.DataFrame:
    """Return the report and, for each method, the figures of shifts.csv that it lacks.

    Args:
        report: report.csv of any version, as text or typed.
        shifts: shifts.csv likewise.
    """
    parts = [_of(shifts[shifts["shift"] == "clean"], {name: name for name in _OF_CLEAN})]
    for source, prefix in (("generated", ""), ("official", "official_")):
        rows = shifts[(shifts["shift"] == STANDARD_MEAN) & (shifts["source"] == source)]
        names = {name: f"{prefix}{here}" for name, here in OF_ALL_CORRUPTIONS.items()}
        parts.append(_of(rows, names) if len(rows) else rows[_KEYS])
    for shift, rows in shifts[shifts["family"] == "natural"].groupby("shift", sort=True):
        own = re.sub(r"[^A-Za-z0-9]", "_", str(shift))
        parts.append(_of(rows, {"effective_robustness": f"effective_robustness_{own}"}))
    return _joined(report, parts)


def with_detection(report: pd.DataFrame, ood: pd.DataFrame) -> pd.DataFrame:
    """Return the report with every score of ood.csv per method, mean over the sets of a group."""
    long = detection_table(ood)
    parts = [
        rows[[*_KEYS, "mean", "std"]].rename(columns={"mean": name, "std": f"{name}_std"})
        for name, rows in long.groupby("name", sort=False)
    ]
    return _joined(report, parts)


def _of(rows: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Return the columns of some rows, one per method, and their deviations, renamed."""
    renamed = {
        f"{name}{end}": f"{here}{end}" for name, here in names.items() for end in ("", "_std")
    }
    return rows[[*_KEYS, *(name for name in renamed if name in rows)]].rename(columns=renamed)


def _joined(report: pd.DataFrame, parts: list[pd.DataFrame]) -> pd.DataFrame:
    for part in parts:
        new = [name for name in part if name not in report]
        if new:
            once = part.drop_duplicates(_KEYS)[[*_KEYS, *new]]
            report = report.merge(once, on=_KEYS, how="left")
    return report
