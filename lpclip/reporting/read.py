"""Reports as frames: every column has the type of its table, whatever is in its cells."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.columns.registry import TABLES
from lpclip.columns.table import METHOD_NAMES, Column, Table
from lpclip.errors import LpclipError
from lpclip.storage.opening import make_again
from lpclip.storage.reports import no_report, read_cells, typed

# Columns of report.csv that every version has had.
_ALWAYS = (
    *METHOD_NAMES, "n_labels", "n_seeds", "student_view", "strong_policy", "frost_texture",
    "accuracy", "accuracy_std",
)  # fmt: skip


def read_report(path: str | Path) -> pd.DataFrame:
    """Return one DataFrame of a CSV file that lpclip wrote: ``report.csv`` and the other tables.

    Text stays text (a class called "NA" is no missing value), whole numbers are whole (``Int64``,
    which may be missing), everything else is float64 with nan for an empty cell.

    >>> import lpclip
    >>> report = lpclip.read_report("results/report.csv")
    >>> report[["method", "n_labels", "accuracy", "accuracy_std"]]
          method  n_labels  accuracy  accuracy_std
    0  zero_shot         0      0.76           NaN
    1    lp_clip         0      0.86          0.01

    Args:
        path: the file.

    Raises:
        LpclipError: the file is missing, no report, or lacks a column of its kind.
    """
    path = Path(path)
    cells = read_cells(path)
    table = table_of(map(str, cells))
    if table is None and not set(METHOD_NAMES) <= set(cells):
        raise no_report(path, (name for name in METHOD_NAMES if name not in cells))
    if table is None and path.stem in TABLES:
        lacking = ", ".join(name for name in _required(TABLES[path.stem]) if name not in cells)
        raise LpclipError(
            f"{path} lacks the columns {lacking}. Was it made by another version of lpclip?"
            f"{make_again(path)}"
        )
    return typed_report(cells, path, table)


def typed_report(cells: pd.DataFrame, path: Path, table: Table | None) -> pd.DataFrame:
    """Return cells with the types of a table; without one, of any table that has the column.

    Raises:
        LpclipError: a column holds another type.
    """
    return cells.apply(lambda column: _typed(path, column, _column(table, str(column.name))))


def table_of(columns: Iterable[str]) -> Table | None:
    """Return the table that has these columns; None where it is none of ``TABLES``."""
    found = set(columns)
    return next((table for table in TABLES.values() if found.issuperset(_required(table))), None)


def _required(table: Table) -> tuple[str, ...]:
    return _ALWAYS if table.name == "report" else table.names


def _column(table: Table | None, name: str) -> Column | None:
    """Return the column of a name; None for one of another version of lpclip."""
    found = None if table is None else table.column(name)
    return found or next(filter(None, (other.column(name) for other in TABLES.values())), None)


def _typed(path: Path, cells: "pd.Series[Any]", column: Column | None) -> "pd.Series[Any]":
    if column is not None:
        return typed(cells, column.type, path)
    try:
        return typed(cells, "number", path)
    except LpclipError:
        return cells  # what is no number is text
