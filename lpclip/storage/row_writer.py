"""Write rows to arrays of an HDF5 file without the HDF5 library, so that a crash is harmless.

The structure of the file, with a place for every array, is on the disk before the first row. Rows
are written to their places alone, so what a crash leaves behind is a sound file in which some rows
are missing.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from lpclip.storage import checksums
from lpclip.storage.hdf5_output import write_at
from lpclip.types import FloatArray

# Bytes of a version that are read at once to compare them with their checksum.
_READ_BYTES = 8 << 20


def reserve(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> h5py.Dataset:
    """Create an array that has its place in the file, but no values yet.

    It is in one piece, neither chunked nor compressed; measured in benchmarks/README.md.
    """
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    settings.set_obj_track_times(False)
    return file.create_dataset(name, shape, dtype, dcpl=settings)


def check_space(path: Path, size: int, *, freed: int = 0) -> None:
    """Fail at once if the disk has no room for a file; ``freed`` bytes are removed meanwhile."""
    if shutil.disk_usage(path.parent).free + freed < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class RowWriter:
    """Writer of the next rows of arrays ``[N, D]`` or ``[V, N, D]``, which have equal N and D.

    Attributes:
        rows: number of rows that are written.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        """Open a file that ``reserve`` created the arrays of; they keep the order of the names."""
        self._path, self._names = path, names
        self._places, self._sums = list[int](), list[list[checksums.Sum]]()
        with h5py.File(path, "r", locking=False) as file:
            for data in map(file.__getitem__, names):
                self._sums.append([checksums.Sum(data, part) for part in checksums.parts(data)])
                first, size = data.id.get_offset() or 0, data.nbytes // len(self._sums[-1])
                self._places += [first + size * place for place in range(len(self._sums[-1]))]
                self._row_bytes = data.dtype.itemsize * data.shape[-1]
        self.rows = 0

    def write(self, block: FloatArray) -> None:
        """Write the next n rows, ``[sum of V, n, D]`` float16; an array without V counts as one."""
        block = np.ascontiguousarray(block, dtype=np.float16)
        position = self.rows * self._row_bytes
        # Opened each time: a process that was suspended must not write to its successor's file.
        with self._path.open("rb+", buffering=0) as file:
            for place, version in zip(self._places, block, strict=True):
                write_at(file.fileno(), version.data, place + position)
        for one, version in zip(self._all_sums(), block, strict=True):
            one.update(version)
        self.rows += block.shape[1]

    def sync(self) -> None:
        """Wait until all rows so far are on the disk."""
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())

    def sums(self) -> list[int]:
        """Return the checksums of the rows so far, one per version."""
        return [one.value() for one in self._all_sums()]

    def resume(self, rows: int, sums: Sequence[int]) -> bool:
        """Continue after rows of an earlier run if they are as written, by their ``sums()``."""
        size = rows * self._row_bytes
        with self._path.open("rb") as file:
            for place, one in zip(self._places, self._all_sums(), strict=True):
                file.seek(place)
                for start in range(0, size, _READ_BYTES):
                    found = file.read(min(_READ_BYTES, size - start))
                    one.update(np.frombuffer(found, dtype=np.float16))
        self.rows = rows
        return self.sums() == list(sums)

    def store_sums(self, file: h5py.File) -> None:
        """Write the checksums of all arrays to their attributes."""
        for name, sums in zip(self._names, self._sums, strict=True):
            checksums.store(file[name], sums)

    def _all_sums(self) -> list[checksums.Sum]:
        return [one for of_array in self._sums for one in of_array]
