"""The labelled part of an adapt set, for methods that may see labels, and samples of it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from annotated_types import Gt, Le

from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import read_labels
from lpclip.errors import LpclipError
from lpclip.methods.base import Inputs, after_zero_shot
from lpclip.methods.training.settings import Optimisation
from lpclip.storage.probes import Probes
from lpclip.storage.samples import read_samples
from lpclip.storage.stored_views import View, open_views, some_rows
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray, IntArray
from lpclip.utils.progress import progress
from lpclip.utils.rng import sample_key
from lpclip.utils.settings import Count, CountOrZero, Positive, settings_class

log = logging.getLogger(__name__)

# Copies of the features that a method holds at a time: all, the labelled, those of a seed, scaled.
_COPIES = 4

LabelShare: TypeAlias = Annotated[float, Gt(0), Le(1)]


@settings_class
class OnLabels(Optimisation):
    """How a head is trained on labels: passes until the loss on a tenth of them falls no more.

    Members of a linear layer differ by where they started and when they stopped, since all of
    them would end at the same optimum.
    """

    epochs: Count = 100
    learning_rate: Positive = 0.003
    patience: CountOrZero = 5


@dataclass(frozen=True)
class Labelled:
    """Images with their labels.

    Attributes:
        features: ``[N, D]`` float32 of unit length, in memory or on the disk.
        labels: ``[N]``, indices of classes.
        ids: ``[N]``, which samples depend on.
        rows: ``[N]``, their places in the adapt set.
        size: images of the adapt set, labelled or not.
    """

    features: View
    labels: IntArray
    ids: tuple[str, ...]
    rows: IntArray
    size: int

    def take(self, chosen: IntArray | BoolArray) -> "Labelled":
        """Return some of them, by place or mask."""
        places = np.arange(len(self.labels))[chosen]
        ids = tuple(self.ids[place] for place in places)
        return Labelled(
            some_rows(self.features, places), self.labels[places], ids, self.rows[places], self.size
        )

    def seen(self) -> BoolArray:
        """Return which images of the adapt set these are, ``[size]``."""
        mask = np.zeros(self.size, dtype=bool)
        mask[self.rows] = True
        return mask

    def order(self, seed: int) -> IntArray:
        """Return the places in the order in which a seed takes them, ``[N]``.

        The order is by (seed, id) alone: more labels are the fewer ones and some others.
        """
        return np.argsort(np.array([sample_key(seed, one, "label") for one in self.ids]))

    def of_each_class(self, counts: IntArray, seed: int) -> "Labelled":
        """Return the first ``counts[c]`` images of class c that a seed takes, in their order."""
        order = self.order(seed)
        labels = self.labels[order]
        chosen = [order[labels == index][:count] for index, count in enumerate(counts)]
        return self.take(np.sort(np.concatenate(chosen)))


def read_labelled(head: ZeroShotHead, inputs: Inputs, *, per_class: int) -> Labelled:
    """Read the clean features of the adapt set with their labels; images without one are left out.

    Args:
        head: for the model of the features, and the classes.
        inputs: ``clean`` and ``samples``.
        per_class: images that every class has to have.

    Raises:
        LpclipError: no labels, labels of other classes, a class with too few images.
    """
    features = open_views(inputs["clean"], [("clean", 0)], expected=head.expected, copies=_COPIES)[
        0
    ]
    path = inputs["samples"]
    samples = read_samples(path, labels=False)
    labels = read_labels(path, head.class_names).of_benchmark
    rows = np.flatnonzero(labels != UNLABELLED)
    n = len(labels)
    if len(rows) < n:
        log.info("left out %d of %d images, which have no label", n - len(rows), n)
    if not len(rows):
        raise LpclipError(
            f"{path}: a method that learns labels needs them, but no image has one. "
            "Remove the method, or give a labelled adapt set."
        )
    counts = np.bincount(labels[rows], minlength=len(head.class_names))
    if counts.min() < per_class:
        raise LpclipError(
            f"{path}: class {counts.argmin()} has {counts.min()} labelled images; the method "
            f"needs {per_class} of every class."
        )
    ids = tuple(samples["id"].iloc[rows])
    return Labelled(some_rows(features, rows), labels[rows], ids, rows, n)


def fit_samples(
    head: ZeroShotHead,
    everything: Labelled,
    counts: IntArray,
    seeds: Sequence[int],
    fit: Callable[[Labelled, int], tuple[FloatArray, FloatArray]],
) -> Probes:
    """Round 0 is the zero-shot head, round 1 what is fitted to the images that each seed takes.

    Args:
        head: round 0.
        everything: the images to sample from.
        counts: images of each class.
        seeds: one probe each.
        fit: from images and seed to weight ``[C, D]`` and bias ``[C]``.
    """
    seen, weights, biases = [], [], []
    with progress(total=len(seeds), unit="seeds", label="train") as shown:
        for seed in seeds:
            part = everything.of_each_class(counts, seed)
            log.info("seed %d: %d labels", seed, len(part.labels))
            weight, bias = fit(part, seed)
            seen.append(part.seen())
            weights.append(weight)
            biases.append(bias)
            shown.add(1)
    return after_zero_shot(
        head, np.stack(weights)[:, None], np.stack(biases)[:, None], seeds, seen=np.stack(seen)
    )
