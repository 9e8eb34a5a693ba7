"""Reads the evaluation's CSV files into one checked and sorted table per kind."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.columns.ood import GROUPS
from lpclip.columns.table import EXPERIMENT_NAMES, METHOD_NAMES, Table
from lpclip.corruption_names import EXTRA, FAMILIES, OTHER, STANDARD
from lpclip.errors import LpclipError
from lpclip.ood_score_names import SCORES
from lpclip.reporting.methods import Methods
from lpclip.storage.reports import read_cells, typed_cells

# Values in the order in which rows are listed; others follow, in alphabetical order.
_ORDERS: Mapping[str, tuple[str, ...]] = {
    "family": ("clean", *FAMILIES, OTHER),
    "shift": ("clean", *STANDARD, *EXTRA),
    "source": ("clean", "generated", "official"),
    "group": GROUPS,
    "score": SCORES,
}


def read_parts(table: Table, paths: Iterable[Path], methods: Methods) -> pd.DataFrame:
    """Return one frame of all rows, sorted by the configured methods, then by the table's keys.

    Args:
        table: the columns.
        paths: CSV files with exactly these columns, in any order; may be none.
        methods: the methods that may occur.

    Raises:
        LpclipError: see `lpclip.reporting.stage.write_reports`.
    """
    frames = [_read(path, table, methods) for path in sorted(set(paths))]
    if not frames:
        return pd.DataFrame(columns=list(table.names))
    found = pd.concat(frames, ignore_index=True)
    repeated = found[found.duplicated(list(table.keys))]
    if len(repeated):
        values = ", ".join(f"{name} {repeated.iloc[0][name]}" for name in table.keys)
        raise LpclipError(f"Two {table.name} rows describe the same result: {values}.")
    order = sorted(range(len(found)), key=_sort_keys(table, found, methods).__getitem__)
    return found.iloc[order].reset_index(drop=True)


def _read(path: Path, table: Table, methods: Methods) -> pd.DataFrame:
    cells = read_cells(path)
    missing = [name for name in table.names if name not in cells]
    unknown = [str(name) for name in cells.columns if name not in table.names]
    if missing or unknown:
        raise LpclipError(
            f"{path}: not a table of kind '{table.name}': it lacks the columns "
            f"[{', '.join(missing)}] and has the unknown columns [{', '.join(unknown)}]."
        )
    known = {method[:3] for method in methods.all}
    for found in cells[list(METHOD_NAMES)].drop_duplicates().itertuples(index=False, name=None):
        if found not in known:
            model, benchmark, method = found
            raise LpclipError(
                f"{path}: method '{method}' of benchmark '{benchmark}' and model '{model}' is "
                "not among the methods to report on."
            )
    return typed_cells(cells, path, table)


def _sort_keys(table: Table, found: pd.DataFrame, methods: Methods) -> list[tuple[Any, ...]]:
    """Return model, benchmark, method, other keys and seed, if there is one, for each row."""
    keys: list[list[Any]] = [
        [methods.rank(name, value) for value in found[name]] for name in METHOD_NAMES
    ]
    # Corruptions that are not of the 19 follow within their family, natural shifts come last.
    others = (name for name in table.keys if name not in EXPERIMENT_NAMES)
    names = (*("family",) * ("family" in found), *others, *("seed",) * ("seed" in found))
    for name in names:
        order = _ORDERS.get(name, ())
        ranks = {value: rank for rank, value in enumerate(order)}
        if order:
            keys.append([(ranks.get(value, len(order)), value) for value in found[name]])
        else:
            keys.append(list(found[name].fillna(-1)))
    return list(zip(*keys, strict=True))
