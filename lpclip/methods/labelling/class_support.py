"""Which classes a pool has images of, and how many, from calibrated predictions.

The coefficients were fitted to the development sets.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import Rows, slices

# Of the constant, the surest images, the surest cluster, the size of a class and the agreement.
_PRESENCE = (6.54, 0.34, 1.49, -0.125, -6.0)
# Of the constant and the parts in ``balance``.
_BALANCE = (0.123, 1.87, -3.03, 0.27, 1.82, -0.82, -0.09)
_BLOCK = 2048


class Counts(NamedTuple):
    """How many images of each class there are, counted in different ways, ``[C]`` each.

    Images count by their probability to belong to one of the classes.
    """

    soft: FloatArray  # sum of the probabilities
    hard: FloatArray  # images for which the class is predicted
    sure: FloatArray  # sum of the squared probabilities
    cluster: FloatArray  # largest mean probability of an image and its neighbours


def count(
    probabilities: Rows, belongs: FloatArray, predicted: IntArray, nearest: IntArray
) -> Counts:
    """Count the images of each class.

    Args:
        probabilities: of the classes, ``[N, C]``.
        belongs: probability that an image belongs to one of the classes, ``[N]``.
        predicted: class of each image, ``[N]``.
        nearest: rows of its nearest other images, ``[N, k]``.
    """
    n_classes = probabilities.shape[1]
    soft, sure, cluster = np.zeros((3, n_classes))
    for rows in slices(len(probabilities), _BLOCK):
        weight, own = belongs[rows, None], probabilities[rows]
        soft += (weight * own).sum(axis=0)
        sure += (weight * own**2).sum(axis=0)
        together = weight * own
        for neighbour in nearest[rows].T:
            together += belongs[neighbour, None] * probabilities[neighbour]
        np.maximum(cluster, together.max(axis=0) / (1 + nearest.shape[1]), out=cluster)
    hard = np.bincount(predicted, belongs, n_classes).astype(np.float64)
    return Counts(soft, hard, sure, cluster)


def presence_of(counts: Counts, agreement: float) -> FloatArray:
    """Return the probability that the pool has images of a class, ``[C]``.

    A logistic regression on the sum of squared probabilities, the surest cluster, the typical size
    of a class and the agreement of neighbours.
    """
    typical = (counts.sure**2).sum() / max(counts.sure.sum(), 1e-9)
    constant, sure, cluster, size, agreed = _PRESENCE
    logit = (
        constant
        + sure * np.log(counts.sure + 0.05)
        + cluster * np.log(counts.cluster + 0.02)
        + size * np.log(max(typical, 1e-9))
        + agreed * agreement
    )
    probability: FloatArray = expit(logit)
    return probability


def expected_images(counts: Counts, presence: FloatArray) -> FloatArray:
    """Return the images of each class: the mean of two counts, of present classes, ``[C]``."""
    images = presence * (counts.soft + counts.hard)
    scaled: FloatArray = images * counts.hard.sum() / max(images.sum(), 1e-9)
    return scaled


def balance(counts: Counts, presence: FloatArray, agreement: float, n: int) -> float:
    """Return the total variation of the class frequencies from equal ones.

    A linear regression: predictions are more uneven than the classes where zero-shot errs, and
    more even where classes are absent.
    """
    n_classes = len(presence)
    parts = (
        1.0,
        _distance(counts.hard),
        _distance(counts.soft),
        _distance(presence),
        _distance(counts.hard * presence),
        1 - agreement,
        np.sqrt(n_classes / n),
    )
    return float(np.clip(np.dot(_BALANCE, parts), 0, 1 - 1 / n_classes))


def _distance(values: FloatArray) -> float:
    """Return the total variation of frequencies in proportion to the values from equal ones."""
    shares = values / max(float(values.sum()), 1e-9)
    return float(np.abs(shares - 1 / len(values)).sum() / 2)
