"""The common frame of all HDF5 files of lpclip: kind, provenance, checksums, completeness.

Every file has ``kind``, ``schema_version``, its provenance (model, weights, view settings,
fingerprint of the index, versions, …) as attributes, and ``complete``; every array has a checksum.
``pandas.read_hdf`` opens tables and frames. Files hold no date or host name, so equal contents are
equal bytes.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage import checksums, made_from
from lpclip.storage.attributes import Attributes
from lpclip.storage.file_kinds import kind_of, type_of
from lpclip.storage.hdf5_output import new_hdf5
from lpclip.storage.opening import damaged, make_again, open_hdf5, wrong_kind
from lpclip.utils.atomic import atomic_path

SCHEMA_VERSION = 2
# Before 2, files had no frames and no checksums, and every table was a plain data set.
READABLE_VERSIONS = (1, SCHEMA_VERSION)

# Attributes that every file has.
_COMMON = ("kind", "schema_version", "complete", *made_from.ATTRIBUTES, checksums.ATTRIBUTES)

Provenance = Mapping[str, str | int | float]


@contextlib.contextmanager
def create(
    path: Path, *, kind: str, provenance: Provenance, content: str | float | None = None
) -> Iterator[h5py.File]:
    """Create a file that appears at ``path`` when the block ends without an error.

    The module of ``lpclip.storage`` that writes it gives the kind; the provenance is stored as
    attributes. For ``content``, see ``made_from.stamp``.
    """
    with atomic_path(path) as temporary, new_hdf5(temporary) as file:
        begin(file, kind=kind, provenance=provenance)
        yield file
        end(file, content=content)


def begin(file: h5py.File, *, kind: str, provenance: Provenance) -> None:
    """Write the first attributes of a new file; arguments as in ``create``."""
    file.attrs["kind"] = kind
    file.attrs["schema_version"] = SCHEMA_VERSION
    # Sorted: what was read from another file has no order, and equal contents are equal bytes.
    file.attrs.update(dict(sorted(provenance.items())))


def end(file: h5py.File, *, content: str | float | None = None) -> None:
    """Write the last attributes of a new file: its record, all missing checksums, ``complete``."""
    made_from.stamp(file, content=content)
    checksums.seal(file)
    file.attrs["complete"] = 1  # PyTables cannot read a Boolean attribute


@contextlib.contextmanager
def open_file(path: Path, *, kind: str | None = None) -> Iterator[h5py.File]:
    """Open a complete file of a kind (any kind if None) for reading.

    Raises:
        LpclipError: missing, truncated, not written by lpclip, of another kind, or refused by
            ``open_hdf5``.
    """
    if path.is_dir():
        raise wrong_kind(path, type_of(path), kind)
    if not path.is_file():
        raise LpclipError(f"{path} does not exist. Run Snakemake, which makes it.")
    again = make_again(path)
    with open_hdf5(path, kind=kind) as file:
        found = provenance_of(file, every=True)
        if "kind" not in found or "schema_version" not in found:
            raise wrong_kind(path, "an HDF5 file of another program", kind)
        if found.get("complete") != 1:
            raise LpclipError(f"{path} is not complete: its writer was stopped.{again}")
        if found["schema_version"] not in READABLE_VERSIONS:
            raise LpclipError(
                f"{path} has schema version {found['schema_version']}; this version of lpclip "
                f"reads {SCHEMA_VERSION} and older.{again}"
            )
        if kind is not None and found["kind"] != kind:
            raise wrong_kind(path, kind_of(found["kind"]), kind)
        yield file


def read_provenance(path: Path, *, kind: str | None = None) -> Attributes:
    """Read the attributes of a file, without those that every file has."""
    with open_file(path, kind=kind) as file:
        return provenance_of(file)


def provenance_of(file: h5py.File, *, every: bool = False) -> Attributes:
    """Return the attributes of an open file, with ``every`` also those that every file has."""
    found = Attributes(Path(file.filename), file.attrs)
    for key in () if every else _COMMON:
        found.pop(key, None)
    return found


def check_provenance(path: Path, found: Provenance, expected: Provenance) -> None:
    """Refuse a file whose provenance lacks expected values; other fields are ignored.

    Raises:
        LpclipError: names the first field that differs and both values.
    """
    for key, value in expected.items():
        if found.get(key) != value:
            raise LpclipError(
                f"{path} was made with {key} {found.get(key, 'unknown')!r}, not {value!r}."
                f"{make_again(path)}"
            )


def columns(path: Path, frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Select columns of a table that was read from a file.

    Raises:
        LpclipError: one of them is missing.
    """
    if missing := [name for name in names if name not in frame]:
        raise damaged(path, f"a table lacks {', '.join(missing)}")
    return frame[list(names)]


def check_shapes(file: h5py.File, axes: Mapping[str, str], sizes: Mapping[str, int]) -> None:
    """Refuse arrays of one file whose sizes differ along axes that must be equal.

    Args:
        file: an open file.
        axes: name of an array -> one letter per axis; equal letters mean equal sizes. Missing
            arrays are ignored.
        sizes: known sizes, by letter.

    Raises:
        LpclipError: another number of axes, sizes that differ, no numbers, or an axis other than N
            of length 0.
    """
    known = dict(sizes)
    for name, letters in axes.items():
        if name not in file:
            continue
        data = file[name]
        shape = data.shape if isinstance(data, h5py.Dataset) else None
        if (
            shape is None
            or len(shape) != len(letters)
            or data.dtype.kind not in "fiub"
            or any(known.setdefault(k, n) != n for k, n in zip(letters, shape, strict=True))
            or 0 in (n for k, n in zip(letters, shape, strict=True) if k != "N")
        ):
            expected = ", ".join(f"{letter}={known.get(letter, '?')}" for letter in letters)
            raise damaged(file, f"'{name}' has shape {list(shape or ())}, not [{expected}]")
