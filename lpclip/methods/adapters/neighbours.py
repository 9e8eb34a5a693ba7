"""Exact nearest neighbours by cosine, and sparse graphs of them."""

from typing import Any

import numpy as np
from scipy import sparse

from lpclip.methods.adapters.blocks import blocks
from lpclip.types import FloatArray, IntArray


def nearest(
    features: FloatArray, k: int, *, among: FloatArray | None = None
) -> tuple[IntArray, FloatArray]:
    """Find the nearest rows by cosine, the nearest first.

    Args:
        features: unit-length ``[N, D]``.
        k: how many; all that there are, if they are fewer.
        among: unit-length rows ``[M, D]`` that are searched; None for the other rows of the
            features themselves.

    Returns:
        Index of the neighbours, and their cosines, ``[N, k]`` each.

    >>> nearest(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), 1)[0].tolist()
    [[2], [2], [1]]
    """
    searched = features if among is None else among
    k = max(min(k, len(searched) - (among is None)), 0)
    index = np.empty((len(features), k), dtype=np.int64)
    cosine = np.empty((len(features), k), dtype=np.float32)
    if k == 0:
        return index, cosine
    for rows in blocks(len(features), len(searched)):
        cosines = features[rows] @ searched.T
        if among is None:
            cosines[np.arange(len(cosines)), np.arange(rows.start, rows.stop)] = -np.inf
        part = np.argpartition(cosines, -k, axis=1)[:, -k:]
        values = np.take_along_axis(cosines, part, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        index[rows] = np.take_along_axis(part, order, axis=1)
        cosine[rows] = np.take_along_axis(values, order, axis=1)
    return index, cosine


def graph(index: IntArray, weights: FloatArray, n_columns: int) -> Any:
    """Return a sparse matrix ``[N, n_columns]`` (CSR, float32) of weights ``[N, k]`` of edges."""
    n, k = index.shape
    ends = np.arange(0, n * k + 1, k) if k else np.zeros(n + 1, dtype=np.int64)
    return sparse.csr_matrix(
        (weights.astype(np.float32).ravel(), index.ravel(), ends), shape=(n, n_columns)
    )
