"""Large arrays by rows: in memory, or in a temporary file where they exceed a budget.

``Rows`` is either. Both are read and written with ``values[rows]``; what is computed from one of
them is computed part by part (``parts``), and an array in memory is one part.
"""

import errno
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lpclip.errors import LpclipError
from lpclip.types import FloatArray, IntArray

# Gigabytes (1e9 bytes) that the large arrays of a stage may take: views, and numbers of a row per
# image and a column per class.
DEFAULT_MEMORY_GB = 4.0
# Bytes of the arrays that are computed together.
BLOCK_BYTES = 64 << 20
# Of an array of a row per image and a column per class there are at most so many at a time; they
# may take half of the budget, and views the other half.
_AT_ONCE = 3
# Rows are read as one range if it holds at most so many times as many.
_DENSE = 8

_budget = DEFAULT_MEMORY_GB * 1e9


def limit_memory(gigabytes: float) -> None:
    """Set the budget of this process; but for the order of streamed views no result depends on it.

    Raises:
        LpclipError: no positive number.
    """
    if not gigabytes > 0:
        raise LpclipError(f"--memory-gb takes a positive number, not {gigabytes:g}.")
    global _budget
    _budget = gigabytes * 1e9


def memory_budget() -> float:
    """Return the budget of this process in bytes."""
    return _budget


def views_fit(n_bytes: int) -> bool:
    """Return whether views of so many bytes may be held in memory."""
    return n_bytes <= _budget / 2


def rows_fit(n_rows: int, n_columns: int, itemsize: int = 4) -> bool:
    """Return whether arrays ``[N, C]`` are held in memory."""
    return _AT_ONCE * n_rows * n_columns * itemsize <= _budget / 2


