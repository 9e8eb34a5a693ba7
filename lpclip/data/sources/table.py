"""Image files listed in a table: a path in every row, optionally a label and an id.

Tables are CSV, Parquet, or lists of lines ``path label``.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip.data.base import UNLABELLED, Sample, size_of_file
from lpclip.data.label_values import label_index, named_classes, numbers_or_text
from lpclip.data.read_image import read_bytes, read_file
from lpclip.data.repeated import refuse_same_file
from lpclip.errors import LpclipError
from lpclip.storage.arrays.base import AnyArray, readable
from lpclip.storage.arrays.tables import cell_types
from lpclip.storage.text_tables import (
    LIST_COLUMNS,
    Header,
    open_text,
    position,
    read_columns,
    read_header,
    read_list,
)

TABLES = (".csv", ".tsv")
LISTS = (".txt", ".lst")
PARQUET = ".parquet"
_ENDINGS = (*TABLES, *LISTS, PARQUET)


class Source:
    """The rows of a table, in its order.

    Cells of a text file are text: ``01`` stays ``01``, ``NA`` is a name. Labels are class names or,
    if all are whole numbers and not among ``class_names``, indices from 0; an empty cell or -1
    means no label.

    Text files are UTF-8, or UTF-16 with a byte order mark. Columns are separated by commas,
    semicolons or tabs, inferred from the names in the first line. A ``.txt`` or ``.lst`` file whose
    first line does not contain the path column is a list: a path in every line, or a path and,
    after a tab or a blank, a label; its columns are ``path`` and ``label``.

    Args:
        path: the table, ``.csv``, ``.tsv`` (separated by tabs), ``.txt``, ``.lst`` or
            ``.parquet``; a compressed text file ends in ``.csv.gz`` (or ``.bz2``, ``.xz``).
        path_column: column of the images' paths.
        label_column: column of the labels; none for an unlabelled set.
        id_column: column of the ids; by default the path is the id.
        root: folder that paths in the table are relative to; by default the table's own.
        class_names: whole numbers index them, and names are numbered in their order. By default
            names are numbered in alphabetical order, and the names of numbers are the numbers.

    Raises:
        LpclipError: no such table or folder, not a table, or a column that is missing, repeated or
            not text.
    """

    def __init__(
        self,
        path: str,
        path_column: str = "path",
        label_column: str | None = None,
        id_column: str | None = None,
        root: str | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self._table, self._given_names = Path(path), class_names
        if not self._table.is_file():
            raise LpclipError(f"the table '{path}' does not exist. Check 'path'.")
        endings = [ending.lower() for ending in self._table.suffixes[-2:]]
        self._format = next((e for e in reversed(endings) if e in _ENDINGS), "")
        if not self._format:
            raise LpclipError(
                f"{path} has no suffix of a known format. Available: {', '.join(_ENDINGS)}."
            )
        if root is not None and not Path(root).is_dir():
            raise LpclipError(f"the folder '{root}' does not exist. Check 'root'.")
        self._root = self._table.parent if root is None else Path(root)
        self._path, self._label, self._id = path_column, label_column, id_column
        self._wanted = list(dict.fromkeys(filter(None, (path_column, label_column, id_column))))
        self._header = self._read_header()
        names = LIST_COLUMNS if self._header is None else self._header.names
        for column in self._wanted:
            position(self._table, names, column)
        if self._format == PARQUET:
            self._check_types()

    def files(self) -> list[Path]:
        """Return the table."""
        return [self._table]

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """The given names, or derived from the labels; None without a label column."""
        if self._label is None:
            return None
        if self._given_names is not None:
            return named_classes(np.array([]), self._given_names, where=str(self._table))
        return named_classes(self._labels(), None, where=self._where(self._label))

    def samples(self) -> list[Sample]:
        """Return all rows.

        Raises:
            LpclipError: a row without a path or id, a repeated id or file, or a label that is not a
                class.
        """
        paths = self._complete(self._path)
        ids = paths if self._id is None else self._complete(self._id)
        if len(repeated := ids[ids.duplicated(keep=False)]):
            rows = repeated.index[repeated == repeated.iloc[0]]
            raise LpclipError(
                f"{self._table}: rows {rows[0] + 1} and {rows[1] + 1} have the same "
                f"{self._id or self._path} '{repeated.iloc[0]}'. Remove one, or name a column of "
                "ids as id_column."
            )
        samples = [
            Sample(i, str(self._root / p), UNLABELLED) for i, p in zip(ids, paths, strict=True)
        ]
        refuse_same_file([s.path for s in samples], list(paths), where=str(self._table))
        if self._label is None:
            return samples
        labels = label_index(self._labels(), self.class_names or (), where=self._where(self._label))
        return [s._replace(label=int(n)) for s, n in zip(samples, labels, strict=True)]

    read = staticmethod(read_file)
    encoded = staticmethod(read_bytes)
    size = staticmethod(size_of_file)

    def _labels(self) -> AnyArray:
        assert self._label is not None
        return numbers_or_text(self._column(self._label), self._given_names)

    def _complete(self, column: str) -> "pd.Series[str]":
        """Return a column of text; empty cells are an error."""
        values = self._column(column)
        if (empty := values == "").any():
            raise LpclipError(
                f"{self._where(column)} is empty in row {int(empty.to_numpy().argmax()) + 1} "
                f"(of {int(empty.sum())} such rows). Fill it, or remove the row."
            )
        return values

    def _column(self, column: str) -> "pd.Series[str]":
        """Return a column as text; an empty cell is ""."""
        values = self._rows[column]
        if pd.api.types.is_float_dtype(values.dtype):
            values = values.astype("float64")
            if (values.dropna() % 1 == 0).all():
                values = values.astype("Int64")  # whole numbers with empty cells
        return values.astype(object).where(values.notna(), "").map(str)

    def _read_header(self) -> Header | None:
        """Read the columns of the table; None for a list."""
        if self._format == PARQUET:
            from pyarrow import parquet  # slow to import

            with readable(self._table):
                return Header(list(parquet.read_schema(self._table).names), "")
        if self._format in LISTS:
            with open_text(self._table) as file:
                if self._path not in file.readline():
                    return None
        header = read_header(self._table, self._wanted)
        return None if self._format in LISTS and self._path not in header.names else header

    def _check_types(self) -> None:
        """Refuse columns of a Parquet file whose cells cannot be text."""
        types = cell_types(self._table)
        for column in self._wanted:
            if types[column].startswith(("structures", "lists", "bytes")):
                what = "paths" if column == self._path else "labels or ids"
                raise LpclipError(
                    f"{self._where(column)} holds {types[column]}, no {what}. A Parquet file that "
                    "holds the images themselves is read by kind: huggingface."
                )

    @cached_property
    def _rows(self) -> pd.DataFrame:
        if self._format == PARQUET:
            with readable(self._table):
                rows = pd.read_parquet(
                    self._table, columns=self._wanted, dtype_backend="numpy_nullable"
                )
            # A named index that pandas saved is a column of the file like any other.
            return rows.reset_index() if set(rows.index.names) != {None} else rows
        if self._header is not None:
            columns = read_columns(self._table, self._header, self._wanted)
        else:
            columns = read_list(self._table)
            for column in self._wanted:
                position(self._table, list(columns), column)
        return pd.DataFrame({name: pd.Series(columns[name], dtype=object) for name in self._wanted})

    def _where(self, column: str) -> str:
        return f"{self._table}: column '{column}'"
