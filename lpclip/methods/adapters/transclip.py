"""TransCLIP without labels (Zanella et al., NeurIPS 2024): Gaussian classes, text, neighbours."""

import numpy as np

from lpclip.methods.adapters.blocks import blocks, unit_mean, zero_shot_logits
from lpclip.methods.adapters.transduction import Gaussians, Moments, transduce
from lpclip.methods.labelling.heads import softmax_in_place
from lpclip.storage.features import normalise
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray


def transclip_head(
    views: FloatArray,
    head: ZeroShotHead,
    *,
    neighbours: int = 3,
    iterations: int = 10,
    surest: int = 8,
) -> tuple[FloatArray, FloatArray]:
    """Return the linear head of TransCLIP's Gaussians and the text, without its neighbours.

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot.
        neighbours: nearest neighbours of the Laplacian term.
        iterations: updates of assignments and Gaussians.
        surest: the first mean of a class is that of so many images that zero-shot is surest of.

    Returns:
        Weight ``[C, D]`` and bias ``[C]``, float32, for the scale of ``head``.
    """
    gaussians, _ = transclip(
        views, head, neighbours=neighbours, iterations=iterations, surest=surest
    )
    return gaussians.with_text(head)


def transclip(
    views: FloatArray,
    head: ZeroShotHead,
    *,
    neighbours: int = 3,
    iterations: int = 10,
    surest: int = 8,
) -> tuple[Gaussians, FloatArray]:
    """Return TransCLIP's Gaussians, and its assignments of the pool, ``[N, C]``.

    Means have unit length; the first variance is 1 / D in every dimension. Arguments as for
    ``transclip_head``.
    """
    features = unit_mean(views)
    dim = features.shape[1]
    start = Gaussians(_surest_means(features, head, surest), np.full(dim, 1 / dim))
    return transduce(features, head, start, _fit, neighbours=neighbours, iterations=iterations)


def _fit(moments: Moments, before: Gaussians) -> Gaussians:
    means = normalise(moments.sums)
    # A class that no image is assigned to keeps its mean.
    empty = moments.counts < np.finfo(np.float32).tiny
    means[empty] = before.means[empty]
    # No dimension without any spread: a likelihood would be infinite.
    variance = np.maximum(moments.scatter(means) / moments.n, 1e-9)
    return Gaussians(means, variance)


def _surest_means(features: FloatArray, head: ZeroShotHead, surest: int) -> FloatArray:
    """Return the means, weighted by probability, of the images each class is surest of."""
    probabilities = softmax_in_place(zero_shot_logits(features, head))
    n, n_classes = probabilities.shape
    surest = min(surest, n)
    means = np.empty((n_classes, features.shape[1]))
    for classes in blocks(n_classes, n):
        part = probabilities[:, classes]
        top = np.argpartition(part, n - surest, axis=0)[n - surest :]
        weights = np.take_along_axis(part, top, axis=0).astype(np.float64)
        means[classes] = np.einsum("kc,kcd->cd", weights, features[top])
    # Where every probability is 0, the text is all there is.
    unseen = ~means.any(axis=1)
    means[unseen] = head.weight[unseen]
    return normalise(means)
