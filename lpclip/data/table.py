"""Image files listed in a table, CSV or Parquet: a path in every row, perhaps a label and an id."""

import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lpclip.data import UNLABELLED, Sample, size_of_file
from lpclip.data._images import read_bytes, read_file
from lpclip.data._labels import label_index, named_classes, numbers_or_text
from lpclip.errors import LpclipError, did_you_mean
from lpclip.feature_files import AnyArray
from lpclip.feature_files.arrays import readable

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = ".parquet"


class Source:
    """The rows of a table, in its order.

    Cells of a CSV file are text: ``01`` stays ``01``, ``NA`` is a name. Labels are class names, or,
    where all are whole numbers and not among ``class_names``, indices; an empty cell or -1 is no
    label.

    Args:
        path: the table, ``.csv``, ``.tsv`` (separated by tabs) or ``.parquet``; a compressed CSV
            file ends in ``.csv.gz``.
        path_column: column of the images' paths.
        label_column: column of the labels; left out for an unlabelled set.
        id_column: column of the ids; where left out, the path is the id.
        root: folder that paths in the table begin at, the table's own by default.
        class_names: of the classes; what whole numbers index, and the order that names are numbered
            in. Where left out, names are numbered in the order of the alphabet, and the names of
            numbers are the numbers.

    Raises:
        LpclipError: no such table, column or folder, or no table at all.
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
        self._format = next((e for e in reversed(endings) if e in (*SEPARATORS, PARQUET)), "")
        if not self._format:
            raise LpclipError(
                f"{path} has no ending that tells its format. Available: "
                f"{', '.join((*SEPARATORS, PARQUET))}."
            )
        if root is not None and not Path(root).is_dir():
            raise LpclipError(f"the folder '{root}' does not exist. Check 'root'.")
        self._root = self._table.parent if root is None else Path(root)
        self._path, self._label, self._id = path_column, label_column, id_column
        known = self._columns()
        for column in filter(None, (path_column, label_column, id_column)):
            if column not in known:
                raise LpclipError(f"{path} has no column '{column}'. {did_you_mean(column, known)}")

    def files(self) -> list[Path]:
        """The table."""
        return [self._table]

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """Names as given, or made from the labels; None without a column of labels."""
        if self._label is None:
            return None
        if self._given_names is not None:
            return named_classes(np.array([]), self._given_names, where=str(self._table))
        return named_classes(self._labels(), None, where=self._where(self._label))

    def samples(self) -> list[Sample]:
        """Every row.

        Raises:
            LpclipError: a row without a path or id, an id twice, a label that is no class.
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
        if self._label is None:
            return samples
        labels = label_index(self._labels(), self.class_names or (), where=self._where(self._label))
        return [s._replace(label=int(n)) for s, n in zip(samples, labels, strict=True)]

    def read(self, path: str) -> Image.Image:
        """The image in a file, RGB, see ``lpclip.data._images``."""
        return read_file(path)

    def encoded(self, path: str) -> bytes:
        """What is in a file."""
        return read_bytes(path)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return size_of_file(path)

    def _labels(self) -> AnyArray:
        assert self._label is not None
        return numbers_or_text(self._column(self._label), self._given_names)

    def _complete(self, column: str) -> "pd.Series[str]":
        """A column of text without an empty cell."""
        values = self._column(column)
        if (empty := values == "").any():
            raise LpclipError(
                f"{self._where(column)} is empty in row {int(empty.to_numpy().argmax()) + 1} "
                f"(of {int(empty.sum())} such rows). Fill it, or remove the row."
            )
        return values

    def _column(self, column: str) -> "pd.Series[str]":
        """A column as text; an empty cell is ""."""
        values = self._rows[column]
        if pd.api.types.is_float_dtype(values.dtype):
            values = values.astype("float64")
            if (values.dropna() % 1 == 0).all():
                values = values.astype("Int64")  # whole numbers, with empty cells among them
        return values.astype(object).where(values.notna(), "").map(str)

    @cached_property
    def _rows(self) -> pd.DataFrame:
        wanted = dict.fromkeys(filter(None, (self._path, self._label, self._id)))
        return self._read(columns=list(wanted))

    def _columns(self) -> list[str]:
        if self._format == PARQUET:
            from pyarrow import parquet  # takes long to import

            with readable(self._table):
                return list(parquet.read_schema(self._table).names)
        return list(self._read(n_rows=0).columns)

    def _read(self, *, columns: list[str] | None = None, n_rows: int | None = None) -> pd.DataFrame:
        with readable(self._table), warnings.catch_warnings():
            if self._format == PARQUET:
                rows = pd.read_parquet(self._table, columns=columns, dtype_backend="numpy_nullable")
                # An index that was saved with its name is a column of the file like all others.
                return rows.reset_index() if set(rows.index.names) != {None} else rows
            warnings.simplefilter("error")  # a row that is too long is no reason to cut it
            rows = pd.read_csv(
                self._table,
                sep=SEPARATORS[self._format],
                nrows=n_rows,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                encoding="utf-8-sig",  # spreadsheets begin a file with a mark
            )
        # Only now: with usecols, pandas takes rows that are too long.
        return rows if columns is None else rows[columns]

    def _where(self, column: str) -> str:
        return f"{self._table}: column '{column}'"
