"""What is better or worse in one report than in another, and whether that is more than noise."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from lpclip.columns.ood import OOD
from lpclip.columns.report import ON_GENERATED, REPORT, SHIFTS
from lpclip.columns.table import FRACTION, METHOD_NAMES
from lpclip.errors import LpclipError
from lpclip.reporting.by_method import with_detection, with_shifts
from lpclip.reporting.read import read_report, table_of
from lpclip.reporting.terminal import SHOWN, aligned
from lpclip.storage.reports import read_cells, typed, typed_cells

LEVEL = 0.95
_ROUNDING = 1e-5  # of figures with six digits
_OF_CLEAN_IMAGES = ("accuracy", "mean_corruption_accuracy")  # whose noise follows from their number

Row = Mapping[str, Any]


class Change(NamedTuple):
    """How one figure of one method changed.

    Attributes:
        method: the method.
        figure: column of report.csv.
        before: its value in the first report.
        after: in the second.
        margin: how large a change noise alone makes, at most, 95 times out of 100; nan: unknown.
        verdict: ``better``, ``worse``, ``within noise``, ``same``, ``changed`` (neither way is
            better) or ``unknown`` (one seed).
    """

    method: str
    figure: str
    before: float
    after: float
    margin: float
    verdict: str


class Comparison(NamedTuple):
    """Two reports, figure by figure.

    Attributes:
        changes: (model, benchmark) -> changes of the methods that both reports have.
        notes: sentences on what makes figures hard to compare.
        only: sentences on the methods that one report alone has.
    """

    changes: dict[tuple[str, str], list[Change]]
    notes: list[str]
    only: list[str]


def compare(before: Path, after: Path, *, every: bool = False) -> str:
    """Return text for a terminal: a table per model and benchmark, then what only one has.

    Args:
        before: a report.csv; other tables next to it are read, too.
        after: another.
        every: all figures, not only those of the summary.

    Raises:
        LpclipError: one of them is no report.csv, or they have no method in common.
    """
    found = comparison(before, after, every=every)
    blocks = [f"before: {before}\nafter:  {after}"]
    blocks += [
        f"{benchmark}, model {model}\n\n{_table(changes)}"
        for (model, benchmark), changes in found.changes.items()
    ]
    verdicts = [change.verdict for changes in found.changes.values() for change in changes]
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + "."
    return "\n\n".join([*blocks, "\n".join([*found.notes, summary, *found.only])])


def comparison(before: Path, after: Path, *, every: bool = False) -> Comparison:
    """Compare two reports; see ``compare``."""
    tables = [_read(path) for path in (before, after)]
    first, second = ({_name(row): row for row in _rows(table)} for table in tables)
    images = [_images(path) for path in (before, after)]
    both = [name for name in first if name in second]
    only = [
        f"Only in {path}: {', '.join('/'.join(name) for name in names)}."
        for path, names in (
            (before, [name for name in first if name not in second]),
            (after, [name for name in second if name not in first]),
        )
        if names
    ]
    if not both:
        raise LpclipError(
            f"{before} and {after} have no method of the same model and benchmark in common. "
            + " ".join(only)
        )
    numeric = [table.select_dtypes("number") for table in tables]
    names = [str(name) for name in numeric[0] if name in numeric[1]]
    figures = [name for name in names if f"{name}_std" in names]
    if not every:
        figures = [column.name for column in SHOWN if column.name in figures]
    changes: dict[tuple[str, str], list[Change]] = {}
    notes = list[str]()
    for name in both:
        a, b = first[name], second[name]
        notes += list(_differences(name, a, b))
        shown = [f for f in figures if _comparable(f, a, b)]
        of_method = changes_of(a, b, shown, tuple(n.get(name) for n in images))
        changes.setdefault((name[0], name[1]), []).extend(of_method)
    return Comparison(changes, list(dict.fromkeys(notes)), only)


def changes_of(
    before: Row, after: Row, figures: Iterable[str], images: tuple[int | None, ...]
) -> list[Change]:
    """Return the changes of one method.

    The variance of a difference is the sum of those that are known of four: of the mean over the
    seeds of either report, std² / n_seeds with n_seeds - 1 degrees of freedom, and for accuracies
    that of the test images of either, p (1 - p) / n. The margin is Student's t for the degrees of
    freedom of the sum (Welch-Satterthwaite) times its root.

    Args:
        before: row of the first report.
        after: row of the second.
        figures: columns to compare; a figure that either lacks is left out.
        images: n of the clean test set in either, None where it is not known.
    """
    changes = []
    for name in figures:
        a, b = float(before[name]), float(after[name])
        if math.isnan(a) or math.isnan(b):
            continue
        seeds = [_of_seeds(row, name) for row in (before, after)]
        of_images = [
            (value * (1 - value) / n, math.inf)
            for value, n in zip((a, b), images, strict=True)
            if n and name in _OF_CLEAN_IMAGES
        ]
        terms = [term for term in [*seeds, *of_images] if term is not None]
        known = len(of_images) == 2 or None not in seeds
        margin = _margin(terms) if known else math.nan
        same = math.isclose(a, b, rel_tol=_ROUNDING)
        verdict = "same" if same else _verdict(name, b - a, margin)
        changes.append(Change(str(before["method"]), name, a, b, margin, verdict))
    return changes


def _of_seeds(row: Row, name: str) -> tuple[float, float] | None:
    """Return the variance of the mean over seeds and its degrees of freedom."""
    deviation, n = float(row[f"{name}_std"]), int(row["n_seeds"])
    return None if n < 2 or math.isnan(deviation) else (deviation * deviation / n, n - 1)


def _margin(terms: list[tuple[float, float]]) -> float:
    total = sum(variance for variance, _ in terms)
    if total == 0:
        return 0.0
    if not 0 < total < math.inf:
        return math.nan  # of figures that are no fractions
    freedom = sum(variance * variance / of for variance, of in terms)
    quantile = (1 + LEVEL) / 2
    if freedom == 0:
        return float(stats.norm.ppf(quantile)) * math.sqrt(total)
    return float(stats.t.ppf(quantile, total * total / freedom)) * math.sqrt(total)


def _verdict(name: str, change: float, margin: float) -> str:
    if math.isnan(margin):
        return "unknown"
    if abs(change) <= margin:
        return "within noise"
    column = REPORT.column(name)
    if column is None or column.better == "none":
        return "changed"
    return "better" if (change > 0) == (column.better == "higher") else "worse"


def _read(path: Path) -> pd.DataFrame:
    """Return report.csv and what other tables of the same run hold per method."""
    report = read_report(path)
    if table_of(map(str, report)) is not REPORT:
        raise LpclipError(f"{path} is not a report.csv, one row per method. Name that file.")
    for table, add in ((SHIFTS, with_shifts), (OOD, with_detection)):
        other = path.with_name(f"{table.name}.csv")
        if other.is_file():
            report = add(report, typed_cells(read_cells(other), other, table))
    return report


def _rows(table: pd.DataFrame) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _name(row: Row) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in METHOD_NAMES)


def _images(report: Path) -> dict[tuple[str, ...], int]:
    """Return the number of clean test images of every method, from robustness.csv."""
    path = report.with_name("robustness.csv")
    if not path.is_file():
        return {}
    table = read_cells(path)  # of another version, too, if it has these columns
    if not {*METHOD_NAMES, "family", "n"} <= set(table):
        return {}
    whole = table["subset"] == "" if "subset" in table else True
    clean = table[(table["family"] == "clean") & whole]
    counts = typed(clean["n"], "integer", path)
    return {_name(row): int(n) for row, n in zip(_rows(clean), counts, strict=True)}


def _comparable(figure: str, before: Row, after: Row) -> bool:
    return before["frost_texture"] == after["frost_texture"] or figure not in ON_GENERATED


def _differences(name: tuple[str, ...], before: Row, after: Row) -> Iterator[str]:
    """Yield sentences on what makes figures hard to compare."""
    textures = [row["frost_texture"] or "not there" for row in (before, after)]
    if textures[0] != textures[1]:
        yield (
            f"{'/'.join(name[:2])}: generated frost is {textures[0]} before and {textures[1]} "
            "after; figures on generated corruptions are left out."
        )
    if before["n_labels"] != after["n_labels"]:
        seen = f"{before['n_labels']} labels before and {after['n_labels']} after"
        yield f"{'/'.join(name)} saw {seen}."


def figure_name(column: str) -> str:
    """Return the name of a figure for people."""
    headers = {one.name: " ".join(one.header.split()) for one in SHOWN}
    return headers.get(column, column)


def in_scale(column: str, value: float) -> float:
    """Return a value as it is shown: fractions in per cent."""
    described = REPORT.column(column)
    return value * (100 if described is None or described.unit == FRACTION else 1)


def _table(changes: list[Change]) -> str:
    lines = [["method", "figure", "before", "after", "change", "noise", ""]]
    method = ""
    for change in changes:
        name = change.figure
        values = [f"{in_scale(name, value):.2f}" for value in (change.before, change.after)]
        difference = f"{in_scale(name, change.after - change.before):+.2f}"
        noise = "?" if math.isnan(change.margin) else f"±{in_scale(name, change.margin):.2f}"
        shown = "" if change.method == method else change.method
        method = change.method
        lines.append([shown, figure_name(name), *values, difference, noise, change.verdict])
    return aligned(lines, left=(0, 1, 6))
