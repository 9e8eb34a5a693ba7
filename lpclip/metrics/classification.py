"""How good predictions are: accuracies, proper scores, risk against coverage."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lpclip.metrics._inputs import Ordered, Predictions, by_confidence, checked_predictions, joined
from lpclip.metrics.calibration import bins_of_equal_mass, bins_of_equal_width, calibration_error
from lpclip.metrics.calibration_interval import interval_of_gaps
from lpclip.metrics.intervals import wilson_interval
from lpclip.metrics.sampling import interval_of_class_mean, interval_of_loss, interval_of_risk
from lpclip.types import FloatArray, IntArray

_Floats = npt.NDArray[np.float64]


def classification_metrics(probabilities: FloatArray, labels: IntArray | None) -> dict[str, float]:
    """Every metric of one block of predictions with its 95 % interval; inputs are checked once.

    Args:
        probabilities: [N, C], rows sum to 1; logits and cosines are refused.
        labels: [N], class indices in 0..C-1; None where they are not known.

    Returns:
        n (an int); then, each followed by its {metric}_low and {metric}_high (Wilson for the first
        two, else see `lpclip.metrics.sampling` and `calibration_interval`): accuracy;
        top5_accuracy, nan for C <= 5; mean_per_class_accuracy, which leaves out classes without a
        sample; ece; adaptive_ece, in bins that hold equally many samples; nll, in nats; brier, in
        [0, 2]; aurc, the area under the risk-coverage curve. Then confidence, the mean of the
        largest probability. Samples of equal confidence count with their mean correctness. All but
        n are nan for N = 0, all but n and confidence without labels.

    Raises:
        ValueError: a row is no probability distribution, or labels do not fit.

    >>> metrics = classification_metrics(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))
    >>> metrics["n"], metrics["accuracy"], metrics["ece"]
    (2, 0.5, 0.375)
    """
    return metrics_of([probabilities], labels)


def metrics_of(blocks: Iterable[FloatArray], labels: IntArray | None) -> dict[str, float]:
    """`classification_metrics` of probabilities that come in blocks ``[n, C]``, at least one."""
    found, start = list[Predictions](), 0
    for block in blocks:
        rows = slice(start, start + len(block))
        own = np.zeros(len(block), np.int64) if labels is None else labels[rows]
        found.append(checked_predictions(block, own))
        start = rows.stop
    if labels is not None and start != len(labels):
        raise ValueError(f"expected {start} labels, got an array of {list(np.shape(labels))}")
    predictions = joined(found)
    n = len(predictions.labels)
    metrics = {
        f"{name}{end}": value if labels is not None else float("nan")
        for name, values in _with_intervals(predictions).items()
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
    return {"n": n, **metrics, "confidence": _mean(predictions.confidence)}


def _with_intervals(predictions: Predictions) -> dict[str, tuple[float, float, float]]:
    """Metric -> its value and the ends of its interval."""
    n = len(predictions.labels)
    top1 = _mean(predictions.correct)
    top5 = _top5_accuracy(predictions)
    within5 = (top5, top5) if np.isnan(top5) else wilson_interval(round(top5 * n), n)
    ordered = by_confidence(predictions)
    width, mass = bins_of_equal_width(predictions), bins_of_equal_mass(ordered)
    losses, squares = _losses_in_nats(predictions), _squared_errors(predictions)
    sure = predictions.confidence
    return {
        "accuracy": (top1, *wilson_interval(round(predictions.correct.sum()), n)),
        "top5_accuracy": (top5, *within5),
        "mean_per_class_accuracy": interval_of_class_mean(predictions),
        "ece": (calibration_error(width), *interval_of_gaps(width)),
        "adaptive_ece": (calibration_error(mass), *interval_of_gaps(mass)),
        "nll": (_mean(losses), *interval_of_loss(losses, *_possible_losses(predictions), sure)),
        "brier": (
            _mean(squares),
            *interval_of_loss(squares, *_possible_squares(predictions, squares), sure, largest=2),
        ),
        "aurc": (_area_under_risk(ordered), *interval_of_risk(ordered)),
    }


def _top5_accuracy(predictions: Predictions) -> float:
    """Share of samples whose label has one of the 5 largest probabilities, of equals the first.

    nan for N = 0, and for C <= 5, where it could only be 1.
    """
    if len(predictions.labels) == 0 or predictions.n_classes <= 5:
        return float("nan")
    return float(np.mean(predictions.rank < 5))


def _losses_in_nats(predictions: Predictions) -> _Floats:
    """-ln p(label) of each of N samples.

    Probabilities below 2.2e-16 (the resolution of float64 at 1) count as that, as in
    scikit-learn's log loss: one underflow would make the mean infinite.
    """
    return -np.log(np.maximum(predictions.of_label, np.finfo(np.float64).eps))


def _squared_errors(predictions: Predictions) -> _Floats:
    """The sum over classes of (p - 1[class = label])^2 of each of N samples (Brier 1950)."""
    of_label = predictions.of_label
    return predictions.squares - of_label**2 + (1 - of_label) ** 2


def _possible_losses(predictions: Predictions) -> tuple[_Floats, _Floats]:
    """What `_losses_in_nats` would be if each prediction were right, and if it were wrong.

    Of the classes that a wrong prediction does not name, the label is any: what is left of the
    probability is shared evenly.
    """
    sure, other = predictions.confidence, _of_others(predictions)
    least = np.finfo(np.float64).eps
    return -np.log(np.maximum(sure, least)), -np.log(np.maximum(other, least))


def _possible_squares(predictions: Predictions, squares: _Floats) -> tuple[_Floats, _Floats]:
    """The same for `_squared_errors`, which are given."""
    sum_and_one = squares + 2 * predictions.of_label
    return (sum_and_one - 2 * predictions.confidence, sum_and_one - 2 * _of_others(predictions))


def _of_others(predictions: Predictions) -> _Floats:
    """Mean probability of the classes that are not predicted, [N]."""
    n_others = max(1, predictions.n_classes - 1)
    others: _Floats = (1 - predictions.confidence) / n_others
    return others


def _area_under_risk(ordered: Ordered) -> float:
    """Mean over k = 1..N of the error among the k most confident (Geifman & El-Yaniv 2017)."""
    errors = 1 - ordered.correct[::-1]
    return _mean(np.cumsum(errors) / np.arange(1, len(errors) + 1))


def _mean(values: FloatArray) -> float:
    # np.mean of nothing warns; nothing to measure is an ordinary case here.
    return float(values.mean()) if len(values) else float("nan")
