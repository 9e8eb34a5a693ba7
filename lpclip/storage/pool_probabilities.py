"""What a method predicts for the images of its pool, in a file of probes."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from lpclip.storage import checksums
from lpclip.storage.opening import damaged
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows, empty_rows, row_slices, stacked

POOL = "pool_probabilities"
_SUM_TOLERANCE = 0.01  # of many small float16 probabilities


def write_pool(file: h5py.File, of_seeds: FloatArray | Sequence[Rows]) -> None:
    """Write the probabilities of the pool, part by part."""
    shape = of_seeds[0].shape
    stored = file.create_dataset(POOL, (len(of_seeds), *shape), np.float16)
    for seed_index, values in enumerate(of_seeds):
        for rows in row_slices(*shape):
            stored[seed_index, rows] = values[rows].astype(np.float16)


def read_pool(path: Path, data: h5py.Dataset) -> FloatArray | Sequence[Rows]:
    """Read and verify the probabilities of the pool, part by part."""
    of_seeds = []
    for seed_index in range(len(data)):
        values: Rows = empty_rows(*data.shape[1:])
        read = checksums.Sum(data, (seed_index,))
        for rows in row_slices(*data.shape[1:]):
            stored = data[seed_index, rows]
            read.update(stored)
            values[rows] = _normalised(path, stored)
        read.verify()
        of_seeds.append(values)
    found: FloatArray | Sequence[Rows] = stacked(of_seeds)
    return found


def _normalised(path: Path, stored: FloatArray) -> FloatArray:
    """Return stored probabilities as float32 whose rows sum to 1."""
    values: FloatArray = stored.astype(np.float32)
    sums = values.sum(axis=-1, keepdims=True)
    if not (np.abs(sums - 1) <= _SUM_TOLERANCE).all():
        raise damaged(path, "its pool_probabilities do not sum to 1")
    values /= sums  # in place: of many images and classes these are gigabytes
    return values
