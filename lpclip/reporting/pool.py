"""What unlabelled sets are: two tables of all models and benchmarks, and the same in words."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from lpclip.columns.pool import POOL, POOL_CLASSES
from lpclip.columns.table import Table
from lpclip.storage.reports import read_cells, typed_cells, write_report

_PAIR = ["model", "benchmark"]


def write_pool_tables(
    pools: Iterable[Path],
    classes: Iterable[Path],
    output: Path,
    *,
    order: Sequence[tuple[str, str]],
) -> None:
    """Write pool.csv and pool_classes.csv.

    Args:
        pools: CSV files of ``lpclip describe-pool``.
        classes: its CSV files of classes.
        output: folder of the reports.
        order: (model, benchmark) in the order in which reports list them.
    """
    for table, paths in ((POOL, pools), (POOL_CLASSES, classes)):
        write_report(_gathered(table, paths, order), output / f"{table.name}.csv", table)


def _gathered(
    table: Table, paths: Iterable[Path], order: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    parts = [typed_cells(read_cells(path), path, table) for path in paths]
    if not parts:
        return pd.DataFrame(columns=list(table.names))
    rows = pd.concat(parts, ignore_index=True)
    place = {pair: i for i, pair in enumerate(order)}
    rows["_place"] = [
        place.get(pair, len(place)) for pair in zip(rows["model"], rows["benchmark"], strict=True)
    ]
    rows = rows.sort_values(["_place", *table.keys], kind="stable", ignore_index=True)
    return rows.drop(columns="_place")


def in_words_by_pair(pool_csv: Path) -> dict[tuple[str, str], str]:
    """Return a sentence or two per (model, benchmark).

    Raises:
        LpclipError: the file is no such table.
    """
    rows = typed_cells(read_cells(pool_csv), pool_csv, POOL)
    pairs = zip(rows["model"], rows["benchmark"], rows["words"], strict=True)
    return {(model, benchmark): words for model, benchmark, words in pairs}


def in_words(pool_csv: Path) -> list[str]:
    """Return the same as lines for a terminal; errors as `in_words_by_pair`."""
    words = in_words_by_pair(pool_csv)
    several = len({model for model, _ in words}) > 1
    return [
        f"Unlabelled set of {benchmark}{f', model {model}' if several else ''}: {text}"
        for (model, benchmark), text in words.items()
    ]
