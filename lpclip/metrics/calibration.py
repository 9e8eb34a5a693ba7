"""Calibration errors of the top-1 confidence: how far it is from the accuracy."""

import numpy as np
import numpy.typing as npt

from lpclip.metrics._inputs import Ordered, Predictions, checked_predictions
from lpclip.metrics.calibration_interval import Bins
from lpclip.types import FloatArray, IntArray

N_BINS = 15


def expected_calibration_error(
    probabilities: FloatArray, labels: IntArray, *, n_bins: int = N_BINS
) -> float:
    """Gap between confidence and accuracy over equal-width confidence bins.

    ECE = sum_b n_b / N * |accuracy_b - confidence_b|  (Guo et al. 2017, L1).

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1.
        n_bins: bins (0, 1/n], ..., (1 - 1/n, 1]; a confidence of 1 is in the last.

    Returns:
        Fraction in [0, 1]; nan for N = 0.

    Raises:
        ValueError: a row is no probability distribution, or labels do not fit.

    >>> probabilities = np.array([[0.8, 0.2], [0.6, 0.4]])
    >>> round(expected_calibration_error(probabilities, np.array([0, 1])), 6)
    0.4
    """
    if n_bins < 1:
        raise ValueError(f"expected at least one bin, got {n_bins}")
    return calibration_error(
        bins_of_equal_width(checked_predictions(probabilities, labels), n_bins)
    )


def calibration_error(bins: Bins) -> float:
    """|gaps| between right samples and confidence, summed over the bins, over N; nan for N = 0."""
    n = bins.sizes.sum()
    return float(np.abs(bins.right - bins.confidence).sum() / n) if n else float("nan")


def bins_of_equal_width(predictions: Predictions, n_bins: int = N_BINS) -> Bins:
    """Those of `expected_calibration_error` that hold a sample."""
    place = equal_width_bins(predictions.confidence, n_bins)
    sizes = np.bincount(place)
    held = sizes > 0
    right, confidence = (
        np.bincount(place, weights=values)[held].astype(np.float64)
        for values in (predictions.correct, predictions.confidence)
    )
    return Bins(sizes[held].astype(np.float64), right, confidence)


def equal_width_bins(confidence: FloatArray, n_bins: int) -> npt.NDArray[np.int64]:
    """Which of the bins (0, 1/n], ..., (1 - 1/n, 1] each confidence [N] is in, from 0."""
    # Inner edges k/n are correctly rounded, so 0.6 falls into (8/15, 9/15]. Counting the edges
    # below a confidence puts 1.0 into the last bin and opens no further one.
    edges = np.arange(1, n_bins) / n_bins
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def bins_of_equal_mass(ordered: Ordered) -> Bins:
    """Parts of the ordered samples that differ by one sample at most (Nguyen & O'Connor 2015)."""
    n = len(ordered.confidence)
    if n == 0:
        return Bins(np.zeros(0), np.zeros(0), np.zeros(0))
    n_bins = min(N_BINS, n)
    # The first n % n_bins bins are one larger.
    sizes = np.full(n_bins, n // n_bins)
    sizes[: n % n_bins] += 1
    starts = np.cumsum(sizes) - sizes
    right, confidences = (
        np.add.reduceat(values, starts) for values in (ordered.correct, ordered.confidence)
    )
    return Bins(sizes.astype(np.float64), right, confidences)
