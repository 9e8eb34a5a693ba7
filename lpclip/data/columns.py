"""Columns of an array dataset: ids, labels and class names, in the same file or in others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from lpclip.data.base import UNLABELLED
from lpclip.data.label_values import label_index, named_classes, numbers_or_text
from lpclip.errors import LpclipError, check_known
from lpclip.storage.arrays.base import AnyArray, Arrays
from lpclip.storage.arrays.registry import open_arrays
from lpclip.types import IntArray

Reference: TypeAlias = str | Mapping[str, str]
# Files with a single unnamed array, for which the path is enough.
SINGLE = (".npy", ".pt", ".pth")


class Column:
    """One array ``[N]``, or ``[N, 1]``, by name.

    Args:
        where: a key of the arrays, ``{path: …, key: …}`` in another file, or the path of a
            ``.npy`` or ``.pt`` file.
        what: the setting, for errors.
        default: the arrays that a plain key refers to.

    Raises:
        LpclipError: no such file or array.
    """

    def __init__(self, where: Reference, what: str, default: Arrays) -> None:
        if isinstance(where, str) and Path(where).suffix in SINGLE:
            where = {"path": where}
        if isinstance(where, str):
            self.arrays, self.key = default, default.pick(where, ndim=1)
            return
        for name in where:
            check_known(name, ("path", "key"), f"'{what}' has no setting '{name}'.")
        if "path" not in where:
            raise LpclipError(f"'{what}' lacks the setting 'path'.")
        self.arrays = open_arrays(where["path"])
        self.key = self.arrays.pick(where.get("key"), ndim=1)

    def read(self) -> AnyArray:
        """Read the values ``[N]``; bytes become text."""
        values = self.arrays.column(self.key)
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


class Columns:
    """Ids, labels and class names of the rows of one array.

    Args: the file and name of the array; the others as in ``lpclip.data.sources.features``.

    Raises:
        LpclipError: no such file or array, or columns that do not fit the rows.
    """

    def __init__(
        self,
        arrays: Arrays,
        key: str,
        *,
        ids: Reference | None,
        labels: Reference | None,
        class_names: Reference | Sequence[str] | None,
    ) -> None:
        self._n_rows = arrays.shape(key)[0]
        self.ids = None if ids is None else Column(ids, "ids", arrays)
        self.labels = None if labels is None else Column(labels, "labels", arrays)
        for what, column in (("ids", self.ids), ("labels", self.labels)):
            if column is not None:
                n = column.arrays.shape(column.key)[0]
                if n != self._n_rows:
                    raise LpclipError(
                        f"{column.arrays.path}: '{column.key}' has {n} {what} for {self._n_rows} "
                        f"rows of '{key}' in {arrays.path}."
                    )
        self._names: Column | Sequence[str] | None
        if isinstance(class_names, str | Mapping):
            self._names = Column(class_names, "class_names", arrays)
        else:
            self._names = class_names

    def files(self) -> list[Path]:
        """Return the files that hold the columns."""
        columns = [c for c in (self.ids, self.labels, self._names) if isinstance(c, Column)]
        return [path for column in columns for path in column.arrays.files()]

    def class_names(self) -> list[str] | None:
        """Names as given, or derived from the labels; None without labels."""
        if self.labels is None:
            return None
        names = self._given_names()
        values = self._label_values() if names is None else np.array([], dtype=int)
        return named_classes(values, names, where=self._where)

    def row_ids(self) -> list[str]:
        """Return the id of every row."""
        if self.ids is None:
            return [f"row-{row:06d}" for row in range(self._n_rows)]
        values = self.ids.read()
        if values.dtype.kind not in "iuU":
            raise LpclipError(
                f"{self.ids.arrays.path}: '{self.ids.key}' is {values.dtype.name}, but ids are "
                "text or whole numbers."
            )
        return [str(value) for value in values]

    def row_labels(self) -> IntArray:
        """Return the label of every row ``[N]``, an index into the class names, or -1 for none."""
        if self.labels is None:
            return np.full(self._n_rows, UNLABELLED)
        values = self._label_values()
        return label_index(values, self.class_names() or (), where=self._where)

    def _given_names(self) -> list[str] | None:
        names = self._names.read() if isinstance(self._names, Column) else self._names
        return None if names is None else [str(name) for name in names]

    def _label_values(self) -> AnyArray:
        assert self.labels is not None
        values = self.labels.read()
        return values if self.labels.arrays.typed else numbers_or_text(values, self._given_names())

    @property
    def _where(self) -> str:
        assert self.labels is not None
        return f"{self.labels.arrays.path}: '{self.labels.key}'"
