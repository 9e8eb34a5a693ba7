"""Which images are kept where there are too many: the same ones for every model and every run."""

from collections.abc import Sequence

import numpy as np

from lpclip.types import IntArray
from lpclip.utils.rng import sample_key


def order_of_keeping(ids: Sequence[str]) -> IntArray:
    """Return rows ``[N]`` in the order in which they are kept: the first n are a random sample.

    It depends on the ids alone, so that what is kept of a smaller number is a part of what is kept
    of a larger one.

    >>> sorted(order_of_keeping(["a", "b", "c"]).tolist())
    [0, 1, 2]
    """
    keys = np.array([sample_key(0, str(one), "kept") for one in ids], dtype=np.uint64)
    found: IntArray = np.argsort(keys, kind="stable")
    return found


def shares(sizes: Sequence[int], at_most: int) -> list[int]:
    """Return how many images of each set are kept, together at most a number.

    Sets that are smaller than an equal share are kept whole; the others share what is left.

    >>> shares([10, 1000, 1000], at_most=100)
    [10, 45, 45]
    """
    kept, left = [0] * len(sizes), at_most
    for place, number in enumerate(sorted(range(len(sizes)), key=lambda one: sizes[one])):
        kept[number] = min(sizes[number], left // (len(sizes) - place))
        left -= kept[number]
    return kept
