"""Metrics as pure NumPy functions: arrays in, fractions out; nothing here reads a file."""

from lpclip.metrics.calibration import adaptive_calibration_error, expected_calibration_error
from lpclip.metrics.classification import (
    accuracy,
    aurc,
    brier_score,
    classification_metrics,
    negative_log_likelihood,
    wilson_interval,
)
from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.ood_scores import energy, entropy, max_logit, mcm, msp
from lpclip.metrics.robustness import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    EXTRA_CORRUPTIONS,
    STANDARD_CORRUPTIONS,
    mce,
    mean_corruption_accuracy,
    relative_mce,
)

__all__ = [
    "ALEXNET_CLEAN_ERROR",
    "ALEXNET_ERRORS",
    "EXTRA_CORRUPTIONS",
    "STANDARD_CORRUPTIONS",
    "accuracy",
    "adaptive_calibration_error",
    "aurc",
    "brier_score",
    "classification_metrics",
    "detection_metrics",
    "energy",
    "entropy",
    "expected_calibration_error",
    "max_logit",
    "mce",
    "mcm",
    "mean_corruption_accuracy",
    "msp",
    "negative_log_likelihood",
    "relative_mce",
    "wilson_interval",
]
