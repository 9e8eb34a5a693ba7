"""Sparse graphs of neighbours."""

from typing import Any

import numpy as np
from scipy import sparse

from lpclip.types import FloatArray, IntArray


def graph(index: IntArray, weights: FloatArray, n_columns: int) -> Any:
    """Return a sparse matrix ``[N, n_columns]`` (CSR, float32) of weights ``[N, k]`` of edges."""
    n, k = index.shape
    ends = np.arange(0, n * k + 1, k) if k else np.zeros(n + 1, dtype=np.int64)
    return sparse.csr_matrix(
        (weights.astype(np.float32).ravel(), index.ravel(), ends), shape=(n, n_columns)
    )
