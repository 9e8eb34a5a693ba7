"""Arrays of a row per image and a column per class, worked on by blocks of rows.

At 100,000 images and 1,000 classes such an array takes 400 MB, so there are at most a few, and what
is computed on the way to one never takes as much. Those that exceed the budget are in files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lpclip.methods.labelling.heads import mean_view, softmax_in_place
from lpclip.storage.features import normalise
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows, block_rows, empty_rows, parts, row_slices, slices


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows, so few at once that they stay small.

    >>> list(blocks(3, 1 << 24))
    [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    """
    return slices(n_rows, block_rows(4 * n_columns))  # float32


def unit_mean(views: "Views | OneView") -> Rows:
    """Return the mean of the versions ``[V, N, D]`` of each image, unit length: ``[N, D]``."""
    if isinstance(views, OneView):
        return views.rows
    if isinstance(views, np.ndarray):
        return views[0] if len(views) == 1 else normalise(views.mean(axis=0))
    n_views, n, dim = views.shape
    found: Rows = empty_rows(n, dim)
    for rows in blocks(n, n_views * dim):
        mean = mean_view(views, np.arange(rows.start, rows.stop))
        found[rows] = mean if n_views == 1 else normalise(mean)
    return found


@dataclass(frozen=True)
class OneView:
    """Features ``[N, D]`` in a file as views ``[1, N, D]``."""

    rows: Rows
    itemsize: int = 4

    @property
    def shape(self) -> tuple[int, int, int]:
        """One view, samples, dimension."""
        return 1, *self.rows.shape

    def __len__(self) -> int:
        return 1

    def __getitem__(self, place: int) -> Rows:
        return self.rows

    def __iter__(self) -> Iterator[Rows]:
        return iter([self.rows])


def as_views(features: Rows) -> Any:
    """Return features ``[N, D]`` as views ``[1, N, D]``."""
    return features[None] if isinstance(features, np.ndarray) else OneView(features)


def joint(values: Rows, features: Rows) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the same rows of two arrays, all at once if both are in memory."""
    if isinstance(values, np.ndarray) and not isinstance(features, np.ndarray):
        return ((values[rows], part) for rows, part in parts(features))
    return ((part, features[rows]) for rows, part in parts(values))


def logits_of(
    features: Rows, weight: FloatArray, bias: FloatArray | float, *, scale: float
) -> Rows:
    """Return ``scale * features @ weight.T + bias``, float32 ``[N, C]``."""
    found: Rows = empty_rows(len(features), len(weight))
    if isinstance(features, np.ndarray) and isinstance(found, np.ndarray):
        return logits_in_memory(features, weight, bias, scale=scale)
    for rows in row_slices(*found.shape):
        found[rows] = logits_in_memory(features[rows], weight, bias, scale=scale)
    return found


def logits_in_memory(
    features: FloatArray, weight: FloatArray, bias: FloatArray | float, *, scale: float
) -> FloatArray:
    """Return the logits of a few rows, likewise."""
    logits = np.empty((len(features), len(weight)), dtype=np.float32)
    np.matmul(features, (scale * weight).astype(np.float32).T, out=logits)
    logits += np.asarray(bias, dtype=np.float32)
    return logits


def zero_shot_logits(features: Rows, head: ZeroShotHead) -> Rows:
    """Return zero-shot's logits, float32 ``[N, C]``."""
    return logits_of(features, head.weight, head.bias, scale=head.scale)


def softmax(logits: Rows) -> Rows:
    """Overwrite logits ``[N, C]`` with their softmax over C, and return it."""
    if isinstance(logits, np.ndarray):
        return softmax_in_place(logits)
    for rows, part in parts(logits):
        logits[rows] = softmax_in_place(part)
    return logits
