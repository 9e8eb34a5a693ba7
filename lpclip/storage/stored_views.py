"""Views of a feature cache that stay on the disk: read by rows, as arrays would be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lpclip.storage.features import (
    KIND,
    open_versions,
    shape_of,
    stored_view,
    verify_versions,
    versions_in_memory,
    versions_of,
)
from lpclip.storage.hdf5 import Provenance, check_provenance, open_file, provenance_of
from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import views_fit


@dataclass(frozen=True)
class StoredViews:
    """Versions of views of some samples, unit length.

    Attributes:
        path: the cache.
        versions: view and version of each; version 0 of a view that has none.
        expected: provenance that the cache must have.
        samples: rows of the cache, ascending, ``[N]``.
        dim: D.
    """

    path: Path
    versions: Sequence[tuple[str, int]]
    expected: Provenance
    samples: IntArray = field(repr=False)
    dim: int
    dtype: npt.DTypeLike = np.float32
    itemsize: int = 4

    @property
    def shape(self) -> tuple[int, int, int]:
        """Versions, samples, dimension."""
        return len(self.versions), len(self.samples), self.dim

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, place: int) -> "StoredView":
        """Return one version."""
        return StoredView(replace(self, versions=[self.versions[place]]))

    def __iter__(self) -> Iterator["StoredView"]:
        return (self[place] for place in range(len(self)))

    def of(self, rows: IntArray) -> "StoredViews":
        """Return those of some of the samples."""
        return replace(self, samples=self.samples[rows])

    def take(self, rows: slice | IntArray) -> FloatArray:
        """Read some samples, ``[V, n, D]`` float32."""
        stored = self.samples[rows]
        order = None if (np.diff(stored) >= 0).all() else np.argsort(stored)
        stored = stored if order is None else stored[order]
        found = np.empty((len(self), len(stored), self.dim), dtype=np.float32)
        with open_versions(self.path, self.versions, expected=self.expected) as read:
            for place, values in enumerate(found):
                values[... if order is None else order] = read(place, stored)
        return found


@dataclass(frozen=True)
class StoredView:
    """One version, as an array ``[N, D]`` would be."""

    views: StoredViews

    @property
    def shape(self) -> tuple[int, int]:
        """Samples, dimension."""
        return self.views.shape[1:]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | IntArray) -> FloatArray:
        """Read some samples, ``[n, D]``."""
        found: FloatArray = self.views.take(rows)[0]
        return found


# Views ``[V, N, D]``, and one of them ``[N, D]``: arrays, or on the disk.
Views: TypeAlias = FloatArray | StoredViews
View: TypeAlias = FloatArray | StoredView


def open_views(
    path: Path, versions: Sequence[tuple[str, int]], *, expected: Provenance, copies: int = 1
) -> Views:
    """Read versions of views if they fit in memory, else verify them and leave them on the disk.

    Args:
        path: the cache.
        versions: view and version of each; version 0 of a view that has none.
        expected: provenance that the cache must have.
        copies: how many of them will be held at a time.

    Raises:
        LpclipError: the provenance is not the expected one, there is no such view, or one is
            damaged.
    """
    with open_file(path, kind=KIND) as file:
        check_provenance(path, provenance_of(file), expected)
        data = [stored_view(path, file, view) for view, _ in versions]
        n_samples, dim = data[0].shape[-2:]
        if views_fit(copies * 4 * len(data) * n_samples * dim):
            return versions_in_memory(data, versions)
    verify_versions(path, versions)
    return StoredViews(path, versions, expected, np.arange(n_samples), dim)


def stored_views(
    path: Path, versions: Sequence[tuple[str, int]], *, expected: Provenance
) -> StoredViews:
    """Return versions of views on the disk, whose checksums nobody has verified."""
    n_samples, dim = shape_of(path, versions[0][0])
    return StoredViews(path, versions, expected, np.arange(n_samples), dim)


def all_versions(path: Path, view: str) -> list[tuple[str, int]]:
    """Return view and version of all versions of a view."""
    return [(view, version) for version in range(versions_of(path, view))]


def some_images(views: Views, rows: IntArray) -> Views:
    """Return views of some of the samples."""
    return views[:, rows] if isinstance(views, np.ndarray) else views.of(rows)


def some_rows(view: View, rows: IntArray) -> View:
    """Return some of the samples of one view."""
    return view[rows] if isinstance(view, np.ndarray) else view.views.of(rows)[0]


def take_images(views: Views, rows: IntArray) -> FloatArray:
    """Read views of some of the samples into memory, ``[V, n, D]``."""
    if not isinstance(views, np.ndarray):
        return views.take(rows)
    taken: FloatArray = np.take(views, rows, axis=1)
    return taken
