"""Reads the reports that a page is made of, and cuts out one benchmark with one model."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lpclip.errors import LpclipError
from lpclip.reporting.read import TEXT, read_cells


class Tables:
    """Reports by their names (``robustness`` for ``robustness.csv``); one not given is empty."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Keep the frames."""
        self._frames = dict(frames)

    def __getitem__(self, name: str) -> pd.DataFrame:
        """The report of that name, empty where there is none or it has no row."""
        frame = self._frames.get(name)
        return pd.DataFrame() if frame is None else frame

    def of(self, model: str, benchmark: str) -> "Tables":
        """The rows of one benchmark with one model."""
        return Tables(
            {
                name: frame[(frame["model"] == model) & (frame["benchmark"] == benchmark)]
                for name, frame in self._frames.items()
                if {"model", "benchmark"}.issubset(frame.columns)
            }
        )


def read_tables(paths: Iterable[Path]) -> Tables:
    """The reports at these paths.

    Raises:
        LpclipError: a file is missing or is no table.
    """
    return Tables({path.stem: _read(path) for path in paths})


def _read(path: Path) -> pd.DataFrame:
    table = read_cells(path)
    for column in table.columns:
        if column not in TEXT:
            try:
                table[column] = [float(cell) if cell else float("nan") for cell in table[column]]
            except ValueError as error:
                raise LpclipError(f"{path}: column '{column}' has no numbers ({error}).") from error
    return table
