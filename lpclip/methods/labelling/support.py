"""Which classes an unlabelled set has images of, as far as training goes.

A class without images must not be learned from: cross-entropy would teach the head that it does not
exist. Nothing here depends on the model's scale.
"""

import numpy as np

from lpclip.methods.labelling.heads import (
    mean_softmax,
    most_probable,
    one_head,
    repeated_logits,
)
from lpclip.methods.labelling.structure import Structure, calibrated_temperature
from lpclip.storage.stored_views import Views, take_images
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray
from lpclip.utils.memory import block_rows

# A class with less than this share of a typical class's support is probably absent.
_LITTLE = 0.05
# The support, likewise, that a class needs where half of the classes are probably absent, and the
# bounds where fewer or more are (docs/method.md).
_NEEDED, _LEAST, _MOST = 0.2, 0.02, 0.3


def supported_classes(views: Views, head: ZeroShotHead) -> BoolArray:
    """Return which classes an unlabelled set has images of, as far as training goes, ``[C]``.

    A class needs a share of the support that a typical class has. The share grows with the odds
    that a class is absent, which the classes of nearly no support reveal: where a few are rare, the
    rare ones are learned; where most are absent, the doubtful ones are not.

    Args:
        views: unit-length features ``[V, N, D]``.
        head: zero-shot.
    """
    support = class_support(views, head)
    total = support.sum()
    if not total > 0:
        return np.zeros(len(support), dtype=bool)
    # The support of the class of an average image: classes that are absent do not lower it.
    share = support / (np.square(support).sum() / total)
    absent = float(np.mean(share < _LITTLE))
    needed = _NEEDED * absent / (1 - absent)
    supported: BoolArray = share >= min(max(needed, _LEAST), _MOST)
    return supported


def class_support(views: Views, head: ZeroShotHead) -> FloatArray:
    """Count the images of each class that their neighbours confirm, ``[C]`` float64.

    The sum over images of the probability of the class, times its mean probability for the
    image's nearest neighbours. An image of another class that zero-shot confuses with this one
    seldom has neighbours that it confuses likewise, so absent classes get less than from
    predictions alone.

    Args:
        views: unit-length features ``[V, N, D]``.
        head: zero-shot.
    """
    n_classes = len(head.weight)
    structure = Structure(views, n_classes=n_classes)
    rows, nearest = structure.neighbours
    if nearest.size == 0:
        return np.zeros(n_classes)
    heads = one_head(head.scale * head.weight, head.bias, views.shape[1])
    agreement = structure.agreement(most_probable(views, heads, rows))
    temperature = calibrated_temperature(repeated_logits(views, heads, rows), agreement)
    if len(rows) < views.shape[1]:
        views = take_images(views, rows)
    heads = one_head(head.scale * head.weight, head.bias, len(rows)).scaled(1 / temperature)
    probabilities = mean_softmax(views, heads)
    # Neighbours are rows of the set; here they are places among the rows that are looked up.
    places = np.searchsorted(rows, nearest)
    support = np.zeros(n_classes)
    size = block_rows(8 * n_classes * (places.shape[1] + 1))
    for start in range(0, len(rows), size):
        block = slice(start, start + size)
        around = probabilities[places[block]].mean(axis=1)
        support += np.einsum("nc,nc->c", probabilities[block], around, dtype=np.float64)
    return support
