"""Whether one method is better than another on the same images: paired, with an interval."""

import numpy as np

from lpclip.metrics.intervals import Z_95
from lpclip.types import BoolArray, FloatArray


def paired_comparison(
    correct: BoolArray, baseline_correct: BoolArray, *, same: bool = False
) -> dict[str, float]:
    """Accuracy of a method minus that of a baseline on the same images, with its 95 % interval.

    An image counts once, with the mean over all its views, since corruptions of one image are not
    independent evidence. See `interval_of_gains` for the interval.

    Args:
        correct: [N] or [V, N], whether the method is right on every image (in every view).
        baseline_correct: the same of the baseline, image by image.
        same: whether both are one head, so that they could not differ on any image. Two heads
            that do not differ on these images might on others.

    Returns:
        n (images, an int), difference, difference_low, difference_high (95 %), only_method and
        only_baseline (ints: predictions that one got right and the other did not), in this order.
        difference and its interval are nan where there is no prediction; of heads that are the
        same, they are 0.

    Raises:
        ValueError: the arrays are no booleans or differ in shape.

    >>> right = np.array([True, True, False, True])
    >>> result = paired_comparison(right, np.array([True, False, False, False]))
    >>> result["difference"], result["only_method"], result["only_baseline"]
    (0.5, 2, 0)
    """
    ours, theirs = _checked(correct, baseline_correct)
    difference = low = high = float("nan")
    if ours.size:
        # Sums of whole numbers, so that equal images are equal values.
        gains = (ours.astype(np.int64) - theirs).sum(axis=0)
        difference = float(gains.sum()) / ours.size
        is_certain = same and not (ours != theirs).any()
        low, high = (0.0, 0.0) if is_certain else interval_of_gains(gains / len(ours))
    return {
        "n": ours.shape[1],
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "only_method": int((ours & ~theirs).sum()),
        "only_baseline": int((theirs & ~ours).sum()),
    }


def interval_of_gains(gains: FloatArray) -> tuple[float, float]:
    """95 % interval of a mean gain: normal, with one image added for either method.

    Of gains -1, 0 and 1 it is the interval of Bonett & Price (2012) for paired proportions, which
    adds one to the count of images that only one, and that only the other gets right. Where few
    images differ, all bootstrap samples are alike; where many do, the two agree.

    Args:
        gains: [N], in [-1, 1]: of each image how often the method is right and the baseline is
            not, minus how often it is the other way round, as a share of views.

    Returns:
        (low, high), within [-1, 1], which hold the mean; (nan, nan) for N = 0.

    >>> low, high = interval_of_gains(np.array([0.0] * 98 + [1.0, 1.0]))
    >>> round(low, 4), round(high, 4)
    (-0.0186, 0.0578)
    """
    n = len(gains) + 2
    if n == 2:
        return float("nan"), float("nan")
    values = np.asarray(gains, np.float64)
    centre = values.sum() / n
    half = Z_95 * np.sqrt((((values**2).sum() + 2) / n - centre**2) / n)
    return float(max(-1.0, centre - half)), float(min(1.0, centre + half))


def _checked(ours: BoolArray, theirs: BoolArray) -> tuple[BoolArray, BoolArray]:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.dtype != bool or theirs.dtype != bool:
        raise ValueError(f"expected booleans, got {ours.dtype} and {theirs.dtype}")
    if ours.shape != theirs.shape or ours.ndim not in (1, 2):
        raise ValueError(
            "expected two arrays of one shape, [N] or [V, N], got "
            f"{list(ours.shape)} and {list(theirs.shape)}"
        )
    return np.atleast_2d(ours), np.atleast_2d(theirs)
