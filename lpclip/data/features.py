"""Features that were made before: a dataset without images, its samples the rows of a file.

Labels are read for the index alone; what copies the features into a cache does not open them.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL.Image import Image

from lpclip.data import UNLABELLED, Sample
from lpclip.errors import LpclipError, did_you_mean
from lpclip.feature_files import IMAGE_KEYS, AnyArray, Arrays, open_arrays
from lpclip.types import IntArray

Reference: TypeAlias = str | Mapping[str, str]


class Source:
    """Rows of one array of features ``[N, D]``, see ``lpclip.feature_files`` for the formats.

    Other columns are named by a key of the same file, or by ``{path: …, key: …}`` in another one.

    Args:
        path: file, or output folder of clip-retrieval.
        key: name of the array of features; may be left out where it is clear. A Parquet file's
            columns ``d0``, ``d1``, … are the array ``d``; a view with several versions of an
            lpclip cache is ``weak/0``, ``weak/1``, ….
        ids: ids of the rows; where left out, those of an lpclip cache or of clip-retrieval's
            metadata (``image_path``, ``key``), else ``row-000000``, ….
        labels: whole numbers (-1: none), or text; left out for an unlabelled set.
        class_names: names of the classes, as a list or a column: what whole numbers index, and
            the order that text is numbered in. Where left out, text is numbered in the order of
            the alphabet, and the names of numbers are the numbers.

    Raises:
        LpclipError: no such file or array, or columns that do not fit the features.
    """

    def __init__(
        self,
        path: str,
        key: str | None = None,
        ids: Reference | None = None,
        labels: Reference | None = None,
        class_names: Reference | Sequence[str] | None = None,
    ) -> None:
        self._arrays = open_arrays(path)
        self.key = self._arrays.pick(key, ndim=2, prefer=IMAGE_KEYS)
        self.shape = self._arrays.shape(self.key)
        self._ids = self._column(self._arrays.ids if ids is None else ids, "ids")
        self._labels = self._column(labels, "labels")
        for what, column in (("ids", self._ids), ("labels", self._labels)):
            if column is not None and column[0].shape(column[1])[0] != self.shape[0]:
                raise LpclipError(
                    f"{column[0].path}: '{column[1]}' has {column[0].shape(column[1])[0]} {what} "
                    f"for {self.shape[0]} rows of '{self.key}' in {path}."
                )
        self._names: Sequence[str] | tuple[Arrays, str] | None = (
            self._column(class_names, "class_names")
            if isinstance(class_names, str | Mapping)
            else class_names
        )
        self._check_index()

    @property
    def provenance(self) -> Mapping[str, object]:
        """What an lpclip cache says about its making; empty for any other file."""
        return self._arrays.provenance

    def files(self) -> list[Path]:
        """Files that the dataset is read from; those of the features come first."""
        columns = (self._ids, self._labels, self._names)
        others = [column[0] for column in columns if isinstance(column, tuple)]
        found = [path for arrays in (self._arrays, *others) for path in arrays.files()]
        return list(dict.fromkeys(found))

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """Names as given, or made from the labels; None without labels."""
        if self._labels is None:
            return None
        names = self._given_names
        if names is None:
            values = self._label_column
            numbers = values.dtype.kind in "iub"
            names = (
                [str(i) for i in range(int(values.max()) + 1)]
                if numbers
                else [str(name) for name in np.unique(values)]
            )
        if len(set(names)) < len(names):
            raise LpclipError(f"{self._arrays.path}: class_names has a name twice.")
        return names

    def samples(self) -> list[Sample]:
        """Every row; its path is its number."""
        n = self.shape[0]
        if self._ids is None:
            ids = [f"row-{row:06d}" for row in range(n)]
        else:
            ids = [str(value) for value in _text(self._ids[0].read(self._ids[1]))]
        labels = self._label_index() if self._labels else np.full(n, UNLABELLED)
        return [Sample(ids[row], str(row), int(labels[row])) for row in range(n)]

    def read(self, path: str) -> Image:
        """There is no image.

        Raises:
            LpclipError: always.
        """
        raise LpclipError(
            f"{self._arrays.path} holds features made before, no images: row {path} has no pixels, "
            "which weak and strong views and corruptions need."
        )

    def _column(self, where: Reference | None, what: str) -> tuple[Arrays, str] | None:
        """File and name of a column."""
        if where is None:
            return None
        if isinstance(where, str):
            return self._arrays, self._arrays.pick(where, ndim=1)
        for name in where:
            if name not in ("path", "key"):
                raise LpclipError(
                    f"'{what}' has no setting '{name}'. {did_you_mean(name, ('path', 'key'))}"
                )
        if "path" not in where:
            raise LpclipError(f"'{what}' lacks the setting 'path'.")
        arrays = open_arrays(where["path"])
        return arrays, arrays.pick(where.get("key"), ndim=1)

    def _check_index(self) -> None:
        """Labels out of an lpclip index belong to the same rows as the cache."""
        if self._labels is None:
            return
        index = self._labels[0].provenance.get("index")
        if None not in (index, own := self.provenance.get("index")) and index != own:
            raise LpclipError(
                f"{self._labels[0].path} is the index {index}, but {self._arrays.path} was made "
                f"with the index {own}."
            )

    @cached_property
    def _given_names(self) -> Sequence[str] | None:
        if isinstance(self._names, tuple):
            return [str(name) for name in _text(self._names[0].read(self._names[1]))]
        return None if self._names is None else [str(name) for name in self._names]

    @cached_property
    def _label_column(self) -> AnyArray:
        assert self._labels is not None
        values = _text(self._labels[0].read(self._labels[1]))
        if values.dtype.kind not in "iubU":
            raise LpclipError(
                f"{self._labels[0].path}: labels are whole numbers or text, but "
                f"'{self._labels[1]}' is {values.dtype.name}."
            )
        return values

    def _label_index(self) -> IntArray:
        """Index into ``class_names`` of every row ``[N]``."""
        assert self._labels is not None
        values, names = self._label_column, self.class_names or ()
        place = f"{self._labels[0].path}: '{self._labels[1]}'"
        if values.dtype.kind != "U":
            numbers = values.astype(np.int64)
            if numbers.min() < UNLABELLED or numbers.max() >= len(names):
                raise LpclipError(
                    f"{place} has labels {numbers.min()} to {numbers.max()}, but there are "
                    f"{len(names)} class names; labels are 0 to {len(names) - 1}, or -1 for none."
                )
            return numbers
        indices = {name: index for index, name in enumerate(names)}
        for value in values:
            if str(value) not in indices:
                raise LpclipError(
                    f"{place} has the label '{value}', which is no class name. "
                    f"{did_you_mean(str(value), indices)}"
                )
        return np.array([indices[str(value)] for value in values])


def _text(values: AnyArray) -> AnyArray:
    """Bytes as text; everything else as it is."""
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
