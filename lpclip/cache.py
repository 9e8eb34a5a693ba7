"""The HDF5 files of lpclip: written and read here alone, so that a file always knows what it is.

Every file carries ``kind``, ``schema_version``, its provenance (model, weights, view settings,
fingerprint of the index, versions, …) as attributes, and ``complete``; every array a checksum.
``pandas.read_hdf`` opens tables and frames. No file holds a date or a host, so equal contents are
equal bytes.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.atomic import atomic_path
from lpclip.errors import LpclipError, did_you_mean
from lpclip.storage import checksums, made_from
from lpclip.storage.attributes import Attributes
from lpclip.storage.hdf5_output import new_hdf5
from lpclip.storage.opening import make_again, open_hdf5
from lpclip.storage.pandas_frames import Frames
from lpclip.storage.tables import read_table as read_table
from lpclip.storage.tables import stored_table as stored_table
from lpclip.storage.tables import write_table as write_table
from lpclip.types import FloatArray

SCHEMA_VERSION = 2
# Before 2, files had no frames and no checksums, and every table was a plain data set.
READABLE_VERSIONS = (1, SCHEMA_VERSION)

# Rows of a feature cache that are written, and continued after a kill, as one.
CHUNK_ROWS = 256
_WRITE_BYTES = 4 << 20
# Rows that are read and normalised as one: few enough to stay in the processor's cache.
_READ_ROWS = 512
# Every half-precision number in single precision: looking it up beats NumPy's conversion.
_SINGLE = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)

# What an index says of an image, but for its label.
IMAGE_COLUMNS = ("id", "path", "size")

# Attributes that every file has.
_COMMON = (
    "kind",
    "schema_version",
    "complete",
    "made_from",
    "made_from_hash",
    checksums.ATTRIBUTES,
)

Provenance = Mapping[str, str | int | float]


def fingerprint(samples: pd.DataFrame) -> str:
    """Hash of the ids and paths of an index, and of its files' sizes, 16 hexadecimal digits.

    Labels are not part of it: what is derived from the images must not depend on them.

    Args:
        samples: ``id``, ``path`` and, in an index of image files, ``size``; other columns are not
            looked at.
    """
    columns = [column for column in IMAGE_COLUMNS if column in samples]
    digest = sha256()
    for row in samples[columns].itertuples(index=False):
        digest.update(("\0".join(map(str, row)) + "\n").encode())
    return digest.hexdigest()[:16]


def text_fingerprint(features: FloatArray) -> str:
    """Hash of text features, 16 hexadecimal digits: other names or templates, another hash."""
    return sha256(np.ascontiguousarray(features, dtype=np.float32).tobytes()).hexdigest()[:16]


@contextlib.contextmanager
def create(path: Path, *, kind: str, provenance: Provenance) -> Iterator[h5py.File]:
    """New file of a kind that appears at ``path`` when the block ends without an error."""
    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
        file.attrs["kind"] = kind
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs.update(provenance)
        # Two indices may have the same settings and other images.
        content = provenance.get("index") if kind == "samples" else None
        made_from.stamp(file, content=content)
        yield file
        checksums.seal(file)
        file.attrs["complete"] = 1  # PyTables cannot read a Boolean attribute


@contextlib.contextmanager
def open_file(path: Path, *, kind: str | None = None) -> Iterator[h5py.File]:
    """Whole file of a kind (any where None), for reading.

    Raises:
        LpclipError: missing, truncated, not a file of lpclip's, of another kind, or one that
            ``open_hdf5`` refuses.
    """
    if not path.is_file():
        raise LpclipError(f"{path} does not exist. Run Snakemake, which makes it.")
    again = make_again(path)
    with open_hdf5(path) as file:
        found = provenance_of(file, every=True)
        if "kind" not in found or "schema_version" not in found:
            raise LpclipError(f"{path} is an HDF5 file, but not one that lpclip wrote.")
        if found.get("complete") != 1:
            raise LpclipError(f"{path} is not complete: its writer was stopped.{again}")
        if found["schema_version"] not in READABLE_VERSIONS:
            raise LpclipError(
                f"{path} has schema version {found['schema_version']}; this version of lpclip "
                f"reads {SCHEMA_VERSION} and older.{again}"
            )
        if kind is not None and found["kind"] != kind:
            raise LpclipError(f"{path} holds {found['kind']}, not {kind}.")
        yield file


def read_provenance(path: Path, *, kind: str | None = None) -> Attributes:
    """Attributes of a file, without those that every file has."""
    with open_file(path, kind=kind) as file:
        return provenance_of(file)


def provenance_of(file: h5py.File, *, every: bool = False) -> Attributes:
    """Attributes of an open file, without those that every file has unless these are wanted."""
    found = Attributes(Path(file.filename), file.attrs)
    for key in () if every else _COMMON:
        found.pop(key, None)
    return found


def check_provenance(path: Path, found: Provenance, expected: Provenance) -> None:
    """Refuse a file that is not what it is asked to be.

    Args:
        path: the file that ``found`` was read from.
        found: provenance of the file.
        expected: fields that must be equal; others are not looked at.

    Raises:
        LpclipError: names the first field that differs and both values.
    """
    for key, value in expected.items():
        if found.get(key) != value:
            raise LpclipError(
                f"{path} was made with {key} {found.get(key, 'unknown')!r}, not {value!r}."
                f"{make_again(path)}"
            )


def read_samples(path: Path, *, labels: bool) -> pd.DataFrame:
    """Index of a dataset: id, path, size in bytes and, where asked for, label (-1 for none).

    Raises:
        LpclipError: as ``open_file``, or a column is missing.
    """
    with open_file(path, kind="samples") as file:
        frame = read_table(file, "samples")
    if labels:
        return frame
    sizes = ["size"] if "size" in frame else []  # older indices have none
    return columns(path, frame, "id", "path", *sizes)


def columns(path: Path, frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Columns of a table that was read from a file.

    Raises:
        LpclipError: one of them is missing.
    """
    if missing := [name for name in names if name not in frame]:
        raise LpclipError(
            f"{path} is damaged: a table lacks {', '.join(missing)}.{make_again(path)}"
        )
    return frame[list(names)]


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
    with create(path, kind="features", provenance=provenance) as file:
        write_table(file, "samples", samples[["id", "path"]], listed=False)
        start, datasets, sums = 0, list[h5py.Dataset](), list[list[checksums.Sum]]()
        for part in _gathered(parts):
            if start == 0:
                _check_space(path, n * part.nbytes // part.shape[1])
                datasets = [
                    _create_view(file, view, count, n, part.shape[2])
                    for view, count in versions.items()
                ]
                sums = [
                    [checksums.Sum(data, place) for place in checksums.parts(data)]
                    for data in datasets
                ]
            stop = start + part.shape[1]
            first = 0
            for data, of_versions in zip(datasets, sums, strict=True):
                if data.ndim == 2:
                    data[start:stop] = part[first]
                else:
                    data[:, start:stop] = part[first : first + len(data)]
                for one in of_versions:
                    one.update(part[first])
                    first += 1
            start = stop
        if start != n:
            raise RuntimeError(f"{path}: {start} rows of features for {n} samples")
        frames = Frames(file, file["samples"]["id"])
        settings = json.loads(str(provenance.get("views", "{}")))
        for view, data, of_versions in zip(versions, datasets, sums, strict=False):
            checksums.store(data, of_versions)
            frames.add_versions(view, data, settings.get(view, {}).get("severities"))


def _gathered(parts: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """The same rows in parts of some megabytes: few large writes are faster than many small."""
    waiting, size = list[FloatArray](), 0
    for part in parts:
        waiting.append(part)
        size += part.nbytes
        if size >= _WRITE_BYTES:
            yield np.concatenate(waiting, axis=1)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting, axis=1)


def _check_space(path: Path, size: int) -> None:
    """Refuse to begin what the disk cannot hold."""
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _create_view(file: h5py.File, view: str, count: int, n: int, dim: int) -> h5py.Dataset:
    # In one piece, neither chunked nor compressed: benchmarks/README.md says what that saves.
    shape = (count, n, dim) if count else (n, dim)
    return file.create_dataset(f"features/{view}", shape=shape, dtype=np.float16)


def views(file: h5py.File) -> list[str]:
    """Names of the views in an open feature cache, sorted.

    Raises:
        LpclipError: the file has no group of views.
    """
    group = file["features"]
    if not isinstance(group, h5py.Group):
        path = Path(file.filename)
        raise LpclipError(f"{path} is damaged: 'features' is no group of views.{make_again(path)}")
    return sorted(name for name in group if isinstance(name, str))  # bytes: no UTF-8


def versions_of(path: Path, view: str) -> int:
    """How many versions a view has; 1 for one that has none.

    Raises:
        LpclipError: there is no such view.
    """
    with open_file(path, kind="features") as file:
        data = stored_view(path, file, view)
        return len(data) if data.ndim == 3 else 1


def stored_view(path: Path, file: h5py.File, view: str) -> h5py.Dataset:
    """A view of an open feature cache, ``[N, D]`` or ``[V, N, D]`` as it is stored.

    Raises:
        LpclipError: there is no such view, or it is not what a view is.
    """
    if view not in (names := views(file)):
        raise LpclipError(f"{path} has no view '{view}'. {did_you_mean(view, names)}")
    data = file[f"features/{view}"]
    whole = isinstance(data, h5py.Dataset) and data.ndim in (2, 3) and data.dtype == np.float16
    if not whole or ("samples" in file and data.shape[-2:-1] != file["samples"].shape):
        raise LpclipError(
            f"{path} is damaged: view '{view}' is not an array of float16 with a row per sample."
            f"{make_again(path)}"
        )
    return data


def read_features(path: Path, view: str, *, expected: Provenance) -> FloatArray:
    """Features of one view, unit length, float32, ``[N, D]`` or ``[V, N, D]``.

    Raises:
        LpclipError: the cache is not what ``expected`` says, or has no such view.
    """
    with open_file(path, kind="features") as file:
        check_provenance(path, provenance_of(file), expected)
        return unit_length(stored_view(path, file, view))


def unit_length(data: h5py.Dataset) -> FloatArray:
    """All of a view, unit length, float32; beside the result, little memory is used."""
    values = np.empty(data.shape, dtype=np.float32)
    for version in checksums.parts(data):
        read, of_version = checksums.Sum(data, version), values[version or ...]
        for start in range(0, data.shape[-2], _READ_ROWS):
            rows = slice(start, start + _READ_ROWS)
            stored = data[(*version, rows)]
            read.update(stored)
            of_version[rows] = unit(stored)
        read.verify()
    return values


def unit(stored: npt.NDArray[np.float16]) -> FloatArray:
    """Features as they are stored, ``[..., D]``, in unit length and float32."""
    return normalise(np.take(_SINGLE, stored.view(np.uint16), mode="clip"))


def normalise(features: FloatArray) -> FloatArray:
    """Rows divided by their length; a row of zeros stays zero."""
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    unit: FloatArray = features / np.maximum(norm, np.finfo(np.float32).tiny)
    return unit


def same_model(paths: Sequence[Path], *, kinds: Sequence[str]) -> Attributes:
    """Provenance of the first file, after checking that all come from the same weights."""
    first = read_provenance(paths[0], kind=kinds[0])
    expected = {key: first[key] for key in ("model", "weights")}
    for path, kind in zip(paths[1:], kinds[1:], strict=True):
        check_provenance(path, read_provenance(path, kind=kind), expected)
    return first
