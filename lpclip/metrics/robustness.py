"""A whole suite of corruptions in a few numbers: mean and worst accuracy, mCE, relative mCE.

Corruptions are always given by name: a list in another order would silently be divided by the
wrong baseline.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lpclip.corruption_names import SEVERITIES, STANDARD

# AlexNet's top-1 error on ImageNet-C, mean over severities 1..5 (Hendrycks & Dietterich 2019,
# the authors' published table).
ALEXNET_ERRORS: Mapping[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
    "speckle_noise": 0.845388,
    "gaussian_blur": 0.787108,
    "spatter": 0.717512,
    "saturate": 0.658248,
}
ALEXNET_CLEAN_ERROR = 0.4348


class Baseline(NamedTuple):
    """What mCE and relative mCE compare with."""

    errors: Mapping[str, npt.ArrayLike]  # corruption -> errors [5], or their mean
    clean_error: float


ALEXNET = Baseline(ALEXNET_ERRORS, ALEXNET_CLEAN_ERROR)


def corruption_summary(
    accuracies: Mapping[str, npt.ArrayLike],
    *,
    clean_accuracy: float,
    baselines: Mapping[str, Baseline],
) -> dict[str, float | str]:
    """Every summary of one method under the corruptions of one source, generated or official.

    Args:
        accuracies: corruption -> accuracies [5], fractions; the two sources are never mixed.
        clean_accuracy: on the images without corruption, a fraction.
        baselines: name -> baseline; the name becomes part of the columns' names. `ALEXNET` is
            one for ImageNet only.

    Returns:
        mean_corruption_accuracy, over the 15 standard corruptions and severities 1..5 with equal
        weights; worst_corruption (a name), worst_corruption_accuracy; accuracy_lost_1_to_5, from
        severity 1 to 5, the mean over corruptions; then mce_vs_{name} and relative_mce_vs_{name}
        of every baseline.

    Raises:
        ValueError: a standard corruption is missing or has not five severities.

    >>> accuracies = {name: [0.9, 0.8, 0.7, 0.6, 0.5] for name in STANDARD}
    >>> zero_shot = Baseline({name: 0.6 for name in accuracies}, clean_error=0.3)
    >>> summary = corruption_summary(
    ...     accuracies, clean_accuracy=1.0, baselines={"zero_shot": zero_shot}
    ... )
    >>> round(summary["mce_vs_zero_shot"], 6), round(summary["relative_mce_vs_zero_shot"], 6)
    (50.0, 100.0)
    """
    worst, worst_accuracy = worst_corruption(accuracies)
    rows = [_severities(accuracies, name, "accuracies") for name in STANDARD]
    summary: dict[str, float | str] = {
        "mean_corruption_accuracy": float(np.mean([row.mean() for row in rows])),
        "worst_corruption": worst,
        "worst_corruption_accuracy": worst_accuracy,
        "accuracy_lost_1_to_5": float(np.mean([row[0] - row[-1] for row in rows])),
    }
    errors = {name: 1 - np.asarray(row, np.float64) for name, row in accuracies.items()}
    for name, baseline in baselines.items():
        summary[f"mce_vs_{name}"] = mce(errors, baseline.errors)
        summary[f"relative_mce_vs_{name}"] = relative_mce(
            errors,
            baseline.errors,
            clean_error=1 - clean_accuracy,
            baseline_clean_error=baseline.clean_error,
        )
    return summary


def worst_corruption(accuracies: Mapping[str, npt.ArrayLike]) -> tuple[str, float]:
    """The standard corruption with the lowest mean accuracy over severities 1..5.

    Args:
        accuracies: corruption -> accuracies [5], fractions; other names are left out.

    Returns:
        Its name, of equals the first of `STANDARD`, and that accuracy.

    Raises:
        ValueError: a standard corruption is missing or has not five severities.

    >>> accuracies = {name: [0.75] * 5 for name in STANDARD}
    >>> worst_corruption(accuracies | {"fog": [1.0, 0.5, 0.25, 0.0, 0.0]})
    ('fog', 0.35)
    """
    means = {name: float(_severities(accuracies, name, "accuracies").mean()) for name in STANDARD}
    worst = min(means, key=means.__getitem__)
    return worst, means[worst]


def mce(errors: Mapping[str, npt.ArrayLike], baseline_errors: Mapping[str, npt.ArrayLike]) -> float:
    """Mean corruption error relative to a baseline (Hendrycks & Dietterich 2019).

    CE_c = sum_s error(c, s) / sum_s baseline_error(c, s); mCE = 100 * mean of CE_c over the 15
    standard corruptions. Arguments, result and errors are those of `relative_mce`.

    >>> half = {name: [error / 2] * 5 for name, error in ALEXNET_ERRORS.items()}
    >>> round(mce(half, ALEXNET_ERRORS), 6)
    50.0
    """
    return relative_mce(errors, baseline_errors, clean_error=0.0, baseline_clean_error=0.0)


def relative_mce(
    errors: Mapping[str, npt.ArrayLike],
    baseline_errors: Mapping[str, npt.ArrayLike],
    *,
    clean_error: float,
    baseline_clean_error: float,
) -> float:
    """Mean corruption error above the clean error, relative to a baseline's.

    As `mce`, with error(c, s) - clean_error over baseline_error(c, s) - baseline_clean_error
    (Hendrycks & Dietterich 2019).

    Args:
        errors: corruption -> errors [5], fractions.
        baseline_errors: the same of the baseline, or its mean over the five severities, as in
            `ALEXNET_ERRORS` (for ImageNet only).
        clean_error: the method's error on clean images.
        baseline_clean_error: the baseline's, `ALEXNET_CLEAN_ERROR` for ImageNet.

    Returns:
        100 loses as much as the baseline, lower is better; nan where the baseline loses nothing
        under some corruption: a ratio to a gain would have the wrong sign.

    Raises:
        ValueError: a standard corruption is missing or has not five severities.
    """
    ratios = []
    for name in STANDARD:
        lost = _severities(errors, name, "errors").mean() - clean_error
        of_baseline = _severities(baseline_errors, name, "baseline errors", or_mean=True)
        baseline_lost = of_baseline.mean() - baseline_clean_error
        ratios.append(lost / baseline_lost if baseline_lost > 0 else float("nan"))
    return float(100 * np.mean(ratios))


def _severities(
    values: Mapping[str, npt.ArrayLike], name: str, what: str, *, or_mean: bool = False
) -> npt.NDArray[np.float64]:
    if name not in values:
        raise ValueError(f"the {what} lack the standard corruption '{name}'")
    row = np.asarray(values[name], np.float64)
    if row.shape != (len(SEVERITIES),) and not (or_mean and row.ndim == 0):
        raise ValueError(
            f"expected {what} of '{name}' at {len(SEVERITIES)} severities, got shape "
            f"{list(row.shape)}"
        )
    return row
