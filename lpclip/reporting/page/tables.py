"""Reads the reports that a page is made of, and cuts out one benchmark with one model."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lpclip.columns.registry import TABLES
from lpclip.reporting.by_method import with_shifts
from lpclip.reporting.read import typed_report
from lpclip.storage.reports import read_cells


class Tables:
    """Reports by their names (``robustness`` for ``robustness.csv``); one not given is empty."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Keep the frames."""
        self._frames = dict(frames)

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return the report of that name, empty where there is none or it has no row."""
        frame = self._frames.get(name)
        return pd.DataFrame() if frame is None else frame

    def of(self, model: str, benchmark: str) -> "Tables":
        """Return the rows of one benchmark with one model."""
        return Tables(
            {
                name: frame[(frame["model"] == model) & (frame["benchmark"] == benchmark)]
                for name, frame in self._frames.items()
                if {"model", "benchmark"}.issubset(frame.columns)
            }
        )


def read_tables(paths: Iterable[Path]) -> Tables:
    """Return the reports at these paths; the report with what shifts.csv holds per method.

    Raises:
        LpclipError: a file is missing or is no table.
    """
    frames = {}
    for path in paths:
        cells = read_cells(path)
        frames[path.stem] = typed_report(cells, path, TABLES.get(path.stem))
    if "report" in frames and "shifts" in frames:
        frames["report"] = with_shifts(frames["report"], frames["shifts"])
    return Tables(frames)
