"""Whether a confidence means what it says: calibration errors of the top-1 confidence."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lpclip.metrics._inputs import Predictions, by_confidence, checked_predictions
from lpclip.types import FloatArray, IntArray


def expected_calibration_error(
    probabilities: FloatArray, labels: IntArray, *, n_bins: int = 15
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
    return equal_width_gaps(checked_predictions(probabilities, labels), _checked(n_bins)).error


def adaptive_calibration_error(
    probabilities: FloatArray, labels: IntArray, *, n_bins: int = 15
) -> float:
    """Gap between confidence and accuracy over bins that hold equally many samples.

    The formula is that of `expected_calibration_error`; the bins cut the samples, ordered by
    confidence, into n equal parts that differ by one sample at most (Nguyen & O'Connor 2015).
    Samples of equal confidence count with their mean accuracy wherever the cut falls.

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1.
        n_bins: number of bins; with fewer samples than bins, each sample is a bin.

    Returns:
        Fraction in [0, 1]; nan for N = 0.

    Raises:
        ValueError: a row is no probability distribution, or labels do not fit.

    >>> probabilities = np.array([[0.75, 0.25], [0.5, 0.5]])
    >>> adaptive_calibration_error(probabilities, np.array([0, 0]), n_bins=1)
    0.375
    """
    return equal_mass_gaps(checked_predictions(probabilities, labels), _checked(n_bins)).error


class Gaps(NamedTuple):
    """A calibration error, |gaps| summed over N, and what its interval needs."""

    error: float  # nan for N = 0
    gaps: npt.NDArray[np.float64]  # [B], in each bin the sum of correctness less confidence
    covariance: npt.NDArray[np.float64]  # [B, B], of these sums when samples are drawn anew


def equal_width_gaps(predictions: Predictions, n_bins: int = 15) -> Gaps:
    """`expected_calibration_error` of predictions that were checked already."""
    n = len(predictions.labels)
    bins = equal_width_bins(predictions.confidence, n_bins)
    gap = predictions.correct - predictions.confidence
    sums, squares = (
        np.bincount(bins, weights=values).astype(np.float64) for values in (gap, gap**2)
    )
    # As many samples fall into a bin as chance has it: a multinomial.
    covariance = np.diag(squares) - np.outer(sums, sums) / max(n, 1)
    return Gaps(_error(sums, n), sums, covariance)


def equal_width_bins(confidence: FloatArray, n_bins: int) -> npt.NDArray[np.int64]:
    """Which of the bins (0, 1/n], ..., (1 - 1/n, 1] each confidence [N] is in, from 0."""
    # Inner edges k/n are correctly rounded, so 0.6 falls into (8/15, 9/15]. Counting the edges
    # below a confidence puts 1.0 into the last bin and opens no further one.
    edges = np.arange(1, n_bins) / n_bins
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)


def equal_mass_gaps(predictions: Predictions, n_bins: int = 15) -> Gaps:
    """`adaptive_calibration_error` of predictions that were checked already."""
    n = len(predictions.labels)
    if n == 0:
        return Gaps(_error(np.zeros(0), 0), np.zeros(0), np.zeros((0, 0)))
    confidence, correct = by_confidence(predictions)
    n_bins = min(n_bins, n)
    # The first n % n_bins bins are one larger.
    sizes = np.full(n_bins, n // n_bins)
    sizes[: n % n_bins] += 1
    # Of a share of samples that are right, the squared gap is the mean over them.
    square = correct * (1 - confidence) ** 2 + (1 - correct) * confidence**2
    starts = np.cumsum(sizes) - sizes
    sums, squares = (np.add.reduceat(values, starts) for values in (correct - confidence, square))
    # A bin's number of samples is fixed, so only what they are varies.
    return Gaps(_error(sums, n), sums, np.diag(squares - sums**2 / sizes))


def _error(gaps: npt.NDArray[np.float64], n: int) -> float:
    return float(np.abs(gaps).sum() / n) if n else float("nan")


def _checked(n_bins: int) -> int:
    if n_bins < 1:
        raise ValueError(f"expected at least one bin, got {n_bins}")
    return n_bins
