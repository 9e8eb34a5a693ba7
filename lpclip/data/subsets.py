"""Subsets of a dataset: a number of images, or a number or share per class.

Images are chosen by a hash of (seed, id), so that the choice does not depend on other images, and a
smaller limit, number or share gives a subset.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Gt, Le

from lpclip.data.base import Sample
from lpclip.errors import LpclipError
from lpclip.utils.rng import sample_key
from lpclip.utils.settings import Count, settings_class


@settings_class
class Stratified:
    """How many images of every class to take: per_class or share; or, with rest, which to leave."""

    per_class: Count | None = None
    """Number of images of every class; all if there are fewer."""
    share: Annotated[float, Gt(0), Le(1)] | None = None
    """Fraction of every class, rounded, but at least one image."""
    rest: bool = False
    """Take the images that the same setting without rest leaves out, so that one source gives an
    adapt set and a test set."""

    def __post_init__(self) -> None:
        if (self.per_class is None) == (self.share is None):
            raise LpclipError("stratified needs either per_class or share.")

    def chosen(self, n: int) -> slice:
        """Return which of the n images of a class, in random order, to keep."""
        first = self._count(n)
        return slice(first, n) if self.rest else slice(first)

    def _count(self, n: int) -> int:
        if self.share is None:
            assert self.per_class is not None
            return min(self.per_class, n)
        return max(1, round(self.share * n))


def choose(
    samples: Sequence[Sample], *, limit: int | None, stratified: Stratified | None, seed: int
) -> Sequence[Sample]:
    """Return the chosen images in their original order.

    The limit, a number of at least 1, applies to what ``stratified`` keeps of every class; images
    without a label count as one more class.
    """
    if limit is not None and limit < 1:
        raise LpclipError(f"limit is {limit}; it must be at least 1.")
    if limit is None and stratified is None:
        return samples
    keys = [sample_key(seed, sample.id, "subset") for sample in samples]
    rows = sorted(range(len(samples)), key=keys.__getitem__)
    if stratified is not None:
        of_class: defaultdict[int, list[int]] = defaultdict(list)
        for row in rows:
            of_class[samples[row].label].append(row)
        kept = {row for own in of_class.values() for row in own[stratified.chosen(len(own))]}
        rows = [row for row in rows if row in kept]
    return [samples[row] for row in sorted(rows[:limit])]
