"""What TransCLIP and StatA share: images assigned to Gaussian classes, with their neighbours.

The assignments z minimise (Zanella et al., NeurIPS 2024)

    - sum_i z_i . log p_i  -  sum_ij w_ij z_i . z_j  +  sum_i KL(z_i || y_i),

p_i the likelihoods of image i under Gaussians with one diagonal covariance, w the cosines of
nearest neighbours, y zero-shot's predictions. Assignments and Gaussians are updated in turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lpclip.methods.adapters.blocks import (
    blocks,
    joint,
    logits_of,
    softmax,
    zero_shot_logits,
)
from lpclip.methods.adapters.neighbours import graph, product
from lpclip.methods.labelling.heads import softmax_in_place
from lpclip.methods.labelling.neighbours import nearest
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows, empty_rows, parts

# Weight of the log-likelihood: it is a sum over all dimensions and would drown out the rest.
LIKELIHOOD_WEIGHT = 1 / 50
# Updates of the assignments between two of the Gaussians.
SWEEPS = 5


@dataclass(frozen=True)
class Gaussians:
    """Classes as Gaussians with one diagonal covariance.

    Attributes:
        means: ``[C, D]``.
        variance: ``[D]``, that all classes share.
    """

    means: FloatArray
    variance: FloatArray

    def with_text(self, head: ZeroShotHead) -> tuple[FloatArray, FloatArray]:
        """Return the head of weighted log-likelihood plus zero-shot's log-probability.

        Both are linear in the features, up to a constant per image, since all classes share the
        covariance.

        Returns:
            Weight ``[C, D]`` and bias ``[C]``, float32.
        """
        towards = self.means / self.variance
        weight = head.weight + LIKELIHOOD_WEIGHT / head.scale * towards
        bias = head.bias - LIKELIHOOD_WEIGHT / 2 * (towards * self.means).sum(axis=1)
        return weight.astype(np.float32), bias.astype(np.float32)


@dataclass(frozen=True)
class Moments:
    """What Gaussians are fitted to.

    Attributes:
        n: number of images.
        counts: sum of the assignments to each class, ``[C]``.
        sums: sum of the features, weighted by the assignments, ``[C, D]``.
        squares: sum of the squared features, ``[D]``.
    """

    n: int
    counts: FloatArray
    sums: FloatArray
    squares: FloatArray

    def scatter(self, means: FloatArray) -> FloatArray:
        """Return the sum of squared distances from the means, in each dimension, ``[D]``."""
        around: FloatArray = (
            self.squares
            - 2 * (self.sums * means).sum(axis=0)
            + (self.counts[:, None] * means**2).sum(axis=0)
        )
        return np.maximum(around, 0)


# (moments, Gaussians before) -> Gaussians
Update = Callable[[Moments, Gaussians], Gaussians]


def transduce(
    features: Rows,
    head: ZeroShotHead,
    start: Gaussians,
    update: Update,
    *,
    neighbours: int,
    iterations: int,
) -> tuple[Gaussians, Rows]:
    """Update assignments and Gaussians in turn.

    Args:
        features: unit-length ``[N, D]``.
        head: gives the predictions that assignments stay near to.
        start: the first Gaussians.
        update: fits Gaussians.
        neighbours: nearest neighbours of each image, weighted by cosine.
        iterations: of both.

    Returns:
        The last Gaussians, and assignments ``[N, C]`` float32, which sum to 1 in every row.
    """
    index, cosines = nearest(features, neighbours)
    links = graph(index, np.maximum(cosines, 0), len(features))
    links = ((links + links.T) / (2 * neighbours)).tocsr()
    assigned = softmax(zero_shot_logits(features, head))
    squares: FloatArray = np.zeros(features.shape[1])
    for _, part in parts(features):
        squares += np.einsum("nd,nd->d", part, part, dtype=np.float64)
    gaussians = start
    for _ in range(iterations):
        weight, bias = gaussians.with_text(head)
        alone = logits_of(features, weight, bias, scale=head.scale)
        for _ in range(SWEEPS):
            assigned = _with_neighbours(alone, links, assigned)
        counts, sums = np.zeros(len(weight)), np.zeros(weight.shape)
        for part, own in joint(assigned, features):
            counts += part.sum(axis=0, dtype=np.float64)
            sums += (part.T @ own).astype(np.float64)
        moments = Moments(n=len(features), counts=counts, sums=sums, squares=squares)
        gaussians = update(moments, gaussians)
    return gaussians, assigned


def _with_neighbours(alone: Rows, links: Any, assigned: Rows) -> Rows:
    """Update the assignments: the logits of each image alone, and those its neighbours have."""
    updated: Rows = empty_rows(*alone.shape)
    for rows in blocks(*alone.shape):
        updated[rows] = softmax_in_place(alone[rows] + product(links[rows], assigned))
    return updated