def block_rows(row_bytes: int) -> int:
    """Return how many rows of this size are computed together."""
    return max(1, BLOCK_BYTES // max(1, row_bytes))


def slices(n_rows: int, size: int) -> Iterator[slice]:
    """Yield slices of at most so many rows.

    >>> list(slices(3, 2))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


class Scratch:
    """An array ``[N, C]`` in a temporary file without a name, which ends with the process.

    The file is in the folder for temporary files: ``TMPDIR``, which Snakemake sets.
    """

    def __init__(self, n_rows: int, n_columns: int, dtype: npt.DTypeLike = np.float32) -> None:
        """Reserve the file.

        Raises:
            OSError: the disk has no room for it.
        """
        self.shape, self.dtype = (n_rows, n_columns), np.dtype(dtype)
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        size = max(1, n_rows * self._row_bytes)
        with _of_temporary_folder():
            try:
                os.posix_fallocate(self._file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
                os.ftruncate(self._file.fileno(), size)  # a file system that reserves nothing

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def _row_bytes(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    def __getitem__(self, rows: slice | IntArray) -> FloatArray:
        """Read some rows ``[n, C]``, or ``[..., C]`` of an array of rows with more axes."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self._read(start, stop - start)
        if rows.ndim > 1:
            return self[rows.ravel()].reshape(*rows.shape, self.shape[1])
        if not len(rows):
            return np.empty((0, self.shape[1]), self.dtype)
        first, end = int(rows.min()), int(rows.max()) + 1
        if end - first <= _DENSE * len(rows):
            return self._read(first, end - first)[rows - first]
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        for place, row in zip(found, rows.tolist(), strict=True):
            os.preadv(self._file.fileno(), [place.data], row * self._row_bytes)
        return found

    def __setitem__(self, rows: slice | IntArray, values: FloatArray) -> None:
        """Write some rows."""
        values = np.ascontiguousarray(values, self.dtype)
        if isinstance(rows, slice):
            self._write(rows.indices(len(self))[0], values)
        elif len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            self._write(int(rows[0]), values)
        else:
            for row, value in zip(rows.tolist(), values, strict=True):
                self._write(row, value)

    def columns(self, columns: slice) -> FloatArray:
        """Read some columns of all rows, ``[N, c]``."""
        found = np.empty((len(self), columns.stop - columns.start), self.dtype)
        for row, values in enumerate(found):
            place = row * self._row_bytes + columns.start * self.dtype.itemsize
            os.preadv(self._file.fileno(), [values.data], place)
        return found

    def _read(self, first: int, n: int) -> FloatArray:
        found = np.empty((n, self.shape[1]), self.dtype)
        self._move(os.preadv, found, first)
        return found

    def _write(self, first: int, values: FloatArray) -> None:
        self._move(os.pwritev, values, first)

    def _move(self, move: Callable[..., int], values: npt.NDArray[Any], first: int) -> None:
        """Read or write all bytes of some rows, however many a call takes."""
        rest, position = values.reshape(-1).view(np.uint8), first * self._row_bytes
        with _of_temporary_folder():
            while len(rest):
                moved = move(self._file.fileno(), [rest.data], position)
                rest, position = rest[moved:], position + moved


@contextmanager
def _of_temporary_folder() -> Iterator[None]:
    """Name the folder in errors of a file that has no name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error


Rows: TypeAlias = FloatArray | Scratch


def empty_rows(n_rows: int, n_columns: int, dtype: npt.DTypeLike = np.float32) -> Any:
    """Return a new array ``[N, C]``: in memory if it fits, else in a temporary file."""
    if rows_fit(n_rows, n_columns, np.dtype(dtype).itemsize):
        return np.empty((n_rows, n_columns), dtype)
    return Scratch(n_rows, n_columns, dtype)


def row_slices(n_rows: int, n_columns: int, itemsize: int = 4) -> Iterator[slice]:
    """Yield the slices of an array ``[N, C]`` that are computed together: one if it fits."""
    fits = rows_fit(n_rows, n_columns, itemsize)
    return slices(n_rows, max(n_rows, 1) if fits else block_rows(n_columns * itemsize))


def parts(values: Rows) -> Iterator[tuple[slice, FloatArray]]:
    """Yield slices of rows, and these rows ``[n, C]``: all at once if they are in memory."""
    if isinstance(values, np.ndarray):
        yield slice(0, values.shape[-2]), values
        return
    for rows in slices(len(values), block_rows(values.shape[1] * values.dtype.itemsize)):
        yield rows, values[rows]


def mean_over_rows(values: Rows) -> FloatArray:
    """Return the mean ``[C]`` of all rows, float64."""
    total: FloatArray = sum(part.sum(axis=0, dtype=np.float64) for _, part in parts(values))
    return total / len(values)


def largest_of_rows(values: Rows) -> tuple[IntArray, FloatArray]:
    """Return the place and the value of the largest number of each row, ``[..., N]`` each."""
    return largest_of_blocks(part for _, part in parts(values))


def largest_of_blocks(blocks: Iterable[FloatArray]) -> tuple[IntArray, FloatArray]:
    """Return the same of rows that come in blocks ``[..., n, C]``, at least one."""
    found = [(part.argmax(axis=-1), part.max(axis=-1)) for part in blocks]
    index, largest = (np.concatenate(of_parts, axis=-1) for of_parts in zip(*found, strict=True))
    return index, largest


def select(values: Rows, rows: IntArray, columns: IntArray) -> Rows:
    """Return some rows and columns of an array, in memory if they fit."""
    if isinstance(values, np.ndarray):
        return values[rows[:, None], columns]
    found: Rows = empty_rows(len(rows), len(columns), values.dtype)
    for block in slices(len(rows), block_rows(values.shape[1] * values.dtype.itemsize)):
        found[block] = values[rows[block]][:, columns]
    return found


def stacked(values: Sequence[Any]) -> Any:
    """Return arrays ``[N, C]`` as one, ``[S, N, C]``: a sequence of them if they are in files."""
    if all(isinstance(one, np.ndarray) for one in values):
        return np.stack(values) if len(values) > 1 else values[0][None]
    return tuple(values)
