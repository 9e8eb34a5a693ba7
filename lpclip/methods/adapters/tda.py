"""TDA (Karmanov et al., CVPR 2024): a stream of images, and caches of those CLIP was sure of."""

from dataclasses import dataclass

import numpy as np

from lpclip.methods.adapters.blocks import blocks, unit_mean, zero_shot_logits
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows

# Published for ImageNet, used for every set: shots, weight alpha and sharpness beta of each cache.
POSITIVE = (3, 2.0, 5.0)
NEGATIVE = (2, 0.117, 1.0)
# Entropies of images that enter the negative cache, and the probability from which on such an image
# counts as evidence against a class. The published thresholds are for entropies in nats over the
# binary logarithm of the number of classes, of which the largest is 0.69.
UNSURE = (0.2, 0.5)
NEGATIVE_FROM = 0.03


@dataclass(frozen=True)
class _Cache:
    """The surest images of each class.

    Attributes:
        keys: their features, ``[C, K, D]``.
        entropy: of their predictions, ``[C, K]``; infinite in an empty place.
        sharpness: beta.
    """

    keys: FloatArray
    entropy: FloatArray
    sharpness: float

    @classmethod
    def empty(cls, n_classes: int, shots: int, dim: int, sharpness: float) -> "_Cache":
        keys = np.zeros((n_classes, shots, dim), dtype=np.float32)
        return cls(keys, np.full((n_classes, shots), np.inf), sharpness)

    def add(self, predicted: int, entropy: float, feature: FloatArray) -> int | None:
        """Put an image in the place of the least sure one; return the place, None for none."""
        place = int(self.entropy[predicted].argmax())
        if entropy >= self.entropy[predicted, place]:
            return None
        self.keys[predicted, place] = feature
        self.entropy[predicted, place] = entropy
        return place

    def affinity(self, feature: FloatArray) -> FloatArray:
        """Return exp(-beta (1 - cosine)) of every key, 0 in empty places, ``[C, K]``."""
        # One product of a matrix and a vector, which is what takes the time.
        cosines = (self.keys.reshape(-1, len(feature)) @ feature).reshape(self.entropy.shape)
        near: FloatArray = np.exp(-self.sharpness * (1 - cosines))
        near[np.isinf(self.entropy)] = 0
        return near


def tda_probabilities(views: Views, head: ZeroShotHead) -> Rows:
    """Return TDA's predictions of the pool's images, as a stream in the order of their rows.

    Each image first enters the positive cache of the class that zero-shot predicts, if it is among
    the surest so far, and the negative one if it is neither sure nor unsure; then its prediction is

        softmax(logits + alpha A(x Q^T) L - alpha' A'(x Q'^T) L'),   A(c) = exp(-beta (1 - c)),

    keys Q and Q', L the classes of the positive keys, L' those that a negative key gives at least
    0.03.

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot.

    Returns:
        Probabilities ``[N, C]`` float32.
    """
    features = unit_mean(views)
    n_classes, dim = head.weight.shape
    (shots, alpha, beta), (few, weight, flat) = POSITIVE, NEGATIVE
    positive = _Cache.empty(n_classes, shots, dim, beta)
    negative = _Cache.empty(n_classes, few, dim, flat)
    # The classes that each negative key counts against.
    against = np.zeros((n_classes, few, n_classes), dtype=np.float32)
    logits = zero_shot_logits(features, head)
    unit = np.log2(max(n_classes, 2))
    for rows in blocks(*logits.shape):
        part, own = logits[rows], features[rows]
        for row, feature in zip(part, own, strict=True):
            probabilities = _softmax(row)
            entropy = -float((probabilities * np.log(np.maximum(probabilities, 1e-30))).sum())
            predicted = int(row.argmax())
            positive.add(predicted, entropy, feature)
            if UNSURE[0] < entropy / unit < UNSURE[1]:
                place = negative.add(predicted, entropy, feature)
                if place is not None:
                    against[predicted, place] = probabilities > NEGATIVE_FROM
            changed = row + alpha * positive.affinity(feature).sum(axis=1)
            near = negative.affinity(feature).astype(np.float32)
            changed -= weight * (near.ravel() @ against.reshape(-1, n_classes))
            row[:] = _softmax(changed)
        logits[rows] = part
    return logits


def _softmax(logits: FloatArray) -> FloatArray:
    powers: FloatArray = np.exp(logits - logits.max())
    powers /= powers.sum()
    return powers
