"""Checks of predictions, and the two vectors that most metrics need."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lpclip.types import FloatArray, IntArray

_ROW_SUM_TOLERANCE = 1e-3  # rows of float16 probabilities miss 1 by up to 2**-11


class Predictions(NamedTuple):
    """Checked predictions of N samples over C classes."""

    probabilities: npt.NDArray[np.float64]  # [N, C]
    labels: npt.NDArray[np.int64]  # [N]
    confidence: npt.NDArray[np.float64]  # [N], the largest probability of each row
    correct: npt.NDArray[np.float64]  # [N], 1 where that class is the label, else 0


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
        return Predictions(values, np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
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
    return Predictions(values, labels.astype(np.int64), confidence, correct)


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
