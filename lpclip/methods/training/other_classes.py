"""Heads that learned some of the classes, as heads of all classes.

The other classes keep their text features, and their standing against those that were learned:
training makes all logits of its classes larger, so they are moved until they are, on average over
the unlabelled images, as large as zero-shot's. An image of another class then reaches it as it did.
"""

from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from lpclip.methods.labelling.heads import logits_by_block, one_head
from lpclip.methods.labelling.part import Part
from lpclip.storage.probes import Probes
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray, IntArray


def complete(learned: Probes, head: ZeroShotHead, part: Part, views: Views) -> Probes:
    """Return probes of all classes.

    Args:
        learned: probes of a part of the classes, trained on a part of the samples.
        head: zero-shot, of all classes.
        part: what was learned.
        views: unit-length features of the samples that were learned, ``[V, M, D]``.
    """
    index, selected = learned.pseudo_labels, learned.selected
    if index is not None and selected is not None:
        index = part.fill(np.where(index < 0, index, part.classes[index]), -1)
        selected = part.fill(selected, False)
    weight, bias = learned.weight, learned.bias
    if len(part.classes) < part.n_classes:
        weight, bias = _with_others(weight, bias, head, part.classes, views)
    return replace(
        learned,
        weight=weight,
        bias=bias,
        class_names=head.class_names,
        pseudo_labels=index,
        selected=selected,
    )


def _with_others(
    weight: FloatArray,
    bias: FloatArray,
    head: ZeroShotHead,
    classes: IntArray,
    views: Views,
) -> tuple[FloatArray, FloatArray]:
    """Return weights ``[R, S, C, D]`` and biases ``[R, S, C]`` of all classes."""
    full = np.broadcast_to(head.weight, (*bias.shape[:2], *head.weight.shape)).copy()
    full_bias = np.full(full.shape[:-1], head.bias, dtype=np.float32)
    before = total_logit(head.scale * weight[0, 0], bias[0, 0], views)
    for round in range(1, len(weight)):
        for seed_index in range(weight.shape[1]):
            own, own_bias = weight[round, seed_index], bias[round, seed_index]
            after = total_logit(head.scale * own, own_bias, views)
            full[round, seed_index, classes] = own
            full_bias[round, seed_index, classes] = own_bias - (after - before)
    return full, full_bias


def total_logit(weight: FloatArray, bias: FloatArray, views: Views) -> float:
    """Return the logarithm of the sum of exponentials of logits, averaged over views and samples.

    Args:
        weight: ``[C, D]``.
        bias: ``[C]``.
        views: ``[V, N, D]``.
    """
    heads = one_head(weight, bias, views.shape[1])
    total = 0.0
    for _, logits in logits_by_block(views, heads):
        total += float(logsumexp(logits, axis=-1).sum(dtype=np.float64))
    n_views, n_samples, _ = map(int, views.shape)
    return total / (n_views * n_samples)
