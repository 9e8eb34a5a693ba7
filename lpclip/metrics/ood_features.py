"""OOD scores from the features alone: how far an image is from the unlabelled adapt set.

They use no class, label or probe, so they are the same for every method. Higher means
more in-distribution, as everywhere. Features count by their direction: both scale every vector to
length 1. Both work through the adapt set in blocks, so that memory does not grow with it; it may be
float16, as caches are.

An image of the adapt set itself is compared with all others of it, or it would seem more
in-distribution than any other image: that is what `members` is for.
"""

import logging
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from lpclip.types import BoolArray, FloatArray, IntArray

log = logging.getLogger(__name__)

_ROWS = 2048  # of float64 at once: 8 MiB for 512 dimensions, 32 MiB for cosines of two blocks
_LEAST_SHRINKAGE = 1e-6  # two samples are estimated without noise, but span one direction
_ROUNDING = 1e-20  # variance that unit vectors of one direction may show in float64
# Distance of two unit vectors of one image that was embedded twice: its features are rounded to
# float16, and another batch or device may round a few to the other side.
_SAME_IMAGE = 2e-3
_PROJECTED = 8  # dimensions in which images that may be the same are searched


class Features(Protocol):
    """Features ``[N, D]``: an array, or what reads rows of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, D."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, rows: slice | IntArray) -> FloatArray:
        """Some rows, ``[n, D]``."""


def nearest_neighbours(
    features: Features,
    adapt_features: Features,
    *,
    k: int = 50,
    members: BoolArray | None = None,
) -> FloatArray:
    """Negative Euclidean distance to the k-th nearest feature of the adapt set (Sun et al. 2022).

    Args:
        features: [N, D], any length but 0.
        adapt_features: [M, D].
        k: which neighbour; the paper takes 50 for CIFAR-10 and more for more classes. With fewer
            adapt features than k, the farthest of them counts.
        members: [N], which features are among the adapt features: their own does not count as a
            neighbour. None: none is.

    Returns:
        [N], in [-2, 0].

    Raises:
        ValueError: shapes do not fit, a feature is not finite or of length 0, M = 0, or k < 1.

    >>> features = np.array([[2.0, 0.0], [0.0, 1.0]])
    >>> nearest_neighbours(features, np.array([[1.0, 0.0]]), k=1).round(6).tolist()
    [0.0, -1.414214]
    """
    members = _check(features, adapt_features, members)
    if k < 1:
        raise ValueError(f"expected k >= 1, got {k}")
    blocks = []
    for start, queries in _unit_blocks(features):
        own = members[start : start + len(queries)]
        taken = k + int(own.any())
        nearest = np.zeros((len(queries), 0))
        for _, references in _unit_blocks(adapt_features):
            cosines = np.concatenate([nearest, queries @ references.T], axis=1)
            kept = max(0, cosines.shape[1] - taken)
            nearest = np.partition(cosines, kept, axis=1)[:, kept:]
        # The smallest of the k largest, or of k + 1, the first of which is the feature itself.
        nearest.sort(axis=1)
        farthest = np.where(own, nearest[:, 0], nearest[:, -k if nearest.shape[1] >= k else 0])
        # Rounding may lift a cosine above 1. No -0.0.
        blocks.append(0.0 - np.sqrt(np.maximum(2 - 2 * farthest, 0.0)))
    scores: FloatArray = np.concatenate(blocks) if blocks else np.zeros(0)
    return scores


def mahalanobis(
    features: Features, adapt_features: Features, *, members: BoolArray | None = None
) -> FloatArray:
    """Negative squared Mahalanobis distance to the adapt set, taken as one Gaussian.

    -(x - mean)' C^-1 (x - mean). Lee et al. (2018) take a mean per class, which needs labels; one
    mean and covariance for all are the background Gaussian of Ren et al. (2021). C is the
    covariance of the adapt set shrunk towards a multiple of the identity by the amount that
    Ledoit & Wolf (2004) derive, so that it can be inverted whatever M and D are.

    Args:
        features: [N, D], any length but 0.
        adapt_features: [M, D].
        members: [N], which features are among the adapt features: mean and covariance are then
            those of the M - 1 others, but for the amount of shrinkage. None: none is.

    Returns:
        [N], at most 0.

    Raises:
        ValueError: shapes do not fit, a feature is not finite or of length 0, M = 0, or all adapt
            features have one direction, which leaves no covariance.

    >>> adapt = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> mahalanobis(np.array([[5.0, 0.0]]), adapt).round(6).tolist()
    [-2.0]
    """
    members = _check(features, adapt_features, members)
    mean, covariance, shrinkage = _shrunk_gaussian(adapt_features)
    if np.trace(covariance) < _ROUNDING:
        raise ValueError("expected adapt features that differ from each other")
    factor = np.linalg.cholesky(covariance)
    blocks = [
        np.square(solve_triangular(factor, (block - mean).T, lower=True)).sum(axis=0)
        for _, block in _unit_blocks(features)
    ]
    distances: FloatArray = np.concatenate(blocks) if blocks else np.zeros(0)
    distances[members] = _without_itself(distances[members], len(adapt_features), shrinkage)
    return 0.0 - distances


def members_of(adapt_features: Features, features: Features) -> BoolArray:
    """Which features are of images of the adapt set, up to rounding.

    Pairs that are as near as two embeddings of one image are found in a few dimensions, since a
    projection brings no two vectors further apart, and then measured in all.

    Args:
        adapt_features: [M, D].
        features: [N, D].

    Returns:
        [N].

    Raises:
        ValueError: shapes do not fit, a feature is not finite or of length 0, or M = 0.

    >>> members_of(np.array([[2.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0001]])).tolist()
    [False, True]
    """
    from scipy.spatial import KDTree  # here: its import takes a tenth of most stages' start-up

    _check(features, adapt_features, None)
    d = features.shape[1]
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(d, min(d, _PROJECTED))))[0]
    tree = KDTree(np.concatenate([block @ axes for _, block in _unit_blocks(adapt_features)]))
    found = np.zeros(len(features), bool)
    for start, block in _unit_blocks(features):
        _, nearest = tree.query(block @ axes, distance_upper_bound=_SAME_IMAGE)
        rows = np.flatnonzero(nearest < len(adapt_features))
        if len(rows):
            pairs = np.concatenate(
                [block for _, block in _unit_blocks(adapt_features[nearest[rows]])]
            )
            gaps = np.linalg.norm(block[rows] - pairs, axis=1)
            found[start + rows] = gaps <= _SAME_IMAGE
    return found


def _without_itself(distances: FloatArray, m: int, shrinkage: float) -> FloatArray:
    """Squared distances of members of the adapt set to the Gaussian of the m - 1 others.

    Without x the mean is farther from it by a factor m / (m - 1), and the covariance lacks
    (1 - shrinkage) m / (m - 1)^2 (x - mean)(x - mean)' (Sherman & Morrison 1950 invert it); that
    the rest is divided by m - 1 and not by m counts only for the part that is not shrunk.
    """
    if m < 2:
        return distances
    lost = (1 - shrinkage) * m / (m - 1) ** 2
    # (1 - shrinkage) distance / m is below 1, since the covariance has that very part.
    left = np.maximum(1 - lost * distances, 1 / m**2)
    others: FloatArray = (m / (m - 1)) ** 2 * distances / left
    return others


def _shrunk_gaussian(
    features: Features,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Mean [D] and Ledoit-Wolf covariance [D, D] of unit vectors, and its shrinkage: two passes."""
    m, d = features.shape
    mean = np.zeros(d)
    for _, block in _unit_blocks(features):
        mean += block.sum(axis=0) / m
    covariance, fourth_moment = np.zeros((d, d)), 0.0
    for _, block in _unit_blocks(features):
        centred = block - mean
        covariance += centred.T @ centred / m
        fourth_moment += float(np.square(np.square(centred).sum(axis=1)).sum()) / m
    # How far the sample covariance is from the target, and how much of that is noise: the mean
    # squared distance of one sample's outer product from the covariance, over m.
    target = np.trace(covariance) / d * np.eye(d)
    distance = float(np.square(covariance - target).sum())
    noise = max(0.0, fourth_moment - float(np.square(covariance).sum())) / m
    shrinkage = max(_LEAST_SHRINKAGE, min(noise / distance, 1.0)) if distance > 0 else 0.0
    return mean, (1 - shrinkage) * covariance + shrinkage * target, shrinkage


