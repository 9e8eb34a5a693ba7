"""How good predictions are: accuracy with its interval, proper scores, risk against coverage."""

from math import sqrt

import numpy as np

from lpclip.metrics._inputs import (
    Predictions,
    by_confidence,
    checked_labels,
    checked_predictions,
)
from lpclip.metrics.calibration import equal_mass_error, equal_width_error
from lpclip.types import FloatArray, IntArray

_Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


def classification_metrics(probabilities: FloatArray, labels: IntArray) -> dict[str, float]:
    """Every metric of one block of predictions, with the inputs checked once.

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1.

    Returns:
        n (an int), accuracy, accuracy_low, accuracy_high (Wilson, 95 %), ece, adaptive_ece,
        nll, brier, aurc, in this order; each as the function of that name defines it. All but
        n are nan for N = 0.

    Raises:
        ValueError: a row is no probability distribution, or labels do not fit.

    >>> metrics = classification_metrics(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))
    >>> metrics["n"], metrics["accuracy"], metrics["ece"]
    (2, 0.5, 0.375)
    """
    predictions = checked_predictions(probabilities, labels)
    n = len(predictions.labels)
    low, high = wilson_interval(int(predictions.correct.sum()), n)
    return {
        "n": n,
        "accuracy": _mean(predictions.correct),
        "accuracy_low": low,
        "accuracy_high": high,
        "ece": equal_width_error(predictions),
        "adaptive_ece": equal_mass_error(predictions),
        "nll": _negative_log_likelihood(predictions),
        "brier": _brier_score(predictions),
        "aurc": _aurc(predictions),
    }


def accuracy(scores: FloatArray, labels: IntArray) -> float:
    """Share of samples whose largest score is that of the label; the first of equals counts.

    Args:
        scores: [N, C], probabilities or logits: only their order matters.
        labels: [N], class indices in 0..C-1.

    Returns:
        Fraction in [0, 1]; nan for N = 0.

    >>> accuracy(np.array([[2.0, -1.0], [0.5, 0.1]]), np.array([0, 1]))
    0.5
    """
    labels = checked_labels(scores, labels)
    return _mean((np.asarray(scores).argmax(axis=1) == labels).astype(np.float64))


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion, without continuity correction.

    Centre (k + z^2/2) / (n + z^2), half width z / (n + z^2) * sqrt(k (n - k) / n + z^2 / 4)
    (Wilson 1927).

    Returns:
        (low, high), fractions in [0, 1]; (nan, nan) for n = 0.

    Raises:
        ValueError: successes lie outside 0..n.

    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected between 0 and {n} successes, got {successes}")
    if n == 0:
        return float("nan"), float("nan")
    z2 = _Z_95**2
    centre = (successes + z2 / 2) / (n + z2)
    half = _Z_95 / (n + z2) * sqrt(successes * (n - successes) / n + z2 / 4)
    # Rounding must not push the ends that are known exactly.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def negative_log_likelihood(probabilities: FloatArray, labels: IntArray) -> float:
    """Mean of -ln p(label), in nats.

    Probabilities below 2.2e-16 (the resolution of float64 at 1) count as that, as in
    scikit-learn's log loss: one underflow would make the mean infinite.

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1.

    Returns:
        Nats in [0, 36.1]; nan for N = 0.

    >>> round(negative_log_likelihood(np.array([[0.5, 0.5]]), np.array([1])), 6)
    0.693147
    """
    return _negative_log_likelihood(checked_predictions(probabilities, labels))


def brier_score(probabilities: FloatArray, labels: IntArray) -> float:
    """Mean over samples of the sum over classes of (p - 1[class = label])^2  (Brier 1950).

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1.

    Returns:
        Number in [0, 2]; nan for N = 0.

    >>> brier_score(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 1]))
    1.25
    """
    return _brier_score(checked_predictions(probabilities, labels))


def aurc(probabilities: FloatArray, labels: IntArray) -> float:
    """Area under the risk-coverage curve: the error left when only confident samples count.

    AURC = mean over k = 1..N of the error among the k most confident samples (Geifman &
    El-Yaniv 2017). Samples of equal confidence count with their mean error, which is the
    expectation over every order of them.

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1.

    Returns:
        Fraction in [0, 1], lower is better; nan for N = 0.

    >>> aurc(np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 1]))
    0.25
    """
    return _aurc(checked_predictions(probabilities, labels))


def _negative_log_likelihood(predictions: Predictions) -> float:
    return _mean(-np.log(np.maximum(_of_label(predictions), np.finfo(np.float64).eps)))


def _brier_score(predictions: Predictions) -> float:
    of_label = _of_label(predictions)
    squares = np.square(predictions.probabilities).sum(axis=1)
    return _mean(squares - of_label**2 + (1 - of_label) ** 2)


def _aurc(predictions: Predictions) -> float:
    _, correct = by_confidence(predictions)
    errors = 1 - correct[::-1]
    return _mean(np.cumsum(errors) / np.arange(1, len(errors) + 1))


def _of_label(predictions: Predictions) -> FloatArray:
    rows = np.arange(len(predictions.labels))
    of_label: FloatArray = predictions.probabilities[rows, predictions.labels]
    # A rounded softmax may exceed 1 by an ulp, which would make an error negative.
    return np.minimum(of_label, 1.0)


def _mean(values: FloatArray) -> float:
    # np.mean of nothing warns; nothing to measure is an ordinary case here.
    return float(values.mean()) if len(values) else float("nan")
