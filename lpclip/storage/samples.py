"""The index of a dataset: one row per image, with its label."""

import contextlib
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import h5py
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage.attributes import Attributes
from lpclip.storage.hdf5 import Provenance, columns, create, open_file, provenance_of
from lpclip.storage.tables import Blocks, read_blocks, read_table, stored_table, write_table
from lpclip.types import IntArray
from lpclip.utils.memory import slices

KIND, TABLE = "samples", "samples"
_SKIPPED = "skipped"
_TOGETHER = 10_000  # rows that are hashed together

# Columns that describe an image without its label.
IMAGE_COLUMNS = ("id", "path", "size")

_refused: list[str] = []  # why labels cannot be read, from the blocks of ``without_labels``


class Sizes(NamedTuple):
    """Some rows of an index, evenly spaced."""

    paths: list[str]
    sizes: IntArray  # bytes of the files
    n_rows: int  # of the whole index
    n_listed: int  # images that the source listed when the index was made


def fingerprint(samples: pd.DataFrame | Iterable[pd.DataFrame]) -> str:
    """Hash of the ids, paths and file sizes of an index, 16 hexadecimal digits.

    It leaves labels out: what is derived from the images must not depend on them. An index of
    images that are no files has no ``size``. The index may come in blocks.
    """
    digest = sha256()
    for block in [samples] if isinstance(samples, pd.DataFrame) else samples:
        columns = [column for column in IMAGE_COLUMNS if column in block]
        for rows in slices(len(block), _TOGETHER):
            values = [map(str, block[column].iloc[rows].tolist()) for column in columns]
            text = "".join("\0".join(row) + "\n" for row in zip(*values, strict=True))
            digest.update(text.encode())
    return digest.hexdigest()[:16]


def write_samples(
    path: Path,
    samples: pd.DataFrame | Blocks,
    provenance: Provenance,
    *,
    skipped: pd.DataFrame | None = None,
) -> None:
    """Write an index.

    Args:
        path: the index.
        samples: N rows: id, path, label (int32), size in bytes (int64).
        provenance: attributes; ``index`` is the fingerprint of the rows.
        skipped: images that were left out: id, path, reason; None where none may be.
    """
    # Two indices may have the same settings and different images.
    content = provenance.get("index")
    with create(path, kind=KIND, provenance=provenance, content=content) as file:
        write_table(file, TABLE, samples)
        if skipped is not None:
            write_table(file, _SKIPPED, skipped, listed=False)


@contextlib.contextmanager
def without_labels(reason: str) -> Iterator[None]:
    """Refuse to read labels inside the block, in all of its threads; ``reason`` says why."""
    _refused.append(reason)
    try:
        yield
    finally:
        _refused.pop()


def read_samples(path: Path, *, labels: bool) -> pd.DataFrame:
    """Read an index: id, path, size in bytes and, if requested, label (-1 for none).

    Raises:
        LpclipError: as ``open_file``; a column is missing; or labels inside ``without_labels``.
    """
    if labels and _refused:
        raise LpclipError(f"The labels of {path} cannot be read: {_refused[-1]}")
    with open_file(path, kind=KIND) as file:
        frame = read_table(file, TABLE)
    return frame if labels else _without_labels(path, frame)


def _without_labels(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    sizes = ["size"] if "size" in frame else []  # older indices have none
    return columns(path, frame, "id", "path", *sizes)


def read_part(path: Path, rows: range) -> tuple[pd.DataFrame, str]:
    """Read some rows of an index as ``read_samples`` without labels, and its whole fingerprint.

    Memory is needed for these rows alone.
    """
    kept = []

    def blocks(file: h5py.File) -> Iterator[pd.DataFrame]:
        end = 0
        for block in read_blocks(file, TABLE):
            start, end = end, end + len(block)
            inside = slice(max(0, rows.start - start), max(0, rows.stop - start))
            kept.append(block.iloc[inside].copy())
            yield block

    with open_file(path, kind=KIND) as file:
        found = fingerprint(blocks(file))
    return _without_labels(path, pd.concat(kept, ignore_index=True)), found


def count_rows(path: Path) -> int:
    """Return the number of rows of an index."""
    with open_file(path, kind=KIND) as file:
        return len(stored_table(file, TABLE))


def read_skipped(path: Path) -> pd.DataFrame:
    """Read the images that an index leaves out: id, path, reason, dataset.

    Raises:
        LpclipError: as ``open_file``, or the index was made without ``on_bad_image: skip``.
    """
    with open_file(path, kind=KIND) as file:
        return read_table(file, _SKIPPED).assign(dataset=provenance_of(file)["dataset"])


def read_sizes(path: Path, *, at_most: int) -> Sizes | None:
    """Read the paths and sizes of some rows of an index; None for an older index without sizes."""
    with open_file(path, kind=KIND) as file:
        table = stored_table(file, TABLE)
        if "size" not in table.dtype.names:
            return None
        rows = table[:: max(1, -(-len(table) // at_most))]
        listed = int(provenance_of(file).get("listed", len(table)))
        return Sizes([p.decode() for p in rows["path"]], rows["size"], len(table), listed)


def class_names_of(provenance: Attributes) -> tuple[str, ...] | None:
    """Class names in the provenance of an index; None for an unlabelled dataset."""
    return None if provenance.json("class_names") is None else provenance.texts("class_names")
