"""Heads that learned some of the classes, as heads of all classes.

The other classes keep their text features, and their standing against those that were learned:
training makes all logits of its classes larger, so they are moved until they are, on average over
the unlabelled images, as large as zero-shot's. An image of another class then reaches it as it did.
"""

from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from lpclip.methods.labelling.heads import logits_by_block, one_head
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray, IntArray


def with_other_classes(
    learned: Probes, head: ZeroShotHead, classes: IntArray, views: FloatArray
) -> Probes:
    """Return probes of all classes.

    Args:
        learned: probes of some classes.
        head: zero-shot, of all classes.
        classes: those that were learned.
        views: unit-length features of the unlabelled set, ``[V, N, D]``.
    """
    n_rounds, n_seeds = learned.bias.shape[:2]
    weight = np.broadcast_to(head.weight, (n_rounds, n_seeds, *head.weight.shape)).copy()
    bias = np.full(weight.shape[:-1], head.bias, dtype=np.float32)
    before = total_logit(head.scale * learned.weight[0, 0], learned.bias[0, 0], views)
    for round in range(1, n_rounds):
        for seed_index in range(n_seeds):
            own = learned.weight[round, seed_index], learned.bias[round, seed_index]
            after = total_logit(head.scale * own[0], own[1], views)
            weight[round, seed_index, classes] = own[0]
            bias[round, seed_index, classes] = own[1] - (after - before)
    index = learned.pseudo_labels
    return replace(
        learned,
        weight=weight,
        bias=bias,
        class_names=head.class_names,
        pseudo_labels=None if index is None else np.where(index < 0, index, classes[index]),
    )


def total_logit(weight: FloatArray, bias: FloatArray, views: FloatArray) -> float:
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
    return total / views[..., 0].size
