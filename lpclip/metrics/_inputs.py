"""Checks of predictions, and the vectors that metrics need: one number per sample."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lpclip.types import FloatArray, IntArray

_ROW_SUM_TOLERANCE = 1e-3  # rows of float16 probabilities miss 1 by up to 2**-11


class Predictions(NamedTuple):
    """Checked predictions of N samples over C classes."""

    n_classes: int
    labels: npt.NDArray[np.int64]  # [N]
    confidence: npt.NDArray[np.float64]  # [N], the largest probability of each row
    correct: npt.NDArray[np.float64]  # [N], 1 where that class is the label, else 0
    of_label: npt.NDArray[np.float64]  # [N], the probability of the label
    rank: IntArray  # [N], how many classes come before the label; the first of equals
    squares: npt.NDArray[np.float64]  # [N], sum of the squared probabilities


def checked_predictions(probabilities: FloatArray, labels: IntArray) -> Predictions:
    """Predictions ``[N, C]`` with confidence and correctness, checked to fit labels ``[N]``.

    Raises:
        ValueError: shapes differ, labels are no integers or lie outside 0..C-1, a probability is
            nan, or a row is no distribution, as when logits or cosines are passed.
    """
    values, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"expected scores of shape [N, C] with C > 0, got {list(values.shape)}")
    n, n_classes = values.shape
    if labels.shape != (n,):
        raise ValueError(f"expected {n} labels, got an array of {list(labels.shape)}")
    if n == 0:
        none, nothing = np.zeros(0, np.int64), np.zeros(0)
        return Predictions(n_classes, none, nothing, nothing, nothing, none, nothing)
    if np.isnan(values).any():
        raise ValueError("expected scores without nan")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"expected class indices as integers, got {labels.dtype}")
    if labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(
            f"expected labels in 0..{n_classes - 1}, got {labels.min()}..{labels.max()}"
        )
    if values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > _ROW_SUM_TOLERANCE:
        raise ValueError(
            "expected probabilities: every row non-negative with the sum 1. "
            "Logits and cosines must pass through a softmax first"
        )
    top = values.argmax(axis=1)
    confidence = np.minimum(values[np.arange(n), top], 1.0)
    correct = (top == labels).astype(np.float64)
    # A rounded softmax may exceed 1 by an ulp, which would make an error negative.
    of_label = np.minimum(values[np.arange(n), labels], 1.0)
    squares = np.square(values).sum(axis=1)
    whole = labels.astype(np.int64)
    return Predictions(
        n_classes, whole, confidence, correct, of_label, _rank(values, whole), squares
    )


def _rank(values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> IntArray:
    """How many classes have a larger probability than the label, or an equal one before it."""
    of_label = values[np.arange(len(labels)), labels][:, None]
    is_before = np.arange(values.shape[1]) < labels[:, None]
    rank: IntArray = ((values > of_label) | ((values == of_label) & is_before)).sum(axis=1)
    return rank


def joined(blocks: Sequence[Predictions]) -> Predictions:
    """Join predictions of the same classes."""
    if len(blocks) == 1:
        return blocks[0]
    return Predictions(
        blocks[0].n_classes,
        *(np.concatenate(columns) for columns in list(zip(*blocks, strict=True))[1:]),
    )


class Ordered(NamedTuple):
    """Predictions by confidence."""

    confidence: npt.NDArray[np.float64]  # [N], ascending
    correct: npt.NDArray[np.float64]  # [N]


def by_confidence(predictions: Predictions) -> Ordered:
    """Confidence [N] in ascending order, and the correctness [N] in that order.

    Samples of equal confidence share their mean correctness, so that no result depends on the
    order in which samples come (a saturated softmax gives many confidences of exactly 1).
    """
    confidence, group, size = np.unique(
        predictions.confidence, return_inverse=True, return_counts=True
    )
    share = np.bincount(group, weights=predictions.correct, minlength=len(confidence)) / size
    return Ordered(np.repeat(confidence, size), np.repeat(share, size))
