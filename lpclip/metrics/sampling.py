"""The 95 % intervals of metrics without a closed form, from the samples and what they lack.

Few samples may hold no error at all, or no two that differ, and then vary less than others would.
So two samples that are right and two that are wrong are added, as Agresti & Coull (1998) do for a
proportion; what these would contribute to a metric follows from the predicted probabilities.
``benchmarks/intervals.py`` measures how often the intervals hold the truth (docs/intervals.md).
"""

import numpy as np
import numpy.typing as npt

from lpclip.metrics._inputs import Ordered, Predictions
from lpclip.metrics.intervals import Z_95, wilson_interval

Array = npt.NDArray[np.float64]

ADDED = 2.0  # samples of each sort, about half of the squared normal quantile


def interval_of_loss(
    losses: Array, if_right: Array, if_wrong: Array, confidence: Array, *, largest: float = np.inf
) -> tuple[float, float]:
    """Normal interval of a mean loss, with two right and two wrong samples added.

    The added ones are like all samples, except that half of the wrong ones are weighted by
    1 - confidence: errors of a calibrated head are such samples, those of an overconfident one any.

    Args:
        losses: [N], of each sample.
        if_right: [N], what the loss of each sample would be if its prediction were right.
        if_wrong: [N], if it were wrong.
        confidence: [N], the largest probability of each sample.
        largest: value that the metric can have.

    Returns:
        (low, high), which hold the mean; (nan, nan) for N = 0.

    >>> half = np.full(4, 0.5)
    >>> low, high = interval_of_loss(np.array([0.0, 1.0, 1.0, 0.0]), 0 * half, 2 * half, half)
    >>> round(low, 4), round(high, 4)
    (0.1535, 0.8465)
    """
    n = len(losses)
    if n == 0:
        return float("nan"), float("nan")
    doubt = np.maximum(1 - confidence, np.finfo(np.float64).eps)
    weight = 0.5 / n + 0.5 * doubt / doubt.sum()
    total = n + 2 * ADDED
    first, second = (
        ((losses**power).sum() + ADDED * ((if_right**power).mean() + weight @ if_wrong**power))
        / total
        for power in (1, 2)
    )
    half = Z_95 * np.sqrt(max(0.0, second - first**2) / total)
    return _around(float(losses.mean()), first - half, first + half, largest)


def interval_of_class_mean(predictions: Predictions) -> tuple[float, float, float]:
    """Mean per-class accuracy and its interval: Wilson's for the effective number of samples.

    The mean over K classes of n_c samples varies as a share of K^2 / sum_c 1 / n_c samples does,
    were all classes equally accurate; where they are not, it varies less and the interval is wide.

    Returns:
        (mean, low, high), fractions in [0, 1]; nan for N = 0.
    """
    if len(predictions.labels) == 0:
        return float("nan"), float("nan"), float("nan")
    sizes = np.bincount(predictions.labels)
    right = np.bincount(predictions.labels, weights=predictions.correct)
    occur = sizes > 0
    mean = float((right[occur] / sizes[occur]).mean())
    n = float(occur.sum() ** 2 / (1 / sizes[occur]).sum())
    return mean, *wilson_interval(min(mean * n, n), n)


def interval_of_risk(ordered: Ordered) -> tuple[float, float]:
    """Interval of the area under the risk-coverage curve, by the influence of each sample.

    With risks R_k among the k most confident and their mean A, sample i moves A by
    R_i - A + sum_{k >= i} (error_i - R_k) / k, over N (Hampel 1974). The two right and two wrong
    samples that are added are spread evenly: an error of e counts as (N e + 2) / (N + 4).

    Returns:
        (low, high), fractions in [0, 1], which hold the area; (nan, nan) for N = 0.
    """
    n = len(ordered.confidence)
    if n == 0:
        return float("nan"), float("nan")
    confidence, error = ordered.confidence[::-1], 1 - ordered.correct[::-1]
    k = np.arange(1, n + 1)
    area = (np.cumsum(error) / k).mean()
    error = (n * error + ADDED) / (n + 2 * ADDED)
    risk = np.cumsum(error) / k
    slope = np.cumsum(1 / k[::-1])[::-1]
    constant = risk - risk.mean() - np.cumsum((risk / k)[::-1])[::-1]
    # Samples of equal confidence have no order: each has the mean place of them all.
    starts = np.flatnonzero(np.diff(confidence, prepend=np.inf))
    size = np.diff(starts, append=n)
    slope, constant = (np.add.reduceat(part, starts) / size for part in (slope, constant))
    error = error[starts]
    variance = error * (constant + slope) ** 2 + (1 - error) * constant**2
    half = Z_95 * np.sqrt((size * variance).sum()) / n
    return _around(float(area), risk.mean() - half, risk.mean() + half, 1.0)


def _around(value: float, low: float, high: float, largest: float) -> tuple[float, float]:
    """The ends within 0..largest and on either side of the value."""
    return float(max(0.0, min(low, value))), float(min(largest, max(high, value)))
