"""Reports as frames: every column has the type that its schema says, whatever is in its cells."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lpclip.errors import LpclipError
from lpclip.reporting import guard
from lpclip.reporting.evaluation_tables import COLUMNS, numbers
from lpclip.reporting.methods import NAMES
from lpclip.storage.opening import make_again


class Kind(NamedTuple):
    """A kind of table.

    Attributes:
        rows: what one row is.
        columns: those that every such table has.
    """

    rows: str
    columns: tuple[str, ...]


# Which columns there are and what is in them: workflow/schemas/reports, which tests compare.
_REPORT_TEXT = ("student_view", "strong_policy", "frost_texture", "worst_corruption")
_TYPES: Mapping[str, str] = {
    **{name: type_ for columns in COLUMNS.values() for name, type_ in columns.items()},
    **dict.fromkeys(
        (*_REPORT_TEXT, "official_worst_corruption", "decision", "id", "path", "reason"), "text"
    ),
    **dict.fromkeys(("n_labels", "n_seeds"), "integer"),
}
# Columns that are text whatever their cells look like: a class may be called "NA" or "007".
TEXT = frozenset(name for name, type_ in _TYPES.items() if type_ == "text")
SKIPPED = ("dataset", "id", "path", "reason")

KINDS: Mapping[str, Kind] = {
    "report": Kind(
        "one row per model, benchmark and method; means over seeds",
        (*NAMES, "n_labels", "n_seeds", *_REPORT_TEXT, "accuracy", "accuracy_std"),
    ),
    "robustness": Kind("one row per experiment, shift and severity", tuple(COLUMNS["robustness"])),
    "ood": Kind("one row per experiment, foreign set and score", tuple(COLUMNS["ood"])),
    "rounds": Kind("one row per experiment and round", tuple(COLUMNS["rounds"])),
    "per_class": Kind("one row per experiment and class", tuple(COLUMNS["per_class"])),
    "comparisons": Kind(
        "one row per method, shift and severity: the difference to zero-shot",
        tuple(COLUMNS["comparisons"]),
    ),
    "reliability": Kind(
        "one row per experiment, shift, severity and bin of confidence",
        tuple(COLUMNS["reliability"]),
    ),
    "ood_curves": Kind(
        "one row per experiment, foreign set, score and bin of scores", tuple(COLUMNS["ood_curves"])
    ),
    "confusion": Kind(
        "one row per experiment, true class and pseudo-label", tuple(COLUMNS["confusion"])
    ),
    "ood_held_out": Kind(
        "one row per experiment and score: detection of held-out classes",
        tuple(COLUMNS["ood_held_out"]),
    ),
    "guard": Kind("one row per guarded method and strength", guard.COLUMNS),
    "skipped": Kind("one row per dataset and image that was left out", SKIPPED),
}


def read_report(path: str | Path) -> pd.DataFrame:
    """One DataFrame of a CSV file that lpclip wrote: ``report.csv`` and its siblings.

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
    table = read_cells(path)
    kind = kind_of(map(str, table))
    if kind is None and not set(NAMES) <= set(table):
        lacking = ", ".join(name for name in NAMES if name not in table)
        raise LpclipError(f"{path}: not a report of lpclip's: it lacks {lacking}.")
    if kind is None and path.stem in KINDS:
        lacking = ", ".join(name for name in KINDS[path.stem].columns if name not in table)
        raise LpclipError(
            f"{path} lacks the columns {lacking}. Was it made by another version of lpclip?"
            f"{make_again(path)}"
        )
    # Other versions of lpclip had or will have other columns: of those, what is no number is text.
    types = {**_TYPES, **COLUMNS.get(kind or "", {})}
    return table.apply(lambda cells: _typed(path, cells, types.get(str(cells.name), "guess")))


def kind_of(columns: Iterable[str]) -> str | None:
    """The kind of table that has these columns; None where it is none of ``KINDS``."""
    found = set(columns)
    return next((name for name, kind in KINDS.items() if found.issuperset(kind.columns)), None)


def read_cells(path: Path) -> pd.DataFrame:
    """A CSV file, every cell as text.

    Raises:
        LpclipError: the file is missing or no CSV file.
    """
    # As text: a method called "null" is no missing value.
    return read_csv(path, dtype=str)


def read_csv(path: Path, *, dtype: Any) -> pd.DataFrame:
    """A CSV file with its columns of the given types, nothing taken for a missing value.

    Raises:
        LpclipError: the file is missing or no CSV file.
    """
    try:
        return pd.read_csv(path, dtype=dtype, keep_default_na=False)
    except (OSError, ValueError, OverflowError) as error:  # pandas' own are ValueErrors
        raise LpclipError(f"{path}: not a readable report ({error}).") from error


def _typed(path: Path, cells: "pd.Series[Any]", type_: str) -> "pd.Series[Any]":
    if type_ == "text":
        return cells
    try:
        return numbers(cells, "number" if type_ == "guess" else type_, path)
    except LpclipError:
        if type_ == "guess":
            return cells
        raise
