"""Precomputed features: a dataset without images, whose samples are the rows of a file.

Labels are read for the index alone, not when the features are copied into a cache.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from PIL.Image import Image

from lpclip.data.base import Sample
from lpclip.data.columns import Columns, Reference
from lpclip.errors import LpclipError
from lpclip.storage.arrays.registry import IMAGE_KEYS, open_arrays


class Source:
    """Rows of one array of features ``[N, D]``, in a format of ``lpclip.storage.arrays``.

    Other columns are given by a key of the same file, or as ``{path: …, key: …}`` of another one.

    Args:
        path: file, or output folder of clip-retrieval.
        key: name of the array of features; optional if it is unambiguous. Columns ``d0``,
            ``d1``, … of a Parquet or CSV file are the array ``d``, and ``0``, ``1``, … the array
            ``columns``; a data set of an HDF5 file is ``group/name``, as is a tensor in nested
            dicts of a ``.pt`` file; versions of a view in an lpclip cache are ``weak/0``,
            ``weak/1``, ….
        ids: ids of the rows; by default those of an lpclip cache or of clip-retrieval's metadata
            (``image_path``, ``key``), else ``row-000000``, ….
        labels: whole numbers from 0 (-1: none), or text, ``[N]`` or ``[N, 1]``; none for an
            unlabelled set.
        class_names: names of the classes, as a list or a column: what whole numbers index, and
            the order that text is numbered in. By default text is numbered in alphabetical order,
            and the names of numbers are the numbers.

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
        self._columns = Columns(
            self._arrays,
            self.key,
            ids=self._arrays.ids if ids is None else ids,
            labels=labels,
            class_names=class_names,
        )
        self._check_index()

    @property
    def provenance(self) -> Mapping[str, object]:
        """Provenance of an lpclip cache; empty for any other file."""
        return self._arrays.provenance

    def files(self) -> list[Path]:
        """Return the files of the dataset; those of the features come first."""
        return list(dict.fromkeys([*self._arrays.files(), *self._columns.files()]))

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """Names as given, or derived from the labels; None without labels."""
        return self._columns.class_names()

    def samples(self) -> list[Sample]:
        """Return all rows; the path is the row number."""
        columns = zip(self._columns.row_ids(), self._columns.row_labels(), strict=True)
        return [Sample(name, str(row), int(label)) for row, (name, label) in enumerate(columns)]

    def read(self, path: str) -> Image:
        """Raise LpclipError: there are no images."""
        raise LpclipError(
            f"{self._arrays.path} holds precomputed features, no images: row {path} has no pixels, "
            "which weak and strong views and corruptions need."
        )

    def _check_index(self) -> None:
        """Check that labels from an lpclip index belong to the same rows as the cache."""
        if self._columns.labels is None:
            return
        arrays = self._columns.labels.arrays
        index = arrays.provenance.get("index")
        if None not in (index, own := self.provenance.get("index")) and index != own:
            raise LpclipError(
                f"{arrays.path} is the index {index}, but {self._arrays.path} was made "
                f"with the index {own}."
            )
