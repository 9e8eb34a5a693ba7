"""Features in Parquet and CSV tables: a column of lists, or one column per dimension."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage.arrays.base import AnyArray, Arrays, readable
from lpclip.storage.text_tables import Header, encoding_of, open_bytes, position, read_header

# Name of the array of columns that are named by numbers alone: 0, 1, ….
UNNAMED = "columns"
TEXT, NUMBER = "text", "number"


class Parquet(Arrays):
    """Columns by name; numbered columns ``d0``, ``d1``, … also form one array, ``d``.

    Numbers start at 0, or at 1 if no column holds lists. Columns ``0``, ``1``, … are the array
    ``columns``.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        from pyarrow import parquet, types  # slow to import

        found: dict[str, tuple[int, ...]] = {}
        with readable(self.path), parquet.ParquetFile(self.path) as file:
            rows = file.metadata.num_rows
            for field in file.schema_arrow:
                found[field.name] = (rows,)
                if types.is_fixed_size_list(field.type):
                    found[field.name] = (rows, field.type.list_size)
                elif types.is_list(field.type) or types.is_large_list(field.type):
                    first = next(file.iter_batches(batch_size=1, columns=[field.name]), None)
                    width = len(first[0][0].as_py() or ()) if first is not None else 0
                    found[field.name] = (rows, width)
        for name, columns in self._numbered()[0].items():
            found.setdefault(name, (rows, len(columns)))
        return found

    def refused(self) -> dict[str, str]:
        return self._numbered()[1]

    def read(self, name: str) -> AnyArray:
        from pyarrow import compute, parquet, types

        shape = self.shape(name)
        with readable(self.path, name):
            columns = parquet.read_schema(self.path).names
            chosen = [name] if name in columns else self._numbered()[0][name]
            for column in chosen:
                position(self.path, columns, column)
            table = parquet.read_table(self.path, columns=chosen, partitioning=None)
            for column in chosen:
                if table[column].null_count:
                    raise LpclipError(f"{self.path}: column '{column}' has empty cells. Fill them.")
            if name not in columns:
                return np.stack([table[column].to_numpy() for column in chosen], axis=1)
            if len(shape) == 1:
                kind = cell_types(self.path)[name]
                if kind not in (TEXT, NUMBER):
                    raise LpclipError(f"{self.path}: column '{name}' holds {kind}.")
                values: AnyArray = table[name].to_numpy()
                return values.astype(str) if kind == TEXT else values
            lists = table[name].chunks
            lengths = set(compute.list_value_length(table[name]).unique().to_pylist())
            if lengths != {shape[1]}:
                raise LpclipError(
                    f"{self.path}: the lists of column '{name}' differ in length "
                    f"({min(lengths)} to {max(lengths)}); every row of features needs the same."
                )
            values_type = table.schema.field(name).type.value_type
            if not (types.is_floating(values_type) or types.is_integer(values_type)):
                raise LpclipError(f"{self.path}: column '{name}' holds lists of {values_type}.")
            return np.concatenate([chunk.flatten().to_numpy() for chunk in lists]).reshape(shape)

    def _numbered(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        kinds = cell_types(self.path)
        lists = any(kind.startswith("lists") for kind in kinds.values())
        return numbered([n for n in kinds if kinds[n] == NUMBER], firsts=(0,) if lists else (0, 1))


class Csv(Arrays):
    """Columns of a text table by name, as text; numbered columns form one array of numbers.

    For encoding and separator, see ``lpclip.storage.text_tables``. Numbers have a decimal point.
    """

    typed = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        names = self._header.names
        found: dict[str, tuple[int, ...]] = dict.fromkeys(names, (self._rows,))
        for name, columns in numbered(names)[0].items():
            found.setdefault(name, (self._rows, len(columns)))
        return found

    def refused(self) -> dict[str, str]:
        return numbered(self._header.names)[1]

    def read(self, name: str) -> AnyArray:
        if name in self._header.names:
            position(self.path, self._header.names, name)
            return np.array(self._table([name], "string")[name].to_pylist(), dtype=str)
        self.shape(name)
        chosen = numbered(self._header.names)[0][name]
        table = self._table(chosen, "double")
        values: AnyArray = np.stack([table[column].to_numpy() for column in chosen], axis=1)
        if (rows := np.flatnonzero(np.isnan(values).any(axis=1))).size:
            raise LpclipError(
                f"{self.path}: row {rows[0] + 1} of '{name}' has an empty cell, or one that is not "
                f"a number (of {rows.size} such rows). Fill it, or remove the row."
            )
        return values

    @cached_property
    def _header(self) -> Header:
        return read_header(self.path)

    @cached_property
    def _rows(self) -> int:
        """Number of rows, counted in one column."""
        names = self._header.names
        column = next((name for name in names if names.count(name) == 1), None)
        if column is None:
            raise LpclipError(f"{self.path} has every column twice. Rename or remove some.")
        return int(self._table([column], "string").num_rows)

    def _table(self, columns: Sequence[str], kind: str) -> Any:
        """Read columns as an Arrow table; every line must have as many cells as the first."""
        from pyarrow import csv, type_for_alias  # slow to import

        encoding = encoding_of(self.path).replace("utf-8-sig", "utf8")
        with readable(self.path), open_bytes(self.path) as file:
            return csv.read_csv(
                file,
                read_options=csv.ReadOptions(encoding=encoding),
                parse_options=csv.ParseOptions(
                    delimiter=self._header.separator, newlines_in_values=True
                ),
                convert_options=csv.ConvertOptions(
                    include_columns=columns,
                    column_types=dict.fromkeys(columns, type_for_alias(kind)),
                    null_values=[""],
                    strings_can_be_null=False,
                ),
            )


def cell_types(path: Path) -> dict[str, str]:
    """Return what the columns of a Parquet file hold: ``text``, ``number``, or a description.

    Raises:
        LpclipError: it is not a Parquet file.
    """
    from pyarrow import parquet, types  # slow to import

    with readable(path):
        schema = parquet.read_schema(path)
    found = {}
    for field in schema:
        kind = field.type
        if types.is_dictionary(kind):
            kind = kind.value_type
        if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            found[field.name] = TEXT
        elif types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
            found[field.name] = NUMBER
        elif types.is_struct(kind):
            found[field.name] = f"structures ({', '.join(each.name for each in kind)})"
        elif types.is_nested(kind):
            found[field.name] = f"lists ({kind})"
        elif types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
            found[field.name] = "bytes"
        else:
            found[field.name] = f"values of type {kind}"
    return found


def numbered(
    columns: Sequence[str], *, firsts: Sequence[int] = (0, 1)
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Find the arrays that numbered columns form: at least two columns without a gap.

    Numbers may have leading zeros; ``firsts`` are the allowed first ones.

    Returns:
        Name of the array (the prefix of the numbers) -> its columns by number; and name -> why
        numbered columns form no array, as the end of a sentence.

    >>> numbered(["id", "d1", "d0", "f_1", "f_3"])
    ({'d': ['d0', 'd1']}, {'f_': "lacks the column 'f_2'. Columns are numbered without a gap."})
    """
    groups: dict[str, dict[int, str]] = {}
    arrays: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for name in columns:
        if not (match := re.fullmatch(r"(.*?)([0-9]{1,9})", name, re.DOTALL)):
            continue
        prefix, number = match[1], int(match[2])
        group = groups.setdefault(prefix or UNNAMED, {})
        if (other := group.setdefault(number, name)) is not name:
            reasons[prefix or UNNAMED] = (
                f"has two columns for one place, '{other}' and '{name}'. Remove one."
            )
    for name, group in groups.items():
        first, last = min(group), max(group)
        if name in reasons or len(group) < 2:
            continue
        if first in firsts and last - first + 1 == len(group):
            arrays[name] = [group[number] for number in sorted(group)]
        elif first in firsts:
            prefix = "" if name == UNNAMED else name
            gap = next(number for number in range(first, last) if number not in group)
            reasons[name] = f"lacks the column '{prefix}{gap}'. Columns are numbered without a gap."
    return arrays, reasons
