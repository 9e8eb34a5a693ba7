"""Intervals of calibration errors: the errors that could have given what was observed.

A calibration error is a sum of absolute values: noise can only raise it, so that neither a normal
interval nor a bootstrap holds the truth, least of all that of a calibrated head, which is 0. So the
interval is that of a test (Casella & Berger 2002, section 9.2): it holds every error under which
the observed one is neither too large nor too small, as Wilson's interval holds every proportion.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, ndtr

from lpclip.metrics.intervals import Z_95

Array = npt.NDArray[np.float64]

_STEPS, _FINER = 17, 9  # errors that are tried, and between the two that enclose an end
_FEW = 10.0  # variance of a bin's number of right samples below which it is no normal number
_CONTINUITY = 0.5  # numbers of right samples are whole
_ROUNDING = 1e-9  # samples: less is no error


class Bins(NamedTuple):
    """Samples in bins of confidence."""

    sizes: Array  # [B], samples, all above 0
    right: Array  # [B], right ones
    confidence: Array  # [B], sum of confidences


def interval_of_gaps(bins: Bins) -> tuple[float, float]:
    """Interval of a calibration error, sum_b |right_b - confidence_b| / N.

    An error is shared among the bins in two ways: as the observed one is, and evenly over all
    samples as over-confidence. Either gives each bin an accuracy, under which its number of right
    samples is binomial; from the mean and variance of |right_b - confidence_b| follow those of the
    error that would be observed, which must be within 1.96 standard deviations of the one that
    was. The interval holds what either way allows, and the observed error itself.

    Returns:
        (low, high), fractions in [0, 1]; (nan, nan) for N = 0.

    >>> low, high = interval_of_gaps(Bins(*np.array([[100.0], [80.0], [90.0]])))
    >>> round(low, 3), round(high, 3)
    (0.033, 0.19)
    """
    n = bins.sizes.sum()
    if n == 0:
        return float("nan"), float("nan")
    gaps = bins.right - bins.confidence
    error = np.abs(gaps).sum()
    even = bins.sizes / n
    ways = [-even] if error == 0 else [gaps / error, -even]
    ends = [_ends(_Way(bins, way), error, n) for way in ways]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return float(min(low, error) / n), float(min(1.0, max(high, error) / n))


class _Way:
    """Errors of one direction."""

    def __init__(self, bins: Bins, direction: Array) -> None:
        self._bins, self._direction = bins, direction
        self._expected = bins.confidence / bins.sizes
        self._few = bins.sizes * self._expected * (1 - self._expected) < _FEW

    def __call__(self, steps: Array) -> tuple[Array, Array, Array]:
        """Lower and upper end of what is observed under errors [T], and the errors themselves.

        The third is smaller than the given errors where an accuracy would leave 0..1.
        """
        sizes, confidence = self._bins.sizes, self._bins.confidence
        accuracy = self._expected + steps[:, None] * (self._direction / sizes)
        np.clip(accuracy, 0.0, 1.0, out=accuracy)
        shift = sizes * accuracy - confidence
        variance = sizes * accuracy * (1 - accuracy)
        means = _mean_of_absolute(shift, variance)
        if self._few.any():
            few = self._few
            means[:, few] = _mean_of_binomial(sizes[few], confidence[few], accuracy[:, few])
        mean, error = means.sum(axis=1), np.abs(shift).sum(axis=1)
        spread = (variance + shift**2 - means**2).sum(axis=1)
        # As many samples fall into a bin as chance has it.
        between = (shift**2 / sizes).sum(axis=1) - error**2 / sizes.sum()
        half = Z_95 * np.sqrt(np.maximum(spread, 0.0) + np.maximum(between, 0.0))
        return mean - half, mean + half, np.where(error > _ROUNDING, error, 0.0)


def _ends(way: _Way, error: float, n: float) -> tuple[float, float]:
    """The least and the largest error under which the observed one is within its bounds."""
    # No standard deviation is above sqrt(n / 2).
    steps = np.linspace(0.0, min(n, error + 2 * np.sqrt(n)), _STEPS)
    lower, upper, errors = way(steps)
    first = int(np.argmax(upper >= error - _CONTINUITY))
    last = len(steps) - 1 - int(np.argmax(lower[::-1] <= error))
    low, high = float(errors[first]), float(errors[last])
    if first > 0:
        _, upper, errors = way(np.linspace(steps[first - 1], steps[first], _FINER))
        low = float(errors[max(0, int(np.argmax(upper >= error - _CONTINUITY)) - 1)])
    if last < len(steps) - 1:
        lower, _, errors = way(np.linspace(steps[last], steps[last + 1], _FINER))
        place = _FINER - 1 - int(np.argmax(lower[::-1] <= error))
        high = float(errors[min(_FINER - 1, place + 1)])
    return low, high


def _mean_of_absolute(mean: Array, variance: Array) -> Array:
    """Mean of |X| for normal X."""
    deviation = np.sqrt(np.maximum(variance, np.finfo(np.float64).tiny))
    x = np.clip(mean / deviation, -30.0, 30.0)
    folded: Array = deviation * np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2) + mean * (2 * ndtr(x) - 1)
    return folded


def _mean_of_binomial(n: Array, centre: Array, p: Array) -> Array:
    """Mean of |X - c| for X of n trials with probability p: mean of X - c + 2 max(c - X, 0).

    The last has the mean c P(X <= k) - n p P(X' <= k - 1), with k the whole part of c and X' of
    n - 1 trials.
    """
    k = np.floor(centre)
    below = bdtr(k, n.astype(np.int64), p)
    fewer = bdtr(np.maximum(k - 1, 0), np.maximum(n - 1, 0).astype(np.int64), p)
    fewer = np.where(k >= 1, fewer, 0.0)
    mean: Array = n * p - centre + 2 * (centre * below - n * p * fewer)
    return mean
