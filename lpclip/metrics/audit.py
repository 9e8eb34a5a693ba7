"""How much better one head is than another, from labels of some images on which they disagree.

Two heads are equally right on images for which they predict the same, so only the others matter: of
N images, D. Each of these is a win (the new head is right), a loss (the old head is right) or
neither. If some of the D are labelled, chosen at random, all statements below are exact for any
number of labels: they are those of sampling without replacement from D images, not of a normal
approximation.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from lpclip.types import IntArray

Array = npt.NDArray[np.float64]

LEVEL = 0.95
MOST_LABELS = 2_000  # nobody gives more
_SHARE_OF_DECISIVE = 0.05  # of the error that is allowed, for the number of decisive images
_MOST_BLOCKS = 200  # of totals that are looked at together


@dataclass(frozen=True)
class Labelled:
    """Labels of images on which two heads disagree.

    Attributes:
        wins: labelled images for which the new head is right.
        losses: labelled images for which the old head is right.
        neither: labelled images for which both are wrong.
        disagreements: D, images on which the heads disagree, labelled or not.
        images: N, all images of the pool.
    """

    wins: int
    losses: int
    neither: int
    disagreements: int
    images: int

    def __post_init__(self) -> None:
        if min(self.wins, self.losses, self.neither) < 0:
            raise ValueError(f"a number below 0: {self}")
        if not self.n <= self.disagreements <= self.images:
            raise ValueError(
                f"more labels than disagreements, or more of these than images: {self}"
            )

    @property
    def n(self) -> int:
        """Number of labels."""
        return self.wins + self.losses + self.neither


def estimated_gain(found: Labelled) -> float:
    """Accuracy of the new head minus that of the old one on the pool: D / N * (wins - losses) / n.

    Unbiased, since the labelled images are a simple random sample of the D.

    Returns:
        Fraction in [-1, 1]; nan without labels, 0 without disagreements.

    >>> estimated_gain(Labelled(wins=30, losses=10, neither=10, disagreements=200, images=1000))
    0.08
    """
    if found.disagreements == 0:
        return 0.0
    if found.n == 0:
        return float("nan")
    return found.disagreements * (found.wins - found.losses) / found.n / found.images


def interval_of_gain(found: Labelled, level: float = LEVEL) -> tuple[float, float]:
    """Interval that holds the gain on the pool with at least this probability, whatever it is.

    Let M of the D images be decisive (a win or a loss), W of them wins: the gain is (2 W - M) / N.
    The number m of decisive images among n labels is hypergeometric (M of D), and the number of
    wins among these m is hypergeometric (W of M). Both are inverted: M by Clopper and Pearson's way
    at 1/20 of the error, then W for each such M at the rest, half of it on either side (Berger and
    Boos 1994, on a nuisance parameter). The result is the union over M.

    Args:
        found: the labels.
        level: probability, in (0, 1).

    Returns:
        (low, high), fractions in [-1, 1]; exactly the gain if all disagreements are labelled.

    Raises:
        ValueError: the level is no probability.

    >>> low, high = interval_of_gain(
    ...     Labelled(wins=9, losses=0, neither=0, disagreements=9, images=10))
    >>> low, high
    (0.9, 0.9)
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level}")
    error = 1 - level
    decisive = found.wins + found.losses
    totals = interval_of_members(
        decisive, found.n, found.disagreements, error * _SHARE_OF_DECISIVE / 2
    )
    side = error * (1 - _SHARE_OF_DECISIVE) / 2
    low = _least_surplus(found.wins, decisive, totals, side)
    high = -_least_surplus(found.losses, decisive, totals, side)
    return low / found.images, high / found.images


