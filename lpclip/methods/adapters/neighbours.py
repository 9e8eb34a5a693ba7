"""Sparse graphs of neighbours.

Adapters take the exact neighbours of every image, as their papers do, so their time grows with the
square of the images; their memory does not.
"""

from typing import Any

import numpy as np
from scipy import sparse

from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import Rows


def graph(index: IntArray, weights: FloatArray, n_columns: int) -> Any:
    """Return a sparse matrix ``[N, n_columns]`` (CSR, float32) of weights ``[N, k]`` of edges."""
    n, k = index.shape
    ends = np.arange(0, n * k + 1, k) if k else np.zeros(n + 1, dtype=np.int64)
    return sparse.csr_matrix(
        (weights.astype(np.float32).ravel(), index.ravel(), ends), shape=(n, n_columns)
    )


def product(links: Any, values: Rows) -> FloatArray:
    """Return ``links @ values``, ``[n, C]``, of links ``[n, N]`` with an array ``[N, C]``."""
    if isinstance(values, np.ndarray):
        found: FloatArray = links @ values
        return found
    columns = np.unique(links.indices)
    of_some: FloatArray = links[:, columns] @ values[columns]
    return of_some
