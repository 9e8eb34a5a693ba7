"""Reads the evaluation's CSV files into one checked and sorted table per kind."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.errors import LpclipError
from lpclip.metrics import EXTRA_CORRUPTIONS, STANDARD_CORRUPTIONS
from lpclip.reporting.methods import NAMES, Methods

EXPERIMENT = ("model", "benchmark", "method", "seed")
OOD_SCORES = (
    "msp", "max_logit", "energy", "entropy", "mcm", "half_way_max_logit", "half_way_mcm",
    "nearest_neighbours", "mahalanobis",
)  # fmt: skip

# Column -> type of its cells; "count" is an integer that may be missing.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "robustness": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer",
        "dataset": "text", "shift": "text", "family": "text", "source": "text",
        "texture": "text", "severity": "integer", "subset": "text", "n": "integer",
        "accuracy": "number", "accuracy_low": "number", "accuracy_high": "number",
        "top5_accuracy": "number", "top5_accuracy_low": "number", "top5_accuracy_high": "number",
        "mean_per_class_accuracy": "number", "mean_per_class_accuracy_low": "number",
        "mean_per_class_accuracy_high": "number", "ece": "number", "ece_low": "number",
        "ece_high": "number", "adaptive_ece": "number", "adaptive_ece_low": "number",
        "adaptive_ece_high": "number", "nll": "number", "nll_low": "number", "nll_high": "number",
        "brier": "number", "brier_low": "number", "brier_high": "number", "aurc": "number",
        "aurc_low": "number", "aurc_high": "number", "confidence": "number",
        "effective_robustness": "number",
    },
    "ood": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer",
        "dataset": "text", "group": "text", "score": "text", "temperature": "number",
        "n_id": "integer", "n_ood": "integer", "auroc": "number", "aupr_in": "number",
        "aupr_out": "number", "fpr95_id_pos": "number", "fpr95_ood_pos": "number",
    },
    "rounds": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer",
        "round": "integer", "status": "text", "coverage": "number",
        "pseudo_label_accuracy": "number", "confidence": "number", "balance": "number",
        "agreement": "number", "epochs": "count", "test_accuracy": "number",
    },
    "per_class": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer",
        "class_index": "integer", "class_name": "text", "n": "count", "accuracy": "number",
        "predicted_share": "number",
    },
    "comparisons": {
        "model": "text", "benchmark": "text", "method": "text", "n_seeds": "integer",
        "dataset": "text", "shift": "text", "family": "text", "source": "text",
        "severity": "count", "n": "integer", "difference": "number", "difference_low": "number",
        "difference_high": "number", "only_method": "number", "only_zero_shot": "number",
    },
    "reliability": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer", "shift": "text",
        "source": "text", "severity": "integer", "bin": "integer", "low": "number",
        "high": "number", "n": "integer", "confidence": "number", "accuracy": "number",
    },
    "ood_curves": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer",
        "dataset": "text", "group": "text", "score": "text", "bin": "integer", "low": "number",
        "high": "number", "n_id": "integer", "n_ood": "integer",
    },
    "ood_held_out": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer",
        "score": "text", "n_groups": "integer", "n_images": "integer", "auroc": "number",
    },
    "confusion": {
        "model": "text", "benchmark": "text", "method": "text", "seed": "integer",
        "round": "integer", "class_index": "integer", "class_name": "text",
        "pseudo_label_index": "integer", "pseudo_label_name": "text", "n": "integer",
    },
}  # fmt: skip

# What, besides the experiment, tells one row from another. A temperature does not: scores at
# two temperatures must not end up in one mean.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "robustness": ("shift", "source", "severity", "subset"),
    "ood": ("group", "dataset", "score"),
    "rounds": ("round",),
    "per_class": ("class_index",),
    "comparisons": ("shift", "source", "severity"),
    "reliability": ("shift", "source", "severity", "bin"),
    "ood_curves": ("group", "dataset", "score", "bin"),
    "ood_held_out": ("score",),
    "confusion": ("class_index", "pseudo_label_index"),
}

# Values in the order in which rows are listed; others follow, in the order of the alphabet.
_ORDERS: Mapping[str, tuple[str, ...]] = {
    "family": ("clean", "noise", "blur", "weather", "digital"),
    "shift": ("clean", *STANDARD_CORRUPTIONS, *EXTRA_CORRUPTIONS),
    "source": ("clean", "generated", "official"),
    "group": ("near", "far"),
    "score": OOD_SCORES,
}


def read_parts(kind: str, paths: Iterable[Path], methods: Methods) -> pd.DataFrame:
    """One table of all rows, sorted by the configuration's methods and then by the kind's key.

    Args:
        kind: a name in `COLUMNS`.
        paths: CSV files with exactly the columns of that kind, in any order; may be none.
        methods: the methods that may occur.

    Raises:
        LpclipError: see `lpclip.reporting.stage.write_reports`.
    """
    frames = [_read(path, kind, methods) for path in sorted(set(paths))]
    columns = list(COLUMNS[kind])
    if not frames:
        return pd.DataFrame(columns=columns)
    table = pd.concat(frames, ignore_index=True)
    key = [name for name in (*EXPERIMENT, *_KEYS[kind]) if name in columns]
    repeated = table[table.duplicated(key)]
    if len(repeated):
        values = ", ".join(f"{name} {repeated.iloc[0][name]}" for name in key)
        raise LpclipError(f"Two {kind} rows describe the same result: {values}.")
    order = sorted(range(len(table)), key=_sort_keys(kind, table, methods).__getitem__)
    return table.iloc[order].reset_index(drop=True)


def _read(path: Path, kind: str, methods: Methods) -> pd.DataFrame:
    # As text first: pandas would read a class called "NA" or "null" as missing.
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise LpclipError(f"{path}: not a readable CSV file ({error}).") from error
    columns = COLUMNS[kind]
    missing = [name for name in columns if name not in table]
    unknown = [str(name) for name in table.columns if name not in columns]
    if missing or unknown:
        raise LpclipError(
            f"{path}: not a table of kind '{kind}': it lacks the columns "
            f"[{', '.join(missing)}] and has the unknown columns [{', '.join(unknown)}]."
        )
    for name, type_ in columns.items():
        if type_ != "text":
            table[name] = numbers(table[name], type_, path)
    known = {method[:3] for method in methods.all}
    for found in table[list(NAMES)].drop_duplicates().itertuples(index=False, name=None):
        if found not in known:
            model, benchmark, method = found
            raise LpclipError(
                f"{path}: method '{method}' of benchmark '{benchmark}' and model '{model}' is "
                "not among the methods to report on."
            )
    return table[list(columns)]


def numbers(cells: "pd.Series[Any]", type_: str, path: Path) -> "pd.Series[Any]":
    """Cells of text as numbers of a type of ``COLUMNS``; nan for an empty one.

    Raises:
        LpclipError: something else is in one of them; a whole number is missing.
    """
    try:
        values = [float(cell) if cell else float("nan") for cell in cells]
    except ValueError as error:
        raise LpclipError(f"{path}: column '{cells.name}' holds no numbers ({error}).") from error
    found = pd.Series(values, index=cells.index, dtype="float64")
    if type_ == "number":
        return found
    # nan is no whole number; a count may be missing. Beyond 2**53 a float64 skips numbers.
    counts = found if type_ == "integer" else found.dropna()
    if not ((counts.abs() <= 2**53) & (counts.fillna(0.5) % 1 == 0)).all():
        raise LpclipError(f"{path}: column '{cells.name}' holds something else than whole numbers.")
    return found.astype("int64" if type_ == "integer" else "Int64")


def _sort_keys(kind: str, table: pd.DataFrame, methods: Methods) -> list[tuple[Any, ...]]:
    """For each row: model, benchmark, method, the kind's key, seed where there is one."""
    keys: list[list[Any]] = [[methods.rank(name, value) for value in table[name]] for name in NAMES]
    # Corruptions that are not of the 19 follow within their family, natural shifts come last.
    names = ("family",) * ("family" in table) + _KEYS[kind] + ("seed",) * ("seed" in table)
    for name in names:
        order = _ORDERS.get(name, ())
        ranks = {value: rank for rank, value in enumerate(order)}
        if order:
            keys.append([(ranks.get(value, len(order)), value) for value in table[name]])
        else:
            keys.append(list(table[name].fillna(-1)))
    return list(zip(*keys, strict=True))
