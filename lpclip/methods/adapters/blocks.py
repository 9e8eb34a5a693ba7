"""Arrays of a row per image and a column per class, worked on by blocks of rows.

At 100,000 images and 1,000 classes such an array takes 400 MB, so there are at most a few, and what
is computed on the way to one never takes as much.
"""

from collections.abc import Iterator

import numpy as np

from lpclip.methods.labelling.heads import block_rows
from lpclip.storage.features import normalise
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows, so few at once that they stay small.

    >>> list(blocks(3, 1 << 24))
    [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    """
    size = block_rows(4 * n_columns)  # float32
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def unit_mean(views: FloatArray) -> FloatArray:
    """Return the mean of the versions ``[V, N, D]`` of each image, unit length: ``[N, D]``."""
    return views[0] if len(views) == 1 else normalise(views.mean(axis=0))


def logits_of(
    features: FloatArray, weight: FloatArray, bias: FloatArray | float, *, scale: float
) -> FloatArray:
    """Return ``scale * features @ weight.T + bias``, float32 ``[N, C]``."""
    logits = np.empty((len(features), len(weight)), dtype=np.float32)
    np.matmul(features, (scale * weight).astype(np.float32).T, out=logits)
    logits += np.asarray(bias, dtype=np.float32)
    return logits


def zero_shot_logits(features: FloatArray, head: ZeroShotHead) -> FloatArray:
    """Return zero-shot's logits, float32 ``[N, C]``."""
    return logits_of(features, head.weight, head.bias, scale=head.scale)
