"""TransCLIP without labels (Zanella et al., NeurIPS 2024): Gaussian classes, text, neighbours."""

from collections.abc import Iterator

import numpy as np

from lpclip.methods.adapters.blocks import blocks, softmax, unit_mean, zero_shot_logits
from lpclip.methods.adapters.transduction import Gaussians, Moments, transduce
from lpclip.storage.features import normalise
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import Rows, parts


def transclip_head(
    views: Views,
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
    views: Views,
    head: ZeroShotHead,
    *,
    neighbours: int = 3,
    iterations: int = 10,
    surest: int = 8,
) -> tuple[Gaussians, Rows]:
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


def _surest_means(features: Rows, head: ZeroShotHead, surest: int) -> FloatArray:
    """Return the means, weighted by probability, of the images each class is surest of."""
    probabilities = softmax(zero_shot_logits(features, head))
    n, n_classes = probabilities.shape
    surest = min(surest, n)
    means = np.empty((n_classes, features.shape[1]))
    for classes, top, weights in _surest(probabilities, surest, features.shape[1]):
        images = features[top.ravel()].reshape(*top.shape, -1)
        means[classes] = np.einsum("kc,kcd->cd", weights.astype(np.float64), images)
    # Where every probability is 0, the text is all there is.
    unseen = ~means.any(axis=1)
    means[unseen] = head.weight[unseen]
    return normalise(means)


def _surest(probabilities: Rows, k: int, dim: int) -> Iterator[tuple[slice, IntArray, FloatArray]]:
    """Yield classes, the k images that each is surest of and their probabilities, ``[k, c]``."""
    n, n_classes = probabilities.shape
    if isinstance(probabilities, np.ndarray):
        for classes in blocks(n_classes, n):
            part = probabilities[:, classes]
            own = np.argpartition(part, n - k, axis=0)[n - k :]
            yield classes, own, np.take_along_axis(part, own, axis=0)
        return
    top: IntArray = np.zeros((0, n_classes), dtype=np.int64)
    weights: FloatArray = np.zeros((0, n_classes), dtype=np.float32)
    for rows, part in parts(probabilities):
        images = np.arange(rows.start, rows.stop)[:, None]
        top = np.concatenate([top, np.broadcast_to(images, part.shape)])
        weights = np.concatenate([weights, part])
        surest = np.argpartition(weights, -min(k, len(weights)), axis=0)[-k:]
        top = np.take_along_axis(top, surest, axis=0)
        weights = np.take_along_axis(weights, surest, axis=0)
    for classes in blocks(n_classes, k * dim):
        yield classes, top[:, classes], weights[:, classes]
