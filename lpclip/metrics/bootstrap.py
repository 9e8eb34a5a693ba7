"""How sure the metrics of one block of predictions are: 95 % bootstrap intervals.

Accuracies are proportions and have closed intervals (`lpclip.metrics.intervals`); other metrics
have none.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lpclip.metrics._inputs import Predictions, checked_predictions
from lpclip.metrics.calibration import equal_mass_error, equal_width_bins, equal_width_error
from lpclip.metrics.classification import (
    area_under_risk_coverage,
    losses_in_nats,
    mean_per_class_accuracy,
    squared_errors,
)
from lpclip.types import FloatArray, IntArray

Array = npt.NDArray[np.float64]

_QUANTILES = (0.975, 0.025)
_N_BINS = 15
_NUMBERS_AT_ONCE = 2**18  # 2 MiB, which caches hold
_LARGEST = {"nll": np.inf, "brier": 2.0}  # 1 for all others


def bootstrap_intervals(
    probabilities: FloatArray, labels: IntArray, *, resamples: int = 1000, seed: int = 0
) -> dict[str, float]:
    """95 % intervals of the metrics that have no closed one, from one set of resamples.

    The basic bootstrap over samples (Davison & Hinkley 1997, section 5.2), 2 * metric - quantile,
    cut to the metric's range. Percentiles would be wrong for calibration errors, which noise can
    only raise: resamples are noisier than the sample, and lie above it. Measured on 900 samples
    of 10 classes, the intervals cover the truth in 91 to 99 % of cases; not so for the calibration
    errors of a perfectly calibrated head, which lie at the end of their range (about half the
    cases; percentiles never cover them). 10,000 samples take seconds.

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1.
        resamples: how often N samples are drawn with replacement.
        seed: of the draws.

    Returns:
        {metric}_low and {metric}_high of mean_per_class_accuracy, ece, adaptive_ece, nll, brier,
        aurc, in this order; all nan for N = 0.

    Raises:
        ValueError: a row is no probability distribution, labels do not fit, or resamples < 1.

    >>> probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
    >>> intervals = bootstrap_intervals(probabilities, np.array([0, 1, 1, 1]))
    >>> intervals["nll_low"] < 0.434 < intervals["nll_high"]
    True
    """
    predictions = checked_predictions(probabilities, labels)
    if resamples < 1:
        raise ValueError(f"expected at least one resample, got {resamples}")
    n = len(predictions.labels)
    values = _values(predictions)
    drawn: dict[str, list[Array]] = {name: [] for name in values}
    if n:
        by_class, by_confidence = _Classes(predictions), _Ranked(predictions)
        for counts in _counts(n, resamples, seed):
            drawn["mean_per_class_accuracy"].append(by_class.mean_accuracy(counts))
            drawn["ece"].append(by_confidence.equal_width_error(counts))
            drawn["adaptive_ece"].append(by_confidence.equal_mass_error(counts))
            drawn["nll"].append(counts @ losses_in_nats(predictions) / n)
            drawn["brier"].append(counts @ squared_errors(predictions) / n)
            drawn["aurc"].append(by_confidence.risk(counts))
    intervals = {}
    for name, value in values.items():
        low, high = value, value
        if n:
            low, high = 2 * value - np.quantile(np.concatenate(drawn[name]), _QUANTILES)
        intervals[f"{name}_low"] = float(max(low, 0.0)) if n else value
        intervals[f"{name}_high"] = float(min(high, _LARGEST.get(name, 1.0))) if n else value
    return intervals


def _values(predictions: Predictions) -> dict[str, float]:
    """The metrics themselves."""
    nothing = len(predictions.labels) == 0
    return {
        "mean_per_class_accuracy": mean_per_class_accuracy(
            predictions.probabilities, predictions.labels
        ),
        "ece": equal_width_error(predictions, _N_BINS),
        "adaptive_ece": equal_mass_error(predictions, _N_BINS),
        "nll": float("nan") if nothing else float(losses_in_nats(predictions).mean()),
        "brier": float("nan") if nothing else float(squared_errors(predictions).mean()),
        "aurc": area_under_risk_coverage(predictions),
    }


def _counts(n: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each of n samples is drawn, [R, n], for some resamples at a time."""
    random = np.random.default_rng(seed)
    at_once = max(1, _NUMBERS_AT_ONCE // n)
    for start in range(0, resamples, at_once):
        r = min(at_once, resamples - start)
        drawn = random.integers(0, n, size=(r, n)) + n * np.arange(r)[:, None]
        yield np.bincount(drawn.ravel(), minlength=r * n).reshape(r, n).astype(np.float64)


class _Classes:
    """Samples sorted by class."""

    def __init__(self, predictions: Predictions) -> None:
        self.order = np.argsort(predictions.labels, kind="stable")
        self.correct = predictions.correct[self.order]
        self.starts = _starts(predictions.labels[self.order])

    def mean_accuracy(self, counts: Array) -> Array:
        """Mean per-class accuracy of each resample, over the classes that it has."""
        counts = np.take(counts, self.order, axis=1)
        sizes = np.add.reduceat(counts, self.starts, axis=1)
        right = np.add.reduceat(counts * self.correct, self.starts, axis=1)
        means: Array = (right / np.maximum(sizes, 1)).sum(axis=1) / (sizes > 0).sum(axis=1)
        return means


class _Ranked:
    """Samples sorted by confidence; where it is equal, they share their correctness."""

    def __init__(self, predictions: Predictions) -> None:
        self.order = np.argsort(-predictions.confidence, kind="stable")
        self.confidence = predictions.confidence[self.order]
        self.correct = predictions.correct[self.order]
        self.bins = _starts(equal_width_bins(self.confidence, _N_BINS))
        self.groups = _starts(self.confidence)
        self.harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, len(self.order) + 1)))

    def equal_width_error(self, counts: Array) -> Array:
        """ECE of each resample."""
        gaps = np.take(counts, self.order, axis=1) * (self.correct - self.confidence)
        errors: Array = np.abs(np.add.reduceat(gaps, self.bins, axis=1)).sum(axis=1)
        errors /= counts.shape[1]
        return errors

    def equal_mass_error(self, counts: Array) -> Array:
        """Adaptive ECE of each resample."""
        n = counts.shape[1]
        counts = np.take(counts, self.order, axis=1)
        # Gaps grow evenly within a group, so that they are known at any number of samples.
        gaps = np.add.reduceat(counts * (self.correct - self.confidence), self.groups, axis=1)
        gaps = _sums_from_0(gaps)
        reached = _sums_from_0(np.add.reduceat(counts, self.groups, axis=1))
        # Bins are filled from the lowest confidence and the first ones are larger: seen from the
        # highest, the last ones are.
        n_bins = min(_N_BINS, n)
        sizes = n // n_bins + (np.arange(n_bins) < n % n_bins)
        edges = np.cumsum(sizes[::-1])
        at_edges = np.array([np.interp(edges, *row) for row in zip(reached, gaps, strict=True)])
        errors: Array = np.abs(np.diff(at_edges, axis=1, prepend=0)).sum(axis=1) / n
        return errors

    def risk(self, counts: Array) -> Array:
        """AURC of each resample.

        Within a group of m samples that share the error s, after M samples with E errors, the
        risks (E + j s) / (M + j), j = 1..m, sum to s m + (E - s M) (H(M + m) - H(M)).
        """
        n = counts.shape[1]
        counts = np.take(counts, self.order, axis=1)
        m = np.add.reduceat(counts, self.groups, axis=1)
        errors = np.add.reduceat(counts * (1 - self.correct), self.groups, axis=1)
        reached = _sums_from_0(m)
        steps = np.diff(np.take(self.harmonic, reached.astype(np.int64)), axis=1)
        extra = _sums_from_0(errors)[:, :-1] - errors / np.maximum(m, 1) * reached[:, :-1]
        risks: Array = (errors + extra * steps).sum(axis=1) / n
        return risks


def _sums_from_0(rows: Array) -> Array:
    """Sums of the first 0, 1, ... numbers of each row."""
    return np.pad(np.cumsum(rows, axis=1), ((0, 0), (1, 0)))


def _starts(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where each run of equal values starts."""
    return np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1).astype(np.int64)
