"""Label-free structure of features: nearest-neighbour agreement and class Gaussians.

Nothing depends on the model's scale: multiplying all logits by a factor changes no result.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lpclip.methods.labelling.heads import (
    Heads,
    logits_by_block,
    mean_view,
    softmax_in_place,
)
from lpclip.methods.labelling.neighbours import nearest, without_mean
from lpclip.storage.stored_views import Views
from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import Rows, block_rows

# The most neighbours that are looked up, and the images of a class for each of them.
MOST_NEIGHBOURS = 5
IMAGES_PER_NEIGHBOUR = 3.0
# More samples than this are represented by this many: neighbours cost N x N cosines, and what they
# give here, an agreement and a support per class, are means over samples. The share of 100,000
# pairs is known to 0.3 points; the neighbours of 1.28 million images would take hours.
LARGEST = 20_000
# Share of an equal variance in all directions that the covariance is mixed with.
_SHRINKAGE = 0.1
_TEMPERATURES = (1e-3, 1e3)
# Mean [D] and covariance [D, D] of features.
Moments: TypeAlias = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class OneHot:
    """Probabilities ``[N, C]`` of certain predictions, made where they are needed.

    Attributes:
        index: class of each sample, ``[N]``; -1 for none.
        n_classes: C.
    """

    index: IntArray
    n_classes: int

    @property
    def shape(self) -> tuple[int, int]:
        """Samples, classes."""
        return len(self.index), self.n_classes

    def __getitem__(self, rows: IntArray) -> FloatArray:
        """Return some rows, ``[n, C]``."""
        index = self.index[rows]
        found = np.zeros((len(index), self.n_classes), dtype=np.float32)
        known = np.flatnonzero(index >= 0)
        found[known, index[known]] = 1
        return found


@dataclass(frozen=True)
class Structure:
    """Structure of an unlabelled set.

    Attributes:
        views: unit-length features ``[V, N, D]``.
        n_classes: classes that the set is expected to hold; neighbours are looked up by the number
            of images per class.
        seed: of the two halves for ``gaussian_logits`` and, in a large set, of the samples whose
            neighbours are looked up.
        most_neighbours: the most neighbours of a sample that are looked up.
        images_per_neighbour: images of a class for each of them; 0 looks up the most.
    """

    views: Views
    n_classes: int = 1
    seed: int = 0
    most_neighbours: int = MOST_NEIGHBOURS
    images_per_neighbour: float = IMAGES_PER_NEIGHBOUR

    @cached_property
    def halves(self) -> npt.NDArray[np.bool_]:
        """Whether a sample is in the first of two random halves, ``[N]``."""
        n = self.views.shape[1]
        order = np.random.default_rng(self.seed).permutation(n)
        first = np.zeros(n, dtype=bool)
        first[order[: n // 2]] = True
        return first

    @cached_property
    def neighbours(self) -> tuple[IntArray, IntArray]:
        """Rows whose neighbours are looked up, ``[M]``, and their nearest others, ``[M, k]``.

        Nearest by cosine of the mean over views, after the mean over samples is taken away.
        """
        rows = np.arange(self.views.shape[1])
        if len(rows) > LARGEST:
            rows = np.sort(np.random.default_rng(self.seed).permutation(rows)[:LARGEST])
        features = without_mean(mean_view(self.views, rows))
        index, _ = nearest(features, self._wanted(len(rows)))
        return rows, rows[np.sort(index, axis=1)]

    def _wanted(self, n_samples: int) -> int:
        """Return how many neighbours are looked up: with 4 images of a class, 5 cannot agree."""
        if not self.images_per_neighbour:
            return self.most_neighbours
        per_class = n_samples / (self.images_per_neighbour * self.n_classes)
        return max(1, min(self.most_neighbours, round(per_class)))

    def agreement(self, class_index: IntArray) -> float:
        """Return the share of pairs of neighbours of the same class: an estimate of accuracy.

        Args:
            class_index: predicted class of each sample, ``[N]``.

        Returns:
            Fraction in 0..1; nan for fewer than two samples.
        """
        rows, nearest = self.neighbours
        if nearest.size == 0:
            return float("nan")
        return float(np.mean(class_index[nearest] == class_index[rows][:, None]))

    def gaussian_heads(self, probabilities: Rows | OneHot) -> Heads:
        """Return heads whose logits are log-likelihoods under Gaussians fitted on other samples.

        One mean per class and a covariance that all share, fitted on one half of the samples,
        weighted by their probabilities, and evaluated on the other (Fisher's discriminant,
        cross-fitted). No class is more frequent than another. A class with less than one sample in
        a half is as far from the mean as the others are on average, in no direction.

        Args:
            probabilities: of the classes, ``[N, C]``; rows may sum to less than 1.

        Returns:
            Two heads, the first for samples outside the first half. Their logits are
            log-likelihoods up to a constant per sample.
        """
        found = [
            fit_gaussians(self.views, probabilities, rows, moments)
            for rows, moments in self._moments
        ]
        centre, weight, distance = (np.stack(part) for part in zip(*found, strict=True))
        return Heads(weight, -distance / 2, centre, self.halves.astype(np.int64))

    def gaussian_logits(self, probabilities: FloatArray) -> FloatArray:
        """Return the logits of ``gaussian_heads``, ``[V, N, C]`` float32: of small sets."""
        views = self.views
        logits = np.empty((*views.shape[:2], probabilities.shape[1]), dtype=np.float32)
        for rows, block in logits_by_block(views, self.gaussian_heads(probabilities)):
            logits[:, rows] = block
        return logits

    @cached_property
    def _moments(self) -> list[tuple[IntArray, Moments]]:
        """Samples of the first half and of the second, and the moments of their features."""
        halves = (np.flatnonzero(self.halves), np.flatnonzero(~self.halves))
        return [(rows, moments_of(self.views, rows)) for rows in halves]


def moments_of(views: Views, rows: IntArray) -> Moments:
    """Return mean ``[D]`` and covariance ``[D, D]`` of all views ``[V, N, D]`` of some samples.

    They are summed up in float64, block by block; zeros of no samples.
    """
    n_views, _, dim = views.shape
    centre, covariance = np.zeros(dim), np.zeros((dim, dim))
    if not len(rows):
        return centre, covariance
    size = block_rows(8 * dim)
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
    for view in views:
        for block in blocks:
            centre += view[block].sum(axis=0, dtype=np.float64)
    centre /= n_views * len(rows)
    for view in views:
        for block in blocks:
            features = view[block] - centre
            covariance += features.T @ features
    return centre, covariance / (n_views * len(rows))


def fit_gaussians(
    views: Views,
    probabilities: Rows | OneHot,
    rows: IntArray | None = None,
    moments: Moments | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit classes as Gaussians with one covariance.

    Args:
        views: features ``[V, N, D]``.
        probabilities: ``[N, C]``.
        rows: samples to fit to; all if None.
        moments: of these samples; computed here if None.

    Returns:
        Centre ``[D]``, weights ``[C, D]`` = covariance^-1 (mean_c - centre), and squared
        Mahalanobis distances ``[C]`` of the class means from the centre, float64.
    """
    _, n_samples, dim = views.shape
    rows = np.arange(n_samples) if rows is None else rows
    n_classes = probabilities.shape[1]
    counts, sums = np.zeros(n_classes), np.zeros((n_classes, dim))
    centre, total = moments_of(views, rows) if moments is None else moments
    size = block_rows(8 * (2 * n_classes + dim))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        weights = probabilities[block].astype(np.float64)
        counts += weights.sum(axis=0)
        sums += weights.T @ (mean_view(views, block) - centre)
    if not counts.sum():
        return np.zeros(dim), np.zeros((n_classes, dim)), np.zeros(n_classes)
    # As if one sample of every class lay at the centre.
    means = sums / (counts[:, None] + 1)
    within = total - (counts[:, None] / counts.sum() * means).T @ means
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * np.trace(within) / dim * np.eye(dim)
    weight = np.linalg.solve(within + 1e-9 * np.eye(dim), means.T).T
    distance = (weight * means).sum(axis=1)
    seen = counts >= 1
    if seen.any():
        weight[~seen] = 0
        distance[~seen] = distance[seen].mean()
    return centre, weight, distance