def probability_of_so_many(found: Labelled) -> float:
    """Probability of so many wins, or more, if the new head were no better: a one-sided p-value.

    The largest one over all numbers of decisive images that are possible, half of them wins.

    >>> counts = Labelled(wins=5, losses=0, neither=0, disagreements=10, images=100)
    >>> round(probability_of_so_many(counts), 5), round(1 / 2**5, 5)
    (0.00397, 0.03125)
    """
    decisive = found.wins + found.losses
    most = found.disagreements - found.neither
    if decisive == most:  # all are known
        return float(found.wins <= found.losses)
    totals = np.arange(decisive, min(most, decisive + 10 * _MOST_BLOCKS) + 1)
    largest = float(_tail(found.wins, decisive, totals // 2, totals).max())
    if most > totals[-1]:  # of all larger totals, coins are the limit
        largest = max(largest, _coins(found.wins, decisive))
    return min(1.0, largest)


def labels_to_decide(
    found: Labelled, level: float = LEVEL, *, most: int = MOST_LABELS
) -> int | None:
    """How many more labels would make the interval exclude 0, if their shares stay as they are.

    Returns:
        A number of labels, 0 if it is decided; None if there is nothing to go by, or if ``most``
        labels, or all disagreements, would not do.
    """
    if is_decided(interval_of_gain(found, level)):
        return 0
    most = min(most, found.disagreements)
    if found.wins == found.losses or found.n >= most:
        return None

    def after(n: int) -> bool:
        wins = round(found.wins * n / found.n)
        losses = min(round(found.losses * n / found.n), n - wins)
        more = Labelled(wins, losses, n - wins - losses, found.disagreements, found.images)
        return is_decided(interval_of_gain(more, level))

    low, high = found.n, min(2 * found.n, most)
    while not after(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if after(middle) else (middle, high)
    return high - found.n


def is_decided(interval: tuple[float, float]) -> bool:
    """Return whether an interval of the gain excludes 0."""
    return interval[0] > 0 or interval[1] < 0


def interval_of_members(found: int, n: int, total: int, side: float) -> tuple[int, int]:
    """Interval of the members M among ``total`` things, of which n chosen ones hold ``found``.

    Args:
        found: members among the chosen.
        n: things that were chosen at random, without replacement.
        total: all things.
        side: largest probability of missing M, on either side.

    Returns:
        (fewest, most), whole numbers.

    >>> interval_of_members(0, 10, 10, 0.025), interval_of_members(0, 10, 100, 0.025)
    ((0, 0), (0, 29))
    """
    totals = np.array([total])
    fewest = _fewest(found, n, totals, side)[0]
    return int(fewest), int(total - _fewest(n - found, n, totals, side)[0])


def _least_surplus(found: int, n: int, totals: tuple[int, int], side: float) -> int:
    """Return the smallest 2 W - M over totals M, where W is the smallest number not refused.

    W grows with M, so that 2 W(first) - last bounds a block of totals: blocks are halved where the
    bound is below the smallest value so far. If they become too many, the bound is returned.
    """
    step = -(-(totals[1] - totals[0] + 1) // _MOST_BLOCKS)
    first = np.arange(totals[0], totals[1] + 1, step)
    last = np.minimum(first + step - 1, totals[1])
    best = np.inf
    while True:
        fewest = 2 * _fewest(found, n, first, side)
        best = min(best, (fewest - first).min())
        bound = fewest - last
        open_ = bound < best
        if not open_.any() or len(first) > 2 * _MOST_BLOCKS:
            return int(min(best, bound.min()))
        first, last = first[open_], last[open_]
        middle = (first + last) // 2  # below `last`, since a block of one total is not open
        first, last = np.concatenate([first, middle + 1]), np.concatenate([middle, last])


def _fewest(found: int, n: int, totals: IntArray, side: float) -> IntArray:
    """Return the smallest number of members of each total for which the tail exceeds ``side``."""
    low = np.full(len(totals), found)  # there are at least so many
    high = totals - (n - found)  # and at most so many, for which the tail is 1
    while (open_ := low < high).any():
        middle = (low + high) // 2
        enough = _tail(found, n, middle, totals) > side
        high = np.where(open_ & enough, middle, high)
        low = np.where(open_ & ~enough, middle + 1, low)
    return low


def _tail(found: int, n: int, members: IntArray, totals: IntArray) -> Array:
    """Probability of at least ``found`` members among n of each total, without replacement."""
    k = np.arange(found, n + 1)[:, None]
    rest = totals - members
    possible = (k <= members) & (n - k <= rest)
    inside = np.where(possible, k, 0), np.where(possible, n - k, 0)
    log = (
        _log_choose(members, inside[0])
        + _log_choose(rest, inside[1])
        - _log_choose(totals, np.array(n))
    )
    tail: Array = np.where(possible, np.exp(log), 0.0).sum(axis=0)
    return tail if found else np.ones(len(totals))


def _log_choose(n: IntArray, k: IntArray) -> Array:
    logs = _log_factorials(1 << int(max(n.max(), 1)).bit_length())
    found: Array = logs[n] - logs[k] - logs[n - k]
    return found


@cache
def _log_factorials(most: int) -> Array:
    found: Array = gammaln(np.arange(most + 1) + 1.0)
    return found


def _coins(found: int, n: int) -> float:
    """Probability of at least ``found`` heads of n fair coins."""
    k = np.arange(found, n + 1)
    return float(np.exp(_log_choose(np.array(n), k) - n * np.log(2)).sum())
