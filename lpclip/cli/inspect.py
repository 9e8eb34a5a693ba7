"""Describe any file that lpclip writes, in a few lines."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage.checksums import arrays
from lpclip.storage.file_kinds import KINDS, type_of
from lpclip.storage.frames import MAIN_TABLE
from lpclip.storage.hdf5 import open_file, provenance_of
from lpclip.storage.json_text import parse_json
from lpclip.storage.made_from import hash_of, read_record
from lpclip.storage.opening import unreadable
from lpclip.storage.pandas_frames import GROUP, pandas_keys
from lpclip.storage.tables import read_table
from lpclip.storage.untrusted import check_untrusted
from lpclip.utils.printing import visible

WIDTH = 100  # columns of a terminal
_KEYS = 3


def describe(path: str | Path, *, rows: int = 5) -> str:
    """Describe a file that lpclip wrote: kind, provenance, contents and first rows of its table.

    Raises:
        LpclipError: missing, damaged, or not written by lpclip.
    """
    path = Path(path)
    readers = {".h5": _hdf5, ".csv": _csv, ".parquet": _parquet, ".safetensors": _safetensors}
    if not path.exists():
        raise LpclipError(f"{path} does not exist.")
    if path.is_dir() or path.suffix.lower() not in readers:
        raise LpclipError(
            f"{path} is {type_of(path)}. Name a file of lpclip, which ends in one of "
            f"{', '.join(readers)}."
        )
    return "\n".join(readers[path.suffix.lower()](path, rows))


def _hdf5(path: Path, rows: int) -> list[str]:
    check_untrusted(path)
    made_from = _made_from(path)
    with open_file(path) as file:
        found = {
            name.removesuffix("/table"): data
            for name, data in sorted(arrays(file).items())
            if not name.startswith(f"{GROUP}/")
        }
        kind, version = str(file.attrs["kind"]), file.attrs["schema_version"]
        tables = [name for name, data in found.items() if data.dtype.names and data.ndim == 1]
        main = MAIN_TABLE.get(kind, tables[0] if tables else "")
        content = KINDS[kind].content if kind in KINDS else ""
        return [
            *_title(path, f"{kind} (schema version {version})", content),
            *_provenance(provenance_of(file)),
            *made_from,
            "contents",
            *(
                f"  {name}: {'table' if data.dtype.names else data.dtype} {list(data.shape or ())}"
                for name, data in found.items()
            ),
            *_keys(pandas_keys(file)),
            *_rows(read_table(file, main) if main else pd.DataFrame(), rows),
        ]


def _keys(keys: Sequence[str]) -> list[str]:
    """List the keys for ``pandas.read_hdf``; the first and last of many."""
    shown = [f"  {key}" for key in keys]
    if len(keys) > 2 * _KEYS:
        shown[_KEYS:-_KEYS] = [f"  … {len(keys) - 2 * _KEYS} more …"]
    return ["for pandas.read_hdf", *shown] if keys else []


def _csv(path: Path, rows: int) -> list[str]:
    from lpclip.reporting.read import read_report, table_of
    from lpclip.storage.reports import read_cells

    columns = list(map(str, read_cells(path)))
    if _is_predictions(columns):
        # A class "7" or "NA" is text.
        texts = {name: str for name in columns if name.startswith(_PREDICTED_TEXT)}
        table = read_cells(path, dtype=texts)
        return [*_title(path, "predictions", _PREDICTIONS), *_table(table, rows)]
    if {"zero_shot", "head", "label", "audit"} <= set(columns):
        return [
            *_title(path, "audit", "images to label, of lpclip audit"),
            *_table(read_cells(path), rows),
        ]
    table = read_report(path)
    kind = table_of(columns)
    title = _title(path, kind.name if kind else "report", kind.row if kind else "")
    return [*title, *_made_from(path), *_table(table, rows)]


_PREDICTIONS = "one row per image, of lpclip predict"
_PREDICTED_TEXT = ("id", "path", "prediction", "class_")


def _is_predictions(columns: Sequence[str]) -> bool:
    return {"id", "path", "prediction", "confidence", "max_logit"} <= set(columns)


def _parquet(path: Path, rows: int) -> list[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, partitioning=None)
        about = (table.schema.metadata or {}).get(b"lpclip", b"{}")
        provenance, frame = parse_json(about), table.to_pandas()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise unreadable(path, "a Parquet file", str(error)) from error
    if not _is_predictions(table.column_names):
        raise LpclipError(f"{path} is a Parquet file, but not one that lpclip wrote.")
    title = _title(path, "predictions", _PREDICTIONS)
    return [*title, *_provenance(provenance), *_table(frame, rows)]


def _safetensors(path: Path, _rows: int) -> list[str]:
    from safetensors import SafetensorError, safe_open

    from lpclip.storage.shared_probe import KEY

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            about = metadata.get("head")
            provenance = {} if about is None else parse_json(about)
            names = sorted(file.keys())
            shapes = [f"  {name}: {file.get_slice(name).get_shape()}" for name in names]
    except (OSError, ValueError, SafetensorError) as error:
        raise unreadable(path, "a safetensors file", str(error)) from error
    if about is None and KEY in metadata:
        raise LpclipError(
            f"{path} is a probe as it is shared on a hub. `lpclip pull` makes a probes.h5 of it."
        )
    if about is None:
        raise LpclipError(f"{path} is a safetensors file, but no head that lpclip exported.")
    title = _title(path, "head", "a probe that lpclip export wrote")
    return [*title, *_provenance(provenance), "contents", *shapes]


def _title(path: Path, kind: str, meaning: str) -> list[str]:
    return [f"{path}: {kind}", *([f"  {meaning}"] if meaning else [])]


def _provenance(provenance: Any) -> list[str]:
    items = provenance.items() if isinstance(provenance, Mapping) else ()
    return [f"  {_cell(key)}: {_cell(value)}" for key, value in sorted(items)]


def _made_from(path: Path) -> list[str]:
    """Format the record of the stage that made a file, if it has one."""
    record = read_record(path)
    if record is None:
        return []
    settings, inputs = record.get("settings", {}), record.get("inputs", {})
    values = [f"    {key}: {json.dumps(settings[key])}" for key in sorted(settings)]
    return [
        f"made from (record {hash_of(record)})",
        f"  stage: {record.get('stage')}",
        *(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in values),
        *(f"  {name}: {inputs[name]}" for name in sorted(inputs)),
    ]


def _table(table: pd.DataFrame, rows: int) -> list[str]:
    lines = [f"{len(table)} rows, {len(table.columns)} columns"]
    width = max(map(len, map(str, table.columns)), default=0)
    lines += [f"  {name!s:{width}}  {_column(table[name], WIDTH - width - 4)}" for name in table]
    return [*lines, *_rows(table, rows)]


def _column(values: "pd.Series[Any]", width: int) -> str:
    """Describe a column: its type and range, or its values if they are few."""
    known = values.dropna()
    if known.empty:
        return "empty"
    if pd.api.types.is_numeric_dtype(values):
        type_ = "whole number" if pd.api.types.is_integer_dtype(values) else "number"
        low, high = known.min(), known.max()
        span = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        empty = len(values) - len(known)
        return f"{type_}, {span}{f', {empty} empty' if empty else ''}"
    different = list(dict.fromkeys(map(_cell, known)))
    start = f"text, {len(different)} values: "
    all_ = ", ".join(text or '""' for text in different)
    return start + textwrap.shorten(all_, min(60, width - len(start)), placeholder=" …")


def _cell(value: Any) -> str:
    return visible(str(value), keep="")


def _rows(table: pd.DataFrame, rows: int) -> list[str]:
    if table.empty or rows < 1:
        return []
    # Escape before the layout: escaped control characters are wider.
    first = table.head(rows).rename(columns=_cell)
    texts = first.select_dtypes(exclude=["number", "bool"]).columns
    first[texts] = first[texts].map(_cell)
    shown = first.to_string(index=False, line_width=WIDTH)
    return [f"first {min(rows, len(table))} rows", shown]
