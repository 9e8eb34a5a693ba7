"""StatA (Zanella et al., CVPR 2025): as TransCLIP, with Gaussians that are anchored to the text."""

import numpy as np

from lpclip.methods.adapters.blocks import unit_mean
from lpclip.methods.adapters.transduction import Gaussians, Moments, transduce
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows


def stata_head(
    views: Views,
    head: ZeroShotHead,
    *,
    anchor: float = 1.0,
    neighbours: int = 3,
    iterations: int = 10,
) -> tuple[FloatArray, FloatArray]:
    """Return the linear head of StatA's Gaussians and the text, without its neighbours.

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot.
        anchor: weight of the anchor, as a number of images of each class.
        neighbours: nearest neighbours of the Laplacian term.
        iterations: updates of assignments and Gaussians.

    Returns:
        Weight ``[C, D]`` and bias ``[C]``, float32, for the scale of ``head``.
    """
    gaussians, _ = stata(views, head, anchor=anchor, neighbours=neighbours, iterations=iterations)
    return gaussians.with_text(head)


def stata(
    views: Views,
    head: ZeroShotHead,
    *,
    anchor: float = 1.0,
    neighbours: int = 3,
    iterations: int = 10,
) -> tuple[Gaussians, Rows]:
    """Return StatA's Gaussians, and its assignments of the pool, ``[N, C]``.

    The anchor of class c is a Gaussian around its text feature t_c, of variance 1 / D in every
    dimension; the objective has alpha times the divergence of the Gaussians from their anchors
    besides. The class means are then

        mu_c = beta_c v_c + (1 - beta_c) t_c,   beta_c = n_c / (n_c + alpha),

    v_c the mean of the n_c images that are assigned to the class, and the variance is that around
    these means, averaged with that of the anchors in the same proportion. The distance of a mean
    from its anchor is not counted as variance: most of it is the gap between texts and images.
    Everything starts at the anchors. Arguments as for ``stata_head``.
    """
    features = unit_mean(views)
    n_classes, dim = head.weight.shape
    spread = np.full(dim, 1 / dim)

    def fit(moments: Moments, before: Gaussians) -> Gaussians:
        n = moments.counts[:, None] + anchor
        # With no anchor, a class that no image is assigned to keeps its mean.
        means = np.where(
            n > 0, (moments.sums + anchor * head.weight) / np.maximum(n, 1e-30), before.means
        )
        total = moments.scatter(means) + anchor * n_classes * spread
        return Gaussians(means, np.maximum(total / (moments.n + anchor * n_classes), 1e-9))

    start = Gaussians(head.weight.astype(np.float64), spread)
    return transduce(features, head, start, fit, neighbours=neighbours, iterations=iterations)
