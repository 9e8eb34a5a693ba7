"""Exact nearest neighbours by cosine, block by block."""

import numpy as np

from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import (
    Rows,
    Scratch,
    block_rows,
    empty_rows,
    mean_over_rows,
    parts,
    slices,
)

# Features whose neighbours are looked up together where those that are searched are in a file.
_QUERIES = 4096


def without_mean(features: Rows) -> Rows:
    """Return features ``[N, D]`` less their mean, unit length.

    Features of one encoder lie in a narrow cone; without its axis, cosines tell them apart.
    """
    if isinstance(features, np.ndarray):
        return _unit(features - features.mean(axis=0))
    mean = mean_over_rows(features).astype(features.dtype)
    centred: Rows = empty_rows(*features.shape, features.dtype)
    for rows, part in parts(features):
        centred[rows] = _unit(part - mean)
    return centred


def _unit(centred: FloatArray) -> FloatArray:
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return centred


def nearest(
    features: Rows,
    k: int,
    *,
    among: Rows | None = None,
    own: IntArray | None = None,
) -> tuple[IntArray, FloatArray]:
    """Find the nearest rows by cosine, the nearest first.

    Args:
        features: unit-length ``[N, D]``.
        k: how many; all that there are, if they are fewer.
        among: unit-length rows ``[M, D]`` that are searched; None for the other rows of the
            features themselves.
        own: place of each row among those that are searched, ``[N]``, which is left out; -1 for
            none. By default no row of ``among`` is left out.

    Returns:
        Index of the neighbours, and their cosines, ``[N, k]`` each.

    >>> nearest(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), 1)[0].tolist()
    [[2], [2], [1]]
    """
    searched = features if among is None else among
    if among is None:
        own = np.arange(len(features))
    k = max(min(k, len(searched) - (own is not None)), 0)
    index = np.empty((len(features), k), dtype=np.int64)
    cosine = np.empty((len(features), k), dtype=np.float32)
    if k == 0:
        return index, cosine
    if isinstance(searched, Scratch):
        return _nearest_in_file(features, k, searched, own)
    # Of each pair a cosine and, while they are sorted, a number of 8 bytes.
    size = block_rows(12 * len(searched))
    for start in range(0, len(features), size):
        rows = slice(start, start + size)
        cosines = features[rows] @ searched.T
        if own is not None:
            inside = np.flatnonzero(own[rows] >= 0)
            cosines[inside, own[rows][inside]] = -np.inf
        part = np.argpartition(cosines, -k, axis=1)[:, -k:]
        values = np.take_along_axis(cosines, part, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        index[rows] = np.take_along_axis(part, order, axis=1)
        cosine[rows] = np.take_along_axis(values, order, axis=1)
    return index, cosine


def _nearest_in_file(
    features: Rows, k: int, searched: Scratch, own: IntArray | None
) -> tuple[IntArray, FloatArray]:
    """``nearest`` among rows in a file, which is read once for every ``_QUERIES`` features."""
    index = np.empty((len(features), k), dtype=np.int64)
    cosine = np.empty((len(features), k), dtype=np.float32)
    for rows in slices(len(features), _QUERIES):
        queries = features[rows]
        best = np.full((len(queries), k), -np.inf, dtype=np.float32)
        places = np.zeros((len(queries), k), dtype=np.int64)
        for block in slices(len(searched), block_rows(12 * len(queries))):
            cosines = queries @ searched[block].T
            if own is not None:
                inside = np.flatnonzero((own[rows] >= block.start) & (own[rows] < block.stop))
                cosines[inside, own[rows][inside] - block.start] = -np.inf
            numbers = np.broadcast_to(np.arange(block.start, block.stop), cosines.shape)
            both = np.concatenate([best, cosines], axis=1)
            part = np.argpartition(both, -k, axis=1)[:, -k:]
            best = np.take_along_axis(both, part, axis=1)
            places = np.take_along_axis(np.concatenate([places, numbers], axis=1), part, axis=1)
        order = np.argsort(-best, axis=1, kind="stable")
        index[rows] = np.take_along_axis(places, order, axis=1)
        cosine[rows] = np.take_along_axis(best, order, axis=1)
    return index, cosine
