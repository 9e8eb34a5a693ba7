"""Label-free structure of features: nearest-neighbour agreement and class Gaussians.

Nothing depends on the model's scale: multiplying all logits by a factor changes no result.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from lpclip.types import FloatArray, IntArray

N_NEIGHBOURS = 5
# More samples than this are represented by this many: neighbours cost N x N cosines.
LARGEST = 20_000
_BLOCK = 2048
# Share of an equal variance in all directions that the covariance is mixed with.
_SHRINKAGE = 0.1
_TEMPERATURES = (1e-3, 1e3)


@dataclass(frozen=True)
class Structure:
    """Structure of an unlabelled set.

    Attributes:
        views: unit-length features ``[V, N, D]``.
        seed: of the two halves for ``gaussian_logits`` and, in a large set, of the samples whose
            neighbours are looked up.
    """

    views: FloatArray
    seed: int = 0

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
        mean = self.views.mean(axis=0)
        rows = np.arange(len(mean))
        if len(rows) > LARGEST:
            rows = np.sort(np.random.default_rng(self.seed).permutation(rows)[:LARGEST])
        centred = mean[rows] - mean[rows].mean(axis=0)
        centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        k = min(N_NEIGHBOURS, len(rows) - 1)
        nearest = np.empty((len(rows), max(k, 0)), dtype=np.int64)
        for start in range(0, len(rows), _BLOCK):
            cosines = centred[start : start + _BLOCK] @ centred.T
            own = np.arange(len(cosines))
            cosines[own, start + own] = -np.inf
            if k > 0:
                part = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
                nearest[start : start + _BLOCK] = rows[np.sort(part, axis=1)]
        return rows, nearest

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

    def gaussian_logits(self, probabilities: FloatArray) -> FloatArray:
        """Return log-likelihoods of each sample under Gaussians that were fitted on the others.

        One mean per class and a covariance that all share, fitted on one half of the samples,
        weighted by their probabilities, and evaluated on the other (Fisher's discriminant,
        cross-fitted). No class is more frequent than another. A class with less than one sample in
        a half is as far from the mean as the others are on average, in no direction.

        Args:
            probabilities: of the classes, ``[N, C]``; rows may sum to less than 1.

        Returns:
            Log-likelihoods up to a constant per sample, ``[V, N, C]`` float32.
        """
        views = self.views
        logits = np.empty((*views.shape[:2], probabilities.shape[1]), dtype=np.float32)
        for fitted in (self.halves, ~self.halves):
            centre, weight, distance = fit_gaussians(views[:, fitted], probabilities[fitted])
            logits[:, ~fitted] = (views[:, ~fitted] - centre) @ weight.T - distance / 2
        return logits


def fit_gaussians(
    views: FloatArray, probabilities: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit classes as Gaussians with one covariance.

    Args:
        views: features ``[V, N, D]``.
        probabilities: ``[N, C]``.

    Returns:
        Centre ``[D]``, weights ``[C, D]`` = covariance^-1 (mean_c - centre), and squared
        Mahalanobis distances ``[C]`` of the class means from the centre.
    """
    n_views, _, dim = views.shape
    flat = views.reshape(-1, dim).astype(np.float64)
    counts = probabilities.sum(axis=0)
    if not len(flat) or not counts.sum():
        shape = (probabilities.shape[1], dim)
        return np.zeros(dim), np.zeros(shape), np.zeros(shape[0])
    centre = flat.mean(axis=0)
    total = (flat - centre).T @ (flat - centre) / len(flat)
    sums = probabilities.T.astype(np.float64) @ views.sum(axis=0) - counts[:, None] * (
        n_views * centre
    )
    # As if one sample of every class lay at the centre.
    means = sums / (n_views * (counts[:, None] + 1))
    within = total - (counts[:, None] / counts.sum() * means).T @ means
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * np.trace(within) / dim * np.eye(dim)
    weight = np.linalg.solve(within + 1e-9 * np.eye(dim), means.T).T
    distance = (weight * means).sum(axis=1)
    seen = counts >= 1
    if seen.any():
        weight[~seen] = 0
        distance[~seen] = distance[seen].mean()
    return centre, weight, distance


def calibrated_temperature(logits: FloatArray, accuracy: float) -> float:
    """Return the temperature at which the mean confidence equals the accuracy.

    Args:
        logits: ``[V, N, C]``; the softmax is averaged over V.
        accuracy: the mean confidence that is wanted, 0..1; nan gives 1.

    Returns:
        The temperature, in 0.001..1000 times the spread of the logits.

    >>> logits = 100 * np.array([[[0.3, 0.2], [0.1, 0.3]]])
    >>> t = calibrated_temperature(logits, 0.8)
    >>> softmax(logits / t, axis=-1).mean(axis=0).max(axis=-1).mean().round(3)
    np.float64(0.8)
    """
    from scipy.optimize import brentq  # not at every start of Snakemake

    spread = float(np.std(logits))
    if not np.isfinite(accuracy) or spread == 0:
        return 1.0

    def excess(exponent: float) -> float:
        temperature = spread * np.exp(exponent)
        confidence = softmax(logits / temperature, axis=-1).mean(axis=0).max(axis=-1)
        return float(confidence.mean()) - accuracy

    low, high = np.log(_TEMPERATURES)
    if excess(low) <= 0:
        return spread * _TEMPERATURES[0]
    if excess(high) >= 0:
        return spread * _TEMPERATURES[1]
    return float(spread * np.exp(brentq(excess, low, high, xtol=1e-6)))
