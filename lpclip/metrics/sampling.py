"""How sure metrics are that have no closed interval: 95 % from each sample's part in the metric.

Drawing the samples anew (the bootstrap) says nearly the same and takes fifty times as long; the
tests hold the two together. Of 900 samples of 10 classes, the intervals cover the truth in 88 to
98 % of draws (a test, too); not so for the calibration errors of a perfectly calibrated head, which
lie at the end of their range. All hold the metric itself. One sample says nothing of how samples
vary; nor do few that are all alike, whose intervals have no width (but for proportions).
"""

import numpy as np
import numpy.typing as npt

from lpclip.metrics._inputs import Predictions, by_confidence
from lpclip.metrics.intervals import Z_95, wilson_interval

Array = npt.NDArray[np.float64]

_DRAWS = 1000


def interval_of_mean(parts: Array, *, largest: float = np.inf) -> tuple[float, float]:
    """Normal interval of the mean of N numbers, cut to 0..largest.

    Args:
        parts: [N], of each sample; or the metric plus the sample's influence on it, by which a
            metric that is no mean becomes one (Hampel 1974).
        largest: value that the metric can have.

    Returns:
        (low, high); (nan, nan) for N < 2.

    >>> low, high = interval_of_mean(np.array([0.0, 1.0, 1.0, 0.0]))
    >>> round(low, 4), round(high, 4)
    (0.01, 0.99)
    """
    if len(parts) < 2:
        return float("nan"), float("nan")
    centre, half = parts.mean(), Z_95 * parts.std() / np.sqrt(len(parts))
    return float(max(0.0, centre - half)), float(min(largest, centre + half))


def interval_of_class_mean(predictions: Predictions) -> tuple[float, float, float]:
    """Mean per-class accuracy and its interval: Wilson's for as many samples as it is worth.

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


def interval_of_gaps(gaps: Array, covariance: Array, n: int) -> tuple[float, float]:
    """Interval of a calibration error, sum_b |gap_b| / N.

    The basic bootstrap (Davison & Hinkley 1997, section 5.2), 2 * error - quantile, over sums of
    gaps as they come out when samples are drawn anew, which is nearly normal. Percentiles would be
    wrong: noise can only raise such an error, and draws are noisier than the sample. An interval
    that would for that reason lie below the error itself is extended to it.

    Args:
        gaps: [B], in each bin the sum of correctness less confidence.
        covariance: [B, B], of these sums when samples are drawn anew.
        n: samples in all bins.

    Returns:
        (low, high), fractions in [0, 1]; (nan, nan) for N < 2.
    """
    if n < 2:
        return float("nan"), float("nan")
    values, vectors = np.linalg.eigh(covariance)
    normal = np.random.default_rng(0).standard_normal((_DRAWS, len(gaps)))
    drawn = gaps + normal * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    ends = np.quantile(np.abs(drawn).sum(axis=1), (0.975, 0.025))
    error = np.abs(gaps).sum() / n
    low, high = 2 * error - ends / n
    return float(max(0.0, min(low, error))), float(min(1.0, max(high, error)))


def interval_of_risk(predictions: Predictions) -> tuple[float, float]:
    """Interval of the area under the risk-coverage curve, by the influence of each sample.

    With risks R_k among the k most confident and their mean A, sample i moves A by
    R_i - A + sum_{k >= i} (error_i - R_k) / k, over N.

    Returns:
        (low, high), fractions in [0, 1]; (nan, nan) for N < 2.
    """
    n = len(predictions.labels)
    if n < 2:
        return float("nan"), float("nan")
    confidence, correct = by_confidence(predictions)
    confidence, error = confidence[::-1], 1 - correct[::-1]
    k = np.arange(1, n + 1)
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
    return float(max(0.0, risk.mean() - half)), float(min(1.0, risk.mean() + half))
