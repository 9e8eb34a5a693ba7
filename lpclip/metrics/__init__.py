"""Metrics as pure NumPy functions: arrays in, fractions out; nothing here reads a file."""

from lpclip.metrics.calibration import adaptive_calibration_error, expected_calibration_error
from lpclip.metrics.classification import (
    accuracy,
    aurc,
    brier_score,
    classification_metrics,
    mean_per_class_accuracy,
    negative_log_likelihood,
    top_k_accuracy,
)
from lpclip.metrics.comparison import paired_comparison
from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.effective import FITS, effective_robustness
from lpclip.metrics.intervals import wilson_interval
from lpclip.metrics.ood_features import mahalanobis, members_of, nearest_neighbours
from lpclip.metrics.ood_scores import energy, entropy, max_logit, mcm, msp
from lpclip.metrics.robustness import (
    ALEXNET,
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    Baseline,
    accuracy_lost,
    corruption_summary,
    mce,
    mean_corruption_accuracy,
    relative_mce,
    worst_corruption,
)

__all__ = [
    "ALEXNET",
    "ALEXNET_CLEAN_ERROR",
    "ALEXNET_ERRORS",
    "FITS",
    "Baseline",
    "accuracy",
    "accuracy_lost",
    "adaptive_calibration_error",
    "aurc",
    "brier_score",
    "classification_metrics",
    "corruption_summary",
    "detection_metrics",
    "effective_robustness",
    "energy",
    "entropy",
    "expected_calibration_error",
    "mahalanobis",
    "max_logit",
    "mce",
    "mcm",
    "mean_corruption_accuracy",
    "mean_per_class_accuracy",
    "members_of",
    "msp",
    "nearest_neighbours",
    "negative_log_likelihood",
    "paired_comparison",
    "relative_mce",
    "top_k_accuracy",
    "wilson_interval",
    "worst_corruption",
]
