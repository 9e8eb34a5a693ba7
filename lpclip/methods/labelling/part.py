"""The part of an unlabelled set that is learned: images of the classes, and classes with images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lpclip.methods.labelling.pool_description import describe_pool
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.labelling.support import supported_classes
from lpclip.storage.pseudo_labels import PseudoLabels
from lpclip.storage.stored_views import Views, some_images
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, IntArray
from lpclip.utils.memory import Rows, empty_rows, row_slices, select

# Images that are less probably of one of the classes are not learned from (docs/method.md).
LEAST_IN_DISTRIBUTION = 0.3


@dataclass(frozen=True)
class Part:
    """Images and classes that are learned.

    Attributes:
        rows: samples, ``[M]``.
        classes: numbers of the classes, in their order.
        n_samples: N of all.
        n_classes: C of all.
        reason: why zero-shot distinguishes no classes at all, where the images were described;
            empty if it does.
    """

    rows: IntArray
    classes: IntArray
    n_samples: int
    n_classes: int
    reason: str = ""

    @property
    def chosen(self) -> BoolArray:
        """Whether a sample is learned, ``[N]``."""
        chosen = np.zeros(self.n_samples, dtype=bool)
        chosen[self.rows] = True
        return chosen

    @property
    def whole(self) -> bool:
        """Whether it is all samples and all classes."""
        return len(self.rows) == self.n_samples and len(self.classes) == self.n_classes

    def of(self, labels: PseudoLabels) -> PseudoLabels:
        """Return labels of all samples and classes as labels of the part."""
        values = labels.probabilities
        places = np.zeros(self.n_classes, dtype=labels.class_index.dtype)
        places[self.classes] = np.arange(len(self.classes))
        return PseudoLabels(
            None if values is None else select(values, self.rows, self.classes),
            places[labels.class_index[self.rows]],
            labels.confidence[self.rows],
            labels.selected[self.rows],
        )

    def complete(self, labels: PseudoLabels) -> PseudoLabels:
        """Return labels of the part as labels of all samples and classes.

        Other samples have no class (-1) and equal probabilities, other classes none.
        """
        probabilities = None
        if labels.probabilities is not None:
            probabilities = self._complete_rows(labels.probabilities)
        confidence = np.full(self.n_samples, 1 / self.n_classes, dtype=np.float32)
        confidence[self.rows] = labels.confidence
        return PseudoLabels(
            probabilities,
            self.fill(self.classes[labels.class_index], -1).astype(labels.class_index.dtype),
            confidence,
            self.fill(labels.selected, False),
        )

    def _complete_rows(self, values: Rows) -> Rows:
        """Return probabilities of the part as those of all samples and classes."""
        found: Rows = empty_rows(self.n_samples, self.n_classes)
        for block in row_slices(self.n_samples, self.n_classes):
            part = np.full(
                (block.stop - block.start, self.n_classes), 1 / self.n_classes, np.float32
            )
            first, end = np.searchsorted(self.rows, (block.start, block.stop))
            rows = self.rows[first:end] - block.start
            part[rows] = 0
            part[rows[:, None], self.classes] = values[first:end]
            found[block] = part
        return found

    def fill(self, values: npt.NDArray[Any], other: Any) -> npt.NDArray[Any]:
        """Return values ``[..., M]`` as those of all samples ``[..., N]``."""
        full = np.full((*values.shape[:-1], self.n_samples), other, dtype=values.dtype)
        full[..., self.rows] = values
        return full


def learned_part(head: ZeroShotHead, views: Views, labelling: Labelling) -> Part:
    """Return the part of an unlabelled set that is learned.

    Args:
        head: zero-shot.
        views: unit-length features ``[V, N, D]``.
        labelling: which images and classes are learned.
    """
    n_samples, n_classes = views.shape[1], len(head.weight)
    rows, classes, reason = np.arange(n_samples), np.arange(n_classes), ""
    if labelling.images == "in_distribution":
        description = describe_pool(views, head)
        reason = description.reason
        inside = description.in_distribution >= LEAST_IN_DISTRIBUTION
        if inside.any() and not inside.all():
            rows = np.flatnonzero(inside)
            views = some_images(views, rows)
    if labelling.classes == "supported":
        classes = np.flatnonzero(supported_classes(views, head))
    return Part(rows, classes, n_samples, n_classes, reason)
