"""Effective robustness: accuracy under a natural shift beyond what clean accuracy predicts."""

from collections.abc import Mapping

from scipy.special import expit, logit

from lpclip.errors import did_you_mean

# Shift -> (a, b) of accuracy = sigmoid(a * logit(clean accuracy) + b), fitted to about 85 standard
# models of the ImageNet testbed (Taori et al. 2020). Clean accuracy is that on ImageNet's
# validation set; for R on its 200 classes alone, for ObjectNet on the 113 shared classes.
FITS: Mapping[str, tuple[float, float]] = {
    "imagenet_v2": (0.9232, -0.4977),
    "imagenet_sketch": (1.0709, -2.3701),
    "imagenet_r": (0.6368, -2.1077),
    "objectnet": (0.9809, -1.9283),
}


def effective_robustness(shift: str, accuracy: float, *, clean_accuracy: float) -> float:
    """Accuracy on an ImageNet shift minus that of a standard model of the same clean accuracy.

    acc_shift - sigmoid(a * logit(acc_clean) + b)  (Taori et al. 2020).

    Args:
        shift: a name in `FITS`; other shifts have no published fit.
        accuracy: on the shift, a fraction.
        clean_accuracy: on clean images of the classes that the shift has, a fraction.

    Returns:
        Fraction in [-1, 1], 0 for a standard model; nan where an accuracy is nan.

    Raises:
        ValueError: no fit has that name, or an accuracy lies outside [0, 1].

    >>> round(effective_robustness("imagenet_v2", 0.559, clean_accuracy=0.633), 4)
    0.0576
    """
    if shift not in FITS:
        raise ValueError(
            f"No fit for the shift '{shift}' is published. {did_you_mean(shift, FITS)}"
        )
    for value in (accuracy, clean_accuracy):
        if value < 0 or value > 1:
            raise ValueError(f"expected accuracies as fractions in [0, 1], got {value}")
    a, b = FITS[shift]
    return accuracy - float(expit(a * logit(clean_accuracy) + b))
