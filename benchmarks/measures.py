"""Accuracy and calibration of a method's predictions, compared with zero-shot."""

import numpy as np
from cases import Case
from compared import logits, zero_shot

from lpclip.metrics.calibration import N_BINS, equal_width_bins, expected_calibration_error
from lpclip.types import FloatArray


def measure(
    case: Case, probabilities: FloatArray, part: str
) -> tuple[dict[str, float], FloatArray]:
    """Return accuracy and calibration on a part, and right answers less zero-shot's, ``[N]``."""
    images = case.test if part == "test" else case.adapt
    known = images.labels >= 0
    labels = images.labels[known]
    before = logits(case, images.clean[known], zero_shot(case.head)).argmax(axis=1) == labels
    probabilities = probabilities[known]
    right = probabilities.argmax(axis=1) == labels
    difference = right.astype(float) - before
    return {
        "accuracy": right.mean(),
        "gain": difference.mean(),
        "ece": expected_calibration_error(probabilities, labels),
        "ece_calibrated": ece_of_calibrated(probabilities.max(axis=1)),
    }, difference


def ece_of_calibrated(confidence: FloatArray, *, draws: int = 20) -> float:
    """Return the mean ECE that a calibrated head with these confidences ``[N]`` would show.

    Its answers are right with the probability that it states; with few images its ECE is not 0.
    """
    confidence = np.asarray(confidence, np.float64)
    place = equal_width_bins(confidence, N_BINS)
    generator = np.random.default_rng(0)
    gaps = (generator.random((draws, len(confidence))) < confidence) - confidence
    sums = [np.abs(np.bincount(place, weights=gap)).sum() for gap in gaps]
    return float(np.mean(sums) / len(confidence))


def paired_interval(differences: FloatArray, *, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of paired differences ``[S, N]`` over test samples.

    All seeds have the same test samples, so samples are resampled and seeds averaged.
    """
    per_sample = differences.mean(axis=0)
    generator = np.random.default_rng(0)
    rows = generator.integers(len(per_sample), size=(draws, len(per_sample)))
    low, high = np.quantile(per_sample[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
