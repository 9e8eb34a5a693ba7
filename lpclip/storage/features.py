"""Feature caches: one array per view, written in chunks and read with unit length."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.errors import LpclipError, did_you_mean
from lpclip.storage import checksums
from lpclip.storage.hdf5 import Provenance, begin, check_provenance, end, open_file, provenance_of
from lpclip.storage.hdf5_output import changed_hdf5, new_hdf5
from lpclip.storage.opening import damaged
from lpclip.storage.pandas_frames import Frames
from lpclip.storage.row_writer import RowWriter, check_space, reserve
from lpclip.storage.tables import read_table, write_table
from lpclip.types import FloatArray, IntArray
from lpclip.utils.atomic import atomic_path

KIND, TABLE = "features", "samples"
# Rows that are written, and resumed after a crash, together.
CHUNK_ROWS = 256
_WRITE_BYTES = 4 << 20
# Rows that are read and normalised together: few enough to stay in the processor's cache.
_READ_ROWS = 512
# Rows are read as one range if it holds at most so many times as many.
_DENSE = 8
# (position in a list of versions, rows) -> unit-length features ``[n, D]`` float32
ReadRows: TypeAlias = Callable[[int, slice | IntArray], FloatArray]

# Every float16 number as float32: looking it up is faster than NumPy's conversion.
_SINGLE = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def write_features(
    path: Path,
    *,
    samples: pd.DataFrame,
    versions: Mapping[str, int],
    parts: Iterable[FloatArray],
    provenance: Provenance,
) -> None:
    """Write a feature cache from its parts, one chunk of rows at a time.

    Args:
        path: the cache.
        samples: index of the dataset, N rows: id, path.
        versions: view -> number of versions; 0 stores ``[N, D]``, V > 0 stores ``[V, N, D]``.
        parts: arrays ``[sum of versions, n, D]`` of float16, views in the order of ``versions``
            (0 counts as one), together N rows in the order of the index.
        provenance: attributes; ``views``, if there, names the versions of corruptions.
    """
    n = len(samples)
    with atomic_path(path) as temporary:
        writer = None
        for block in gathered(parts):
            if writer is None:
                check_space(path, n * block.nbytes // block.shape[1])
                lay_out(temporary, samples, versions, block.shape[2], provenance)
                writer = RowWriter(temporary, arrays_of(versions))
            writer.write(block)
        if writer is None:
            lay_out(temporary, samples, {}, 0, provenance)
            writer = RowWriter(temporary, [])
        if writer.rows != n:
            raise RuntimeError(f"{path}: {writer.rows} rows of features for {n} samples")
        finish(temporary, writer)


def lay_out(
    path: Path,
    samples: pd.DataFrame,
    versions: Mapping[str, int],
    dim: int,
    provenance: Provenance,
) -> None:
    """Create the file with a place for every feature, for a ``RowWriter``.

    Arguments as in ``write_features``; ``dim`` is the width of the features.
    """
    n = len(samples)
    with new_hdf5(path) as file:
        begin(file, kind=KIND, provenance=provenance)
        write_table(file, TABLE, samples[["id", "path"]], listed=False)
        frames = Frames(file, file[TABLE]["id"])
        settings = json.loads(str(provenance.get("views", "{}")))
        for view, count in versions.items():
            shape = (count, n, dim) if count else (n, dim)
            data = reserve(file, f"features/{view}", shape, np.float16)
            frames.add_versions(view, data, settings.get(view, {}).get("severities"))


def arrays_of(versions: Iterable[str]) -> list[str]:
    """Return the names of the arrays of views in a feature cache."""
    return [f"features/{view}" for view in versions]


def finish(path: Path, writer: RowWriter, *, journal: Path | None = None) -> None:
    """Complete a file whose rows are all written; for the journal, see ``changed_hdf5``."""
    with changed_hdf5(path, journal=journal) as file:
        writer.store_sums(file)
        end(file)


def gathered(parts: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Join parts to some megabytes each: few large writes are faster than many small ones."""
    waiting, size = list[FloatArray](), 0
    for part in parts:
        waiting.append(part)
        size += part.nbytes
        if size >= _WRITE_BYTES:
            yield np.concatenate(waiting, axis=1)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting, axis=1)


def views(file: h5py.File) -> list[str]:
    """Return the names of the views in an open feature cache, sorted.

    Raises:
        LpclipError: the file has no group of views.
    """
    group = file["features"]
    if not isinstance(group, h5py.Group):
        raise damaged(file, "'features' is not a group of views")
    return sorted(name for name in group if isinstance(name, str))  # bytes if not UTF-8


def read_rows(path: Path) -> pd.DataFrame:
    """Read the id and path of every row of a cache."""
    with open_file(path, kind=KIND) as file:
        return read_table(file, TABLE)