def _unit_blocks(features: Features) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """The rows in blocks, float64, each of length 1, and where a block starts."""
    for start in range(0, len(features), _ROWS):
        block = np.asarray(features[start : start + _ROWS], np.float64)
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        # Written so that a nan fails too.
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ValueError("expected finite features with a length above 0")
        yield start, block / lengths


def _check(features: Features, adapt_features: Features, members: BoolArray | None) -> BoolArray:
    """Which features are members; shapes are checked."""
    shapes = features.shape, adapt_features.shape
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            "expected features [N, D] and adapt features [M, D], got shapes "
            f"{list(shapes[0])} and {list(shapes[1])}"
        )
    if shapes[1][0] == 0:
        raise ValueError("expected at least one adapt feature")
    n = shapes[0][0]
    found = np.zeros(n, bool) if members is None else np.asarray(members)
    if found.shape != (n,) or found.dtype != bool:
        raise ValueError(f"expected {n} booleans as members, got {found.dtype} {found.shape}")
    return found


# Sun et al. (2022) take the 50th nearest of CIFAR-10's 50,000 images and the 1000th of ImageNet's
# 1.3 million. A small set needs a few, or the neighbour is of another class.
ADAPT_PER_NEIGHBOUR, LEAST_NEIGHBOURS = 1000, 5


def feature_scores(values: Features, known: Features) -> dict[str, FloatArray]:
    """Score name -> scores ``[N]`` of features; high means in-distribution.

    A feature that is also among the known ones is compared with the others.

    Args:
        values: ``[N, D]``.
        known: ``[M, D]``, of the adapt set.
    """
    k = max(LEAST_NEIGHBOURS, len(known) // ADAPT_PER_NEIGHBOUR)
    members = members_of(known, values)
    scores = {"nearest_neighbours": nearest_neighbours(values, known, k=k, members=members)}
    if _differ(known):
        scores["mahalanobis"] = mahalanobis(values, known, members=members)
    else:
        log.warning("no Mahalanobis distance: the adapt set's images do not differ")
    return scores


def _differ(known: Features) -> bool:
    """Whether not all features are the same."""
    first = known[:1]
    starts = range(0, len(known), _ROWS)
    return any(bool((known[start : start + _ROWS] != first).any()) for start in starts)


def references(n: int) -> BoolArray:
    """Mask of every other of n images of the adapt set: the reference for the rest.

    The order of images is that of the index, so that the halves are always the same.
    """
    found: BoolArray = np.arange(n) % 2 == 0
    return found
