"""OTTER (Shin et al., NeurIPS 2024): class frequencies, by optimal transport."""

import numpy as np
from scipy.special import softmax

from lpclip.methods.adapters.blocks import blocks, unit_mean, zero_shot_logits
from lpclip.methods.labelling.heads import softmax_in_place
from lpclip.methods.labelling.priors import estimated_frequencies
from lpclip.methods.labelling.structure import LARGEST, Structure, calibrated_temperature
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows

# The smoothing of the transport is halved so often, with so many steps of Sinkhorn's each time.
_LEVELS, _STEPS = 5, 40


def otter_head(views: Views, head: ZeroShotHead) -> tuple[FloatArray, FloatArray]:
    """Return zero-shot with a bias per class, with which its predictions have given frequencies.

    Images are transported to classes at a cost of -log p, every image with the same mass, every
    class with its frequency. The plan assigns an image to the class with the largest
    log p_c + g_c, g the potentials of the classes: a linear head. Frequencies are not known here;
    they are estimated (``estimated_frequencies``) from zero-shot's predictions at the temperature
    at which their mean confidence is the agreement of neighbours.

    Args:
        views: unit-length features of the pool, ``[V, N, D]``; their mean is used.
        head: zero-shot.

    Returns:
        Weight ``[C, D]``, that of ``head``, and bias ``[C]``, float32.
    """
    features = unit_mean(views)
    logits = zero_shot_logits(features, head)
    potentials = class_potentials(logits, _frequencies(features, logits))
    return head.weight, (head.bias + potentials).astype(np.float32)


def class_potentials(logits: Rows, frequencies: FloatArray) -> FloatArray:
    """Return the potentials of optimal transport from images to classes.

    Sinkhorn's steps with a smoothing that is halved from 1 down to 1/16, each level starting at the
    potentials of the one before.

    Args:
        logits: log-probabilities, up to a constant per image, ``[N, C]``.
        frequencies: of the classes, ``[C]``, sum to 1; a class gets at least half an image.

    Returns:
        ``[C]``, of mean 0.
    """
    n, n_classes = logits.shape
    target = np.maximum(frequencies, 1 / (2 * n))
    target = target / target.sum()
    potentials = np.zeros(n_classes)
    for level in range(_LEVELS):
        smoothing = 0.5**level
        for _ in range(_STEPS):
            share = np.zeros(n_classes)
            for rows in blocks(n, n_classes):
                part = (logits[rows] + potentials.astype(np.float32)) / np.float32(smoothing)
                share += softmax_in_place(part).sum(axis=0, dtype=np.float64)
            share = np.maximum(share / n, np.finfo(np.float32).tiny)
            potentials += smoothing * (np.log(target) - np.log(share))
        potentials -= potentials.mean()
    return potentials


def _frequencies(features: Rows, logits: Rows) -> FloatArray:
    """Estimate the class frequencies of a pool, of a large one by some of its images."""
    rows = np.linspace(0, len(features) - 1, min(len(features), LARGEST)).astype(np.int64)
    some = logits[rows]
    agreement = Structure(features[rows][None]).agreement(some.argmax(axis=1))
    temperature = calibrated_temperature([some[None]], agreement)
    return estimated_frequencies(softmax(some / temperature, axis=1))