def view_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of every view in a cache, by name, sorted."""
    with open_file(path, kind=KIND) as file:
        settings = provenance_of(file).json("views")
        return {name: settings.get(name, {}) for name in views(file)}


def versions_of(path: Path, view: str) -> int:
    """Return the number of versions of a view; 1 for a view without versions.

    Raises:
        LpclipError: there is no such view.
    """
    with open_file(path, kind=KIND) as file:
        data = stored_view(path, file, view)
        return len(data) if data.ndim == 3 else 1


def stored_view(path: Path, file: h5py.File, view: str) -> h5py.Dataset:
    """Return the data set of a view in an open feature cache, ``[N, D]`` or ``[V, N, D]``.

    Raises:
        LpclipError: there is no such view, or it is damaged.
    """
    if view not in (names := views(file)):
        raise LpclipError(f"{path} has no view '{view}'. {did_you_mean(view, names)}")
    data = file[f"features/{view}"]
    whole = isinstance(data, h5py.Dataset) and data.ndim in (2, 3) and data.dtype == np.float16
    if not whole or (TABLE in file and data.shape[-2:-1] != file[TABLE].shape):
        raise damaged(path, f"view '{view}' is not an array of float16 with a row per sample")
    return data


def read_features(path: Path, view: str, *, expected: Provenance) -> FloatArray:
    """Read the features of one view, unit length, float32, ``[N, D]`` or ``[V, N, D]``.

    Raises:
        LpclipError: the provenance is not the expected one, or there is no such view.
    """
    with open_file(path, kind=KIND) as file:
        check_provenance(path, provenance_of(file), expected)
        return unit_length(stored_view(path, file, view))


def read_versions(
    path: Path, versions: Sequence[tuple[str, int]], *, expected: Provenance
) -> FloatArray:
    """Read versions of views (0 of a view without versions) as one array.

    Returns:
        ``[number of versions, N, D]`` float32, unit length.

    Raises:
        LpclipError: the provenance is not the expected one, or there is no such view.
    """
    with open_file(path, kind=KIND) as file:
        check_provenance(path, provenance_of(file), expected)
        data = [stored_view(path, file, view) for view, _ in versions]
        return versions_in_memory(data, versions)


def versions_in_memory(
    data: Sequence[h5py.Dataset], versions: Sequence[tuple[str, int]]
) -> FloatArray:
    """Read and verify versions of views in an open cache, as ``read_versions``."""
    values = np.empty((len(data), *data[0].shape[-2:]), dtype=np.float32)
    for one, (_, version), found in zip(data, versions, values, strict=True):
        _read_part(one, (version,) if one.ndim == 3 else (), found)
    return values


@contextmanager
def open_versions(
    path: Path, versions: Sequence[tuple[str, int]], *, expected: Provenance
) -> Iterator[ReadRows]:
    """Open versions of views (0 of a view without versions), to read some rows at a time.

    Raises:
        LpclipError: the provenance is not the expected one, or there is no such view.
    """
    with open_file(path, kind=KIND) as file:
        check_provenance(path, provenance_of(file), expected)
        data = [stored_view(path, file, view) for view, _ in versions]

        def read(place: int, rows: slice | IntArray) -> FloatArray:
            part = (versions[place][1],) if data[place].ndim == 3 else ()
            return unit(_stored_rows(data[place], part, rows))

        yield read


def _stored_rows(
    data: h5py.Dataset, part: checksums.Part, rows: slice | IntArray
) -> npt.NDArray[np.float16]:
    """Read rows of one version as they are stored; a list of rows is ascending."""
    if isinstance(rows, slice):
        return np.asarray(data[(*part, rows)])
    if not len(rows):
        return np.empty((0, data.shape[-1]), dtype=np.float16)
    first, end = int(rows[0]), int(rows[-1]) + 1
    if end - first <= _DENSE * len(rows):
        found = np.asarray(data[(*part, slice(first, end))])
        return found if (np.diff(rows) == 1).all() else found[rows - first]
    return np.stack([data[(*part, row)] for row in rows.tolist()])


def shape_of(path: Path, view: str) -> tuple[int, int]:
    """Return samples and dimension of a view.

    Raises:
        LpclipError: there is no such view.
    """
    with open_file(path, kind=KIND) as file:
        n_samples, dim = stored_view(path, file, view).shape[-2:]
        return n_samples, dim


def verify_versions(path: Path, versions: Sequence[tuple[str, int]]) -> tuple[int, int]:
    """Compare versions of views with their checksums; return their shape ``(N, D)``.

    Raises:
        LpclipError: a view is damaged or missing.
    """
    with open_file(path, kind=KIND) as file:
        for view, version in versions:
            data = stored_view(path, file, view)
            checksums.verify(data, (version,) if data.ndim == 3 else ())
        n_samples, dim = stored_view(path, file, versions[0][0]).shape[-2:]
        return n_samples, dim


def unit_length(data: h5py.Dataset) -> FloatArray:
    """Read a view, unit length, float32, using little memory besides the result."""
    values = np.empty(data.shape, dtype=np.float32)
    for version in checksums.parts(data):
        _read_part(data, version, values[version or ...])
    return values


def _read_part(data: h5py.Dataset, part: checksums.Part, found: FloatArray) -> None:
    """Read and verify one version ``[N, D]`` of a view into an array, unit length."""
    read = checksums.Sum(data, part)
    for start in range(0, data.shape[-2], _READ_ROWS):
        rows = slice(start, start + _READ_ROWS)
        stored = data[(*part, rows)]
        read.update(stored)
        found[rows] = unit(stored)
    read.verify()


def unit(stored: npt.NDArray[np.float16]) -> FloatArray:
    """Convert stored features ``[..., D]`` to unit length and float32."""
    return normalise(np.take(_SINGLE, stored.view(np.uint16), mode="clip"))


def normalise(features: FloatArray) -> FloatArray:
    """Divide rows by their length; a row of zeros stays zero."""
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    unit: FloatArray = features / np.maximum(norm, np.finfo(np.float32).tiny)
    return unit
