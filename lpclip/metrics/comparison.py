"""Whether one method is better than another on the same images: paired, with an interval."""

import numpy as np
import numpy.typing as npt

from lpclip.types import BoolArray

_QUANTILES = (0.025, 0.975)
_NUMBERS_AT_ONCE = 2**22  # 32 MiB of counts


def paired_comparison(
    correct: BoolArray, baseline_correct: BoolArray, *, resamples: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Accuracy of a method less that of a baseline on the same images.

    The interval is the percentile bootstrap over images (Efron & Tibshirani 1993, chapter 13): an
    image is drawn with the predictions of both methods and, where there are several views, with
    all of them, since corruptions of one image are not independent evidence.

    Args:
        correct: [N] or [V, N], whether the method is right on every image (in every view).
        baseline_correct: the same of the baseline, image by image.
        resamples: how often N images are drawn with replacement.
        seed: of the draws.

    Returns:
        n (images, an int), difference, difference_low, difference_high (95 %), only_method and
        only_baseline (ints: predictions that one got right and the other did not), in this order.
        difference and its interval are nan where there is no prediction.

    Raises:
        ValueError: the arrays are no booleans or differ in shape, or resamples < 1.

    >>> right = np.array([True, True, False, True])
    >>> result = paired_comparison(right, np.array([True, False, False, False]))
    >>> result["difference"], result["only_method"], result["only_baseline"]
    (0.5, 2, 0)
    """
    if resamples < 1:
        raise ValueError(f"expected at least one resample, got {resamples}")
    ours, theirs = _checked(correct, baseline_correct)
    difference = low = high = float("nan")
    if ours.size:
        # Sums of whole numbers, so that equal images are equal values.
        gains = (ours.astype(np.int64) - theirs).sum(axis=0)
        difference = float(gains.sum()) / ours.size
        drawn = _means_of_resamples(gains, resamples, np.random.default_rng(seed)) / len(ours)
        low, high = map(float, np.quantile(drawn, _QUANTILES))
    return {
        "n": ours.shape[1],
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "only_method": int((ours & ~theirs).sum()),
        "only_baseline": int((theirs & ~ours).sum()),
    }


def _means_of_resamples(
    values: npt.NDArray[np.int64], resamples: int, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Means [resamples] of as many values, drawn with replacement.

    How often each distinct value is drawn follows a multinomial distribution, and a gain has few
    values however many images there are.
    """
    distinct, counts = np.unique(values, return_counts=True)
    n = len(values)
    at_once = max(1, _NUMBERS_AT_ONCE // len(distinct))
    means = [
        random.multinomial(n, counts / n, size=min(at_once, resamples - start)) @ distinct / n
        for start in range(0, resamples, at_once)
    ]
    return np.concatenate(means)


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
