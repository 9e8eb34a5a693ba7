"""Small random pools for adapters: clusters, and texts that lean away from them."""

import numpy as np

from lpclip.storage.features import normalise
from lpclip.storage.text import ZeroShotHead


def pool(seed=0, n=40, n_classes=4, dim=8, scale=20.0, noise=0.6):
    """Return features ``[N, D]``, their classes ``[N]`` and a zero-shot head."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_classes, dim))
    labels = rng.integers(0, n_classes, n)
    features = normalise(centres[labels] + noise * rng.normal(size=(n, dim)) + 0.5)
    text = normalise(centres + 0.7 * rng.normal(size=centres.shape))
    names = tuple(f"class {number}" for number in range(n_classes))
    head = ZeroShotHead(text.astype(np.float32), 0.3, scale, names, {"model": "m", "weights": "w"})
    return features.astype(np.float32), labels, head


def softmax(values):
    """Return the softmax of one row."""
    powers = np.exp(np.asarray(values, dtype=np.float64) - np.max(values))
    return powers / powers.sum()


def zero_shot(features, head):
    """Return zero-shot's probabilities, image by image, float64."""
    text = head.weight.astype(np.float64)
    return np.array([softmax(head.scale * text @ x + head.bias) for x in features.astype(float)])
