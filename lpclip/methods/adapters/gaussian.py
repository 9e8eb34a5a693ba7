"""Gaussian discriminant by expectation maximisation, from zero-shot's predictions on."""

import numpy as np

from lpclip.methods.adapters.blocks import (
    as_views,
    logits_of,
    softmax,
    unit_mean,
    zero_shot_logits,
)
from lpclip.methods.labelling.structure import fit_gaussians
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray


def gaussian_head(
    views: Views, head: ZeroShotHead, *, iterations: int = 10
) -> tuple[FloatArray, FloatArray]:
    """Return the linear discriminant of Gaussian classes that were fitted without labels.

    Gaussians with one full, shrunk covariance (``fit_gaussians``) are fitted to zero-shot's
    predictions, then to their own posteriors, and so on. All classes are equally likely:
    frequencies that follow the predictions would let common classes swallow rare ones.

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot, the start.
        iterations: fits of the Gaussians.

    Returns:
        Weight ``[C, D]`` and bias ``[C]``, float32, for the scale of ``head``.
    """
    features = unit_mean(views)
    weight, bias = head.weight, np.full(len(head.weight), head.bias, dtype=np.float32)
    predicted = softmax(zero_shot_logits(features, head))
    for _ in range(iterations):
        centre, towards, distance = fit_gaussians(as_views(features), predicted)
        weight = (towards / head.scale).astype(np.float32)
        bias = (-towards @ centre - distance / 2).astype(np.float32)
        predicted = softmax(logits_of(features, weight, bias, scale=head.scale))
    return weight, bias
