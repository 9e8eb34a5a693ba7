"""What a pool of unlabelled images is, without a label.

Which classes it has images of, how much of it is out-of-distribution (OOD), how many images a class
has, and how balanced they are. Nothing depends on the model's scale.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from lpclip.methods.labelling.class_support import balance, count, expected_images, presence_of
from lpclip.methods.labelling.heads import mean_view
from lpclip.methods.labelling.neighbours import nearest, without_mean
from lpclip.methods.labelling.ood_share import independent, ood_scores, ood_share
from lpclip.methods.labelling.structure import LARGEST, calibrated_temperature
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import Rows, empty_rows, largest_of_rows, parts, row_slices, slices

# Neighbours over which scores are averaged.
_SMOOTHED = 8
_BLOCK = 2048
# Images on which predictions are calibrated.
_CALIBRATED = 5000
# Logarithmic half-widths of the 90 % interval of a class's images, at an agreement of 1 and per
# lack of it; from the development sets.
_LOWER, _UPPER = (0.2, 2.0), (0.35, 1.2)


@dataclass(frozen=True)
class PoolDescription:
    """What a pool is.

    Attributes:
        presence: probability that the pool has images of a class, ``[C]``.
        expected_images: images of a class, ``[C]``.
        expected_low: lower end of its 90 % interval, ``[C]``.
        expected_high: upper end, ``[C]``.
        in_distribution: probability that an image belongs to one of the classes, ``[N]``.
        ood_share: share of OOD images.
        ood_low: lower end of its 90 % interval.
        ood_high: upper end.
        balance: total variation of the class frequencies from equal ones over all classes, 0..1.
        separable: whether zero-shot distinguishes classes on this pool at all.
        reason: why not; empty if it does.
    """

    presence: FloatArray
    expected_images: FloatArray
    expected_low: FloatArray
    expected_high: FloatArray
    in_distribution: FloatArray
    ood_share: float
    ood_low: float
    ood_high: float
    balance: float
    separable: bool
    reason: str


def describe_pool(views: Views, head: ZeroShotHead) -> PoolDescription:
    """Describe an unlabelled pool.

    Args:
        views: unit-length features ``[V, N, D]``; views are averaged.
        head: zero-shot head of C classes.
    """
    mean = _mean(views)
    cosines = _cosines(mean, head.weight)
    n, n_classes = cosines.shape
    predicted, _ = largest_of_rows(cosines)
    reason = _inseparable(cosines, predicted)
    if reason:
        return _unknown(n, n_classes, reason)
    classes = _effective(np.bincount(predicted, minlength=n_classes) / n)
    around = _nearest(mean, min(_SMOOTHED, n - 1))
    # Fewer neighbours than a class has other images: with 4 of a class, 5 cannot agree.
    k = int(np.clip(round(n / classes / 4), 1, 5))
    agreement = float(np.mean(predicted[around[:, :k]] == predicted[:, None]))
    agreement = float(np.clip(agreement, 1.5 / n_classes, 0.99))
    probabilities = _calibrated(cosines, agreement)
    scores = ood_scores(mean, cosines, probabilities, around)
    outside = ood_share(scores, independent(scores, predicted))
    counts = count(probabilities, outside.in_distribution, predicted, around[:, :k])
    presence = presence_of(counts, agreement)
    expected = expected_images(counts, presence)
    errors = 1 - agreement
    low = (expected + 1) * np.exp(-_LOWER[0] - _LOWER[1] * errors) - 1
    high = (expected + 1) * np.exp(_UPPER[0] + _UPPER[1] * errors) - 1
    return PoolDescription(
        presence=presence.astype(np.float32),
        expected_images=expected.astype(np.float32),
        expected_low=np.where(presence < 0.95, 0, np.maximum(low, 0)).astype(np.float32),
        expected_high=np.minimum(high, n).astype(np.float32),
        in_distribution=outside.in_distribution,
        ood_share=outside.share,
        ood_low=outside.low,
        ood_high=outside.high,
        balance=balance(counts, presence, agreement, n),
        separable=True,
        reason="",
    )


def _mean(views: Views) -> Rows:
    """Return the mean of the views, ``[N, D]``."""
    if isinstance(views, np.ndarray):
        mean: FloatArray = views.mean(axis=0)
        return mean
    _, n, dim = views.shape
    found: Rows = empty_rows(n, dim)
    for rows in slices(n, _BLOCK):
        found[rows] = mean_view(views, np.arange(rows.start, rows.stop))
    return found


def _cosines(mean: Rows, weight: FloatArray) -> Rows:
    """Return the cosines of images and texts, ``[N, C]``."""
    shape = len(mean), len(weight)
    cosines: Rows = empty_rows(*shape)
    if isinstance(cosines, np.ndarray) and isinstance(mean, np.ndarray):
        return mean @ weight.T
    for rows in row_slices(*shape):
        cosines[rows] = mean[rows] @ weight.T
    return cosines


def _calibrated(cosines: Rows, accuracy: float) -> Rows:
    """Return predictions whose mean confidence is the accuracy, ``[N, C]``."""
    rows = np.arange(len(cosines))
    if len(rows) > _CALIBRATED:
        rows = np.random.default_rng(0).permutation(rows)[:_CALIBRATED]
    some = cosines[rows]
    spread = float(some.std())
    temperature = calibrated_temperature([some[None] / spread], accuracy) * spread
    n, n_classes = cosines.shape
    probabilities: Rows = empty_rows(n, n_classes, cosines.dtype)
    for block in slices(len(cosines), _BLOCK):
        probabilities[block] = softmax(cosines[block] / temperature, axis=1)
    return probabilities


def _inseparable(cosines: Rows, predicted: IntArray) -> str:
    """Return why zero-shot distinguishes no classes, or nothing."""
    n, n_classes = cosines.shape
    if n < 2:
        return f"the unlabelled set has {n} image{'' if n == 1 else 's'}"
    if n_classes < 2:
        return "there is one class"
    if max(float(np.ptp(part, axis=1).max()) for _, part in parts(cosines)) < 1e-4:
        return "the texts of all classes have the same features"
    most = np.max([part.max(axis=0) for _, part in parts(cosines)], axis=0)
    least = np.min([part.min(axis=0) for _, part in parts(cosines)], axis=0)
    if float((most - least).max()) < 1e-4:
        return "all images have the same features"
    if (predicted == predicted[0]).all():
        return "zero-shot predicts one class for every image"
    return ""


def _unknown(n: int, n_classes: int, reason: str) -> PoolDescription:
    """Return the description of a pool of which nothing is known."""
    each = np.full(n_classes, n / n_classes, dtype=np.float32)
    return PoolDescription(
        presence=np.full(n_classes, 0.5, dtype=np.float32),
        expected_images=each,
        expected_low=np.zeros(n_classes, dtype=np.float32),
        expected_high=np.full(n_classes, n, dtype=np.float32),
        in_distribution=np.ones(n, dtype=np.float32),
        ood_share=0.0,
        ood_low=0.0,
        ood_high=1.0,
        balance=0.0,
        separable=False,
        reason=reason,
    )


def _effective(frequencies: FloatArray) -> float:
    """Return the exponential of the entropy: the number of equally frequent classes."""
    used = frequencies[frequencies > 0]
    return float(np.exp(-(used * np.log(used)).sum()))


def _nearest(mean: Rows, k: int) -> IntArray:
    """Return the rows of the nearest other images, the nearest first, ``[N, k]``.

    By cosine after the mean is taken away. In a set of more than ``LARGEST``, of as many that are
    chosen at random.
    """
    features = without_mean(mean)
    if len(features) <= LARGEST:
        return nearest(features, k)[0]
    rows = np.sort(np.random.default_rng(0).permutation(len(features))[:LARGEST])
    own = np.full(len(features), -1)
    own[rows] = np.arange(len(rows))
    return rows[nearest(features, k, among=features[rows], own=own)[0]]
