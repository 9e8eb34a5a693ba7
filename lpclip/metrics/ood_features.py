"""OOD scores from the features alone: how far an image is from the unlabelled adapt set.

No class, label or probe has a part in them, so they are the same for every method. Higher means
more in-distribution, as everywhere. Features count by their direction: both scale every vector to
length 1. Both work through the adapt set in blocks, so that memory does not grow with it; it may be
float16, as caches are.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from lpclip.types import FloatArray

_ROWS = 2048  # of float64 at once: 8 MiB for 512 dimensions, 32 MiB for cosines of two blocks
_LEAST_SHRINKAGE = 1e-6  # two samples are estimated without noise, but span one direction
_ROUNDING = 1e-20  # variance that unit vectors of one direction may show in float64


def nearest_neighbours(
    features: FloatArray, adapt_features: FloatArray, *, k: int = 50
) -> FloatArray:
    """Negative Euclidean distance to the k-th nearest feature of the adapt set (Sun et al. 2022).

    Args:
        features: [N, D], any length but 0.
        adapt_features: [M, D]; an image that is in both sets is its own nearest neighbour.
        k: which neighbour; the paper takes 50 for CIFAR-10 and more for more classes. With fewer
            adapt features than k, the farthest of them counts.

    Returns:
        [N], in [-2, 0].

    Raises:
        ValueError: shapes do not fit, a feature is not finite or of length 0, M = 0, or k < 1.

    >>> features = np.array([[2.0, 0.0], [0.0, 1.0]])
    >>> nearest_neighbours(features, np.array([[1.0, 0.0]]), k=1).round(6).tolist()
    [0.0, -1.414214]
    """
    _check(features, adapt_features)
    if k < 1:
        raise ValueError(f"expected k >= 1, got {k}")
    blocks = []
    for queries in _unit_blocks(features):
        nearest = np.zeros((len(queries), 0))
        for references in _unit_blocks(adapt_features):
            cosines = np.concatenate([nearest, queries @ references.T], axis=1)
            kept = max(0, cosines.shape[1] - k)
            nearest = np.partition(cosines, kept, axis=1)[:, kept:]
        # The smallest of the k largest; rounding may lift a cosine above 1. No -0.0.
        blocks.append(0.0 - np.sqrt(np.maximum(2 - 2 * nearest.min(axis=1), 0.0)))
    scores: FloatArray = np.concatenate(blocks) if blocks else np.zeros(0)
    return scores


def mahalanobis(features: FloatArray, adapt_features: FloatArray) -> FloatArray:
    """Negative squared Mahalanobis distance to the adapt set, taken as one Gaussian.

    -(x - mean)' C^-1 (x - mean). Lee et al. (2018) take a mean per class, which needs labels; one
    mean and covariance for all are the background Gaussian of Ren et al. (2021). C is the
    covariance of the adapt set shrunk towards a multiple of the identity by the amount that
    Ledoit & Wolf (2004) derive, so that it can be inverted whatever M and D are.

    Args:
        features: [N, D], any length but 0.
        adapt_features: [M, D].

    Returns:
        [N], at most 0.

    Raises:
        ValueError: shapes do not fit, a feature is not finite or of length 0, M = 0, or all adapt
            features have one direction, which leaves no covariance.

    >>> adapt = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> mahalanobis(np.array([[5.0, 0.0]]), adapt).round(6).tolist()
    [-2.0]
    """
    _check(features, adapt_features)
    mean, covariance = _shrunk_gaussian(adapt_features)
    if np.trace(covariance) < _ROUNDING:
        raise ValueError("expected adapt features that differ from each other")
    factor = np.linalg.cholesky(covariance)
    blocks = [
        -np.square(solve_triangular(factor, (block - mean).T, lower=True)).sum(axis=0)
        for block in _unit_blocks(features)
    ]
    scores: FloatArray = np.concatenate(blocks) if blocks else np.zeros(0)
    return scores


def _shrunk_gaussian(
    features: FloatArray,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean [D] and Ledoit-Wolf covariance [D, D] of the unit vectors, in two passes."""
    m, d = features.shape
    mean = np.zeros(d)
    for block in _unit_blocks(features):
        mean += block.sum(axis=0) / m
    covariance, fourth_moment = np.zeros((d, d)), 0.0
    for block in _unit_blocks(features):
        centred = block - mean
        covariance += centred.T @ centred / m
        fourth_moment += float(np.square(np.square(centred).sum(axis=1)).sum()) / m
    # How far the sample covariance is from the target, and how much of that is noise: the mean
    # squared distance of one sample's outer product from the covariance, over m.
    target = np.trace(covariance) / d * np.eye(d)
    distance = float(np.square(covariance - target).sum())
    noise = max(0.0, fourth_moment - float(np.square(covariance).sum())) / m
    shrinkage = max(_LEAST_SHRINKAGE, min(noise / distance, 1.0)) if distance > 0 else 0.0
    return mean, (1 - shrinkage) * covariance + shrinkage * target


def _unit_blocks(features: FloatArray) -> Iterator[npt.NDArray[np.float64]]:
    """The rows in blocks, float64, each of length 1."""
    for start in range(0, len(features), _ROWS):
        block = np.asarray(features[start : start + _ROWS], np.float64)
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        # Written so that a nan fails too.
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ValueError("expected finite features with a length above 0")
        yield block / lengths


def _check(features: FloatArray, adapt_features: FloatArray) -> None:
    shapes = np.shape(features), np.shape(adapt_features)
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            "expected features [N, D] and adapt features [M, D], got shapes "
            f"{list(shapes[0])} and {list(shapes[1])}"
        )
    if shapes[1][0] == 0:
        raise ValueError("expected at least one adapt feature")
