"""CSV files of results: written by their table of columns, read back with its types."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.columns.table import Column, Table, Type
from lpclip.errors import LpclipError
from lpclip.storage.file_kinds import CSV, type_of
from lpclip.storage.opening import make_again, unreadable
from lpclip.utils.atomic import atomic_path

_EXAMPLE = " Name a file such as results/report.csv."
_DIGITS = 6  # significant ones of what people read
# Of the tables of one experiment: the report computes with them, and a standard deviation is a
# small difference of large numbers.
_DIGITS_OF_PARTS = 9

Rows = pd.DataFrame | Iterable[Mapping[str, Any]]


def write_part(rows: Rows, path: Path, table: Table) -> None:
    """As `write_report`, for a table of one experiment, which the report gathers."""
    write_report(rows, path, table, digits=_DIGITS_OF_PARTS)


def write_report(rows: Rows, path: Path, table: Table, *, digits: int = _DIGITS) -> None:
    """Write a CSV file, whole or not at all: one header row, empty cells for nan.

    Args:
        rows: with exactly the columns of the table, in any order; may be none.
        path: of the file.
        table: its columns.
        digits: significant ones of a number that is not whole.

    Raises:
        ValueError: a column is missing or unknown, or holds another type.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    if frame.columns.empty:
        frame = pd.DataFrame(columns=list(table.names))
    if different := set(map(str, frame)) ^ set(table.names):
        raise ValueError(
            f"{table.name} has other columns than its table: {', '.join(sorted(different))}"
        )
    checked = pd.DataFrame({column.name: _checked(frame, column) for column in table.columns})
    with atomic_path(path) as temporary:
        checked.to_csv(temporary, index=False, float_format=f"%.{digits}g", lineterminator="\n")


def _checked(frame: pd.DataFrame, column: Column) -> "pd.Series[Any]":
    cells = frame[column.name]
    try:
        if column.type == "text":
            if not cells.map(lambda cell: isinstance(cell, str)).all():
                raise TypeError("a cell holds no text")
            return cells
        if column.type == "number":
            return cells.astype("float64")
        whole = cells.astype("Int64")  # refuses fractions
        return whole if column.type == "count" else whole.astype("int64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"column '{column.name}' is no {column.type}: {error}") from error


def read_cells(path: Path, *, dtype: Any = str) -> pd.DataFrame:
    """A CSV file, every cell as text, or of the given types by column.

    Raises:
        LpclipError: the file is missing or no CSV file.
    """
    # Nothing is taken for a missing value: a method or a class may be called "null".
    try:
        return pd.read_csv(path, dtype=dtype, keep_default_na=False)
    except (OSError, ValueError, OverflowError) as error:  # pandas' own are ValueErrors
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).strip()
        raise unreadable(path, CSV, reason, _EXAMPLE) from error


def no_report(path: Path, lacking: Iterable[str], advice: str = _EXAMPLE) -> LpclipError:
    """Return the error for a file of cells that lacks columns of the report that was expected."""
    return LpclipError(
        f"{path} is {type_of(path)}, but not the expected report of lpclip: it lacks the columns "
        f"{', '.join(lacking)}.{advice}"
    )


def typed_cells(cells: pd.DataFrame, path: Path, table: Table) -> pd.DataFrame:
    """The columns of a table, which may have more, with their types.

    Raises:
        LpclipError: a column is missing or holds another type.
    """
    if missing := [name for name in table.names if name not in cells]:
        raise no_report(path, missing, make_again(path))
    return pd.DataFrame(
        {column.name: typed(cells[column.name], column.type, path) for column in table.columns}
    )


def typed(cells: "pd.Series[Any]", type_: Type, path: Path) -> "pd.Series[Any]":
    """Cells of text as values of a type; nan for an empty number.

    Raises:
        LpclipError: something else is in one of them; a whole number is missing.
    """
    if type_ == "text":
        return cells
    try:
        values = [float(cell) if cell else float("nan") for cell in cells]
    except ValueError as error:
        raise LpclipError(f"{path}: column '{cells.name}' holds no numbers ({error}).") from error
    found = pd.Series(values, index=cells.index, dtype="float64", name=cells.name)
    if type_ == "number":
        return found
    # nan is no whole number; a count may be missing. Beyond 2**53 a float64 skips numbers.
    counts = found if type_ == "integer" else found.dropna()
    if not ((counts.abs() <= 2**53) & (counts.fillna(0.5) % 1 == 0)).all():
        raise LpclipError(
            f"{path}: column '{cells.name}' holds something other than whole numbers."
        )
    return found.astype("int64" if type_ == "integer" else "Int64")
