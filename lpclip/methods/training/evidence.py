"""Evidence from unlabelled images on whether a head is better than zero-shot.

All of it is about the images for which the two predict different classes: which of the two classes
do the images nearby belong to? No label is read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lpclip.methods.labelling.heads import most_probable, one_head
from lpclip.methods.labelling.part import Part
from lpclip.methods.labelling.pseudo_labels import label_views, scaled
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.labelling.structure import OneHot, Structure
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray, IntArray

# Neighbours whose probabilities are averaged: one per two images of a class, at most ten.
_MOST_VOTERS = 10


@dataclass(frozen=True)
class Evidence:
    """What the images for which a head and zero-shot differ have around them.

    Shares are of these images; 0 where there are none.

    Attributes:
        change: share of the unlabelled images that they are.
        neighbours: share of their neighbours to which zero-shot gives the head's class.
        posterior: probability of the head's class for their neighbours, less that of zero-shot's
            class; from text and Gaussian classes that were fitted on other images.
        gaussian: share for which Gaussian classes, fitted to zero-shot's predictions for other
            images, predict the head's class, less the share for which they predict zero-shot's.
        others: mean over the other candidates of the share for which they predict the head's class,
            less the share for which they predict zero-shot's.
        zero_shot_agreement: share of all pairs of neighbours to which zero-shot gives one class.
        support: share of the classes that the unlabelled images support.
        images_per_class: images per class that they support.
    """

    change: float
    neighbours: float
    posterior: float
    gaussian: float
    others: float
    zero_shot_agreement: float
    support: float
    images_per_class: float


@dataclass(frozen=True)
class ExaminedImages:
    """The unlabelled images on which heads are compared with zero-shot: those that are learned.

    Attributes:
        head: zero-shot.
        views: unit-length features of these images, ``[V, M, D]``.
        part: what is learned.
    """

    head: ZeroShotHead
    views: Views
    part: Part

    @cached_property
    def structure(self) -> Structure:
        """Neighbours and halves, by the number of classes that are supported."""
        return Structure(self.views, n_classes=max(len(self.part.classes), 1))

    @cached_property
    def zero_shot(self) -> IntArray:
        """Class that zero-shot predicts, ``[M]``."""
        return self.predicted(*self.head.as_round(1))

    @cached_property
    def _agreement(self) -> float:
        """Share of pairs of neighbours to which zero-shot gives one class; 0 without pairs."""
        share = self.structure.agreement(self.zero_shot)
        return share if np.isfinite(share) else 0.0

    def predicted(self, weight: FloatArray, bias: FloatArray) -> IntArray:
        """Return the class that a head ``[C, D]`` with bias ``[C]`` predicts, ``[M]``."""
        weight, bias = np.reshape(weight, self.head.weight.shape), np.reshape(bias, -1)
        heads = one_head(self.head.scale * weight, bias, self.views.shape[1])
        return most_probable(self.views, heads)

    @cached_property
    def _around(self) -> tuple[IntArray, FloatArray]:
        """Images whose neighbours are looked up, and the mean probabilities nearby, ``[m, C]``."""
        per_class = self.views.shape[1] / max(len(self.part.classes), 1)
        voters = max(2, min(_MOST_VOTERS, round(per_class / 2)))
        structure = replace(self.structure, most_neighbours=voters, images_per_neighbour=0)
        rows, nearest = structure.neighbours
        learned = self.head.of(self.part.classes)
        labels = label_views(*scaled(learned), Labelling(prior="none"), self.structure)
        probabilities = labels.probabilities
        assert probabilities is not None  # made here
        around = np.zeros((len(rows), len(self.head.weight)), dtype=np.float32)
        for neighbour in nearest.T:
            around[:, self.part.classes] += probabilities[neighbour]
        return rows, around / max(nearest.shape[1], 1)

    @cached_property
    def _gaussian(self) -> IntArray:
        """Class by Gaussians that were fitted to zero-shot's predictions for others, ``[M]``."""
        places = np.full(len(self.head.weight), -1)
        places[self.part.classes] = np.arange(len(self.part.classes))
        heads = self.structure.gaussian_heads(
            OneHot(places[self.zero_shot], len(self.part.classes))
        )
        classes: IntArray = self.part.classes[most_probable(self.views, heads)]
        return classes

    def gather(
        self, weight: FloatArray, bias: FloatArray, others: Sequence[IntArray] = ()
    ) -> Evidence:
        """Gather the evidence on a head.

        Args:
            weight: ``[C, D]``.
            bias: ``[C]``.
            others: classes that the other candidates predict, ``[M]`` each.
        """
        ours, theirs = self.predicted(weight, bias), self.zero_shot
        changed = ours != theirs
        rows, nearest = self.structure.neighbours
        same = Evidence(
            change=float(changed.mean()),
            neighbours=0.0,
            posterior=0.0,
            gaussian=0.0,
            others=0.0,
            zero_shot_agreement=self._agreement,
            support=len(self.part.classes) / len(self.head.weight),
            images_per_class=self.views.shape[1] / max(len(self.part.classes), 1),
        )
        looked_up = np.flatnonzero(changed[rows])
        if not len(looked_up):
            return same
        votes = theirs[nearest[looked_up]] == ours[rows[looked_up], None]
        around_rows, around = self._around
        differ = np.flatnonzero(changed[around_rows])
        images = around_rows[differ]
        posterior = around[differ, ours[images]] - around[differ, theirs[images]]
        ours, theirs = ours[changed], theirs[changed]
        return replace(
            same,
            neighbours=float(votes.mean()),
            posterior=float(posterior.mean()),
            gaussian=_votes(self._gaussian[changed], ours, theirs),
            others=float(np.mean([_votes(one[changed], ours, theirs) for one in others] or [0.0])),
        )


def _votes(voter: IntArray, ours: IntArray, theirs: IntArray) -> float:
    """Return the share of votes for one class less that for another, -1..1."""
    return float(np.mean(voter == ours) - np.mean(voter == theirs))