def calibrated_temperature(logits: Iterable[FloatArray], accuracy: float) -> float:
    """Return the temperature at which the mean confidence equals the accuracy.

    Args:
        logits: blocks ``[V, n, C]``, iterated several times; the softmax is averaged over V.
        accuracy: the mean confidence that is wanted, 0..1; nan gives 1.

    Returns:
        The temperature, in 0.001..1000 times the spread of the logits.

    >>> logits = 100 * np.array([[[0.3, 0.2], [0.1, 0.3]]])
    >>> t = calibrated_temperature([logits], 0.8)
    >>> mean_confidence([logits], t).round(3)
    np.float64(0.8)
    """
    from scipy.optimize import brentq  # not at every start of Snakemake

    spread = _standard_deviation(logits) if np.isfinite(accuracy) else 0.0
    if spread == 0:
        return 1.0

    low, high = np.log(_TEMPERATURES)
    if _excess(low, logits, spread, accuracy) <= 0:
        return spread * _TEMPERATURES[0]
    if _excess(high, logits, spread, accuracy) >= 0:
        return spread * _TEMPERATURES[1]
    # As arguments, since SciPy keeps the function itself, and so what it holds, until the garbage
    # is collected.
    exponent = brentq(_excess, low, high, args=(logits, spread, accuracy), xtol=1e-6)
    return float(spread * np.exp(exponent))


def _excess(exponent: float, logits: Iterable[FloatArray], spread: float, accuracy: float) -> float:
    return mean_confidence(logits, spread * float(np.exp(exponent))) - accuracy


def mean_confidence(logits: Iterable[FloatArray], temperature: float) -> float:
    """Return the mean of the largest probability at a temperature; logits as blocks ``[V, n, C]``.

    Probabilities are the softmax of the logits over the temperature, averaged over V.
    """
    total, n = 0.0, 0
    for block in logits:
        confidence = softmax_in_place(block / temperature).mean(axis=0).max(axis=-1)
        total += confidence.sum(dtype=np.float64)
        n += len(confidence)
    return total / n


def _standard_deviation(blocks: Iterable[FloatArray]) -> float:
    """Of all elements; sums of differences from the first one stay exact if all are equal."""
    total = squares = 0.0
    first, n = None, 0
    for block in blocks:
        first = block.flat[0] if first is None else first
        difference = block - first
        total += difference.sum(dtype=np.float64)
        squares += np.square(difference, out=difference).sum(dtype=np.float64)
        n += block.size
    return float(np.sqrt(max(squares / n - (total / n) ** 2, 0))) if n else 0.0
