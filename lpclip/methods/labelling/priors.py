"""Priors: class frequencies that are assumed or estimated, and predictions corrected by them."""

import numpy as np

from lpclip.methods.labelling.settings import Prior
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows, Scratch, largest_of_rows, mean_over_rows, parts

SINKHORN_STEPS = 100
_SMALLEST = np.finfo(np.float32).tiny


def apply_prior(probabilities: Rows, prior: Prior, *, radius: float = 0.35) -> Rows:
    """Correct predictions by assumed or estimated class frequencies.

    Args:
        probabilities: ``[..., N, C]``, rows sum to 1; overwritten if they are in a file.
        prior: ``none``; ``align`` to equal frequencies; ``sinkhorn``: equal frequencies to the
            letter; ``auto``: align to ``estimated_frequencies``.
        radius: of ``auto``.

    Returns:
        ``[..., N, C]``, rows sum to 1, of the same type.

    Alignment is one step of ReMixMatch (Berthelot et al. 2020): p ∝ p · target / mean(p).
    Balanced assignment scales rows and columns in turn until every class has the same share
    (Sinkhorn and Knopp 1967; for self-labelling Asano et al. 2020).

    >>> apply_prior(np.array([[0.9, 0.1], [0.6, 0.4]]), "align").round(2).tolist()
    [[0.75, 0.25], [0.33, 0.67]]
    """
    if prior == "none":
        return probabilities
    target: FloatArray | np.float64 = (
        estimated_frequencies(probabilities, radius=radius)[..., None, :]
        if prior == "auto"
        else np.float64(1 / probabilities.shape[-1])
    )
    steps = SINKHORN_STEPS if prior == "sinkhorn" else 1
    if isinstance(probabilities, Scratch):
        return _correct_file(probabilities, target, steps)
    # A class that no sample can be in has no share to correct.
    corrected = probabilities
    for step in range(steps):
        share = corrected.mean(axis=-2, keepdims=True, dtype=np.float64)
        factor = (target / np.maximum(share, _SMALLEST)).astype(corrected.dtype)
        # A second array of this size, and no third one.
        corrected = np.multiply(corrected, factor, out=corrected if step else None)
        corrected /= np.maximum(corrected.sum(axis=-1, keepdims=True), _SMALLEST)
    return corrected


def _correct_file(probabilities: Scratch, target: FloatArray | np.float64, steps: int) -> Scratch:
    """Correct predictions in a file: the factors of all steps are one number per class.

    A row is divided by its sum after every step, so dividing once at the end gives the same.
    """
    factor = np.ones(probabilities.shape[1])
    for _ in range(steps):
        share = np.zeros_like(factor)
        for _, part in parts(probabilities):
            share += _scaled(part, factor).sum(axis=0, dtype=np.float64)
        share /= len(probabilities)
        seen = share > _SMALLEST
        factor[seen] *= np.broadcast_to(target, (1, len(factor)))[0, seen] / share[seen]
    for rows, part in parts(probabilities):
        probabilities[rows] = _scaled(part, factor)
    return probabilities


def _scaled(part: FloatArray, factor: FloatArray) -> FloatArray:
    """Return rows times a factor for each class, divided by their sums."""
    corrected = part * factor.astype(part.dtype)
    corrected /= np.maximum(corrected.sum(axis=-1, keepdims=True), _SMALLEST)
    return corrected


def estimated_frequencies(probabilities: Rows, *, radius: float = 0.35) -> FloatArray:
    """Estimate class frequencies: the most even ones that the predictions' uncertainty allows.

    Predicted frequencies are off by no more than the predictions' errors, and by less where
    errors cancel: by about ``radius`` times the share of errors, in total variation. Of all
    frequencies that near, those with the largest entropy assume the least. A confident model keeps
    its frequencies; those of an unconfident one are evened out.

    Args:
        probabilities: ``[..., N, C]``, rows sum to 1; 1 - mean confidence is the share of errors.
        radius: total variation that is allowed, as a fraction of the share of errors.

    Returns:
        ``[..., C]``, sums to 1.

    >>> sure = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> estimated_frequencies(sure).tolist()
    [0.75, 0.25]
    >>> unsure = np.array([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4], [0.4, 0.6]])
    >>> estimated_frequencies(unsure).tolist()
    [0.5, 0.5]
    """
    if isinstance(probabilities, Scratch):
        frequencies = mean_over_rows(probabilities)
    else:
        frequencies = probabilities.mean(axis=-2, dtype=np.float64)
    errors = 1 - largest_of_rows(probabilities)[1].mean(axis=-1, dtype=np.float64)
    flat = [
        most_even(row, radius * float(error))
        for row, error in zip(
            frequencies.reshape(-1, frequencies.shape[-1]), errors.reshape(-1), strict=True
        )
    ]
    return np.stack(flat).reshape(frequencies.shape)


def most_even(frequencies: FloatArray, distance: float) -> FloatArray:
    """Return the distribution of largest entropy within a total variation of another.

    The largest frequencies are cut to one level and the smallest raised to another, so that both
    move ``distance`` of mass.

    Args:
        frequencies: ``[C]``, sums to 1.
        distance: total variation, 0..1.

    >>> most_even(np.array([0.5, 0.3, 0.1, 0.1]), 0.1).round(3).tolist()
    [0.4, 0.3, 0.15, 0.15]
    """
    even = 1 / len(frequencies)
    values = np.asarray(frequencies, dtype=np.float64)
    if np.maximum(values - even, 0).sum() <= distance:
        return np.full(len(values), even)
    # Fill the lowest up to one level; with the signs reversed, cut the highest to another.
    low = _water_level(values, distance)
    high = -_water_level(-values, distance)
    return np.clip(values, low, high)


def _water_level(values: FloatArray, amount: float) -> float:
    """Return the level at which raising all lower values to it takes ``amount``."""
    ordered = np.sort(values)
    counts = np.arange(1, len(ordered) + 1)
    levels = (np.cumsum(ordered) + amount) / counts
    return float(levels[np.flatnonzero(levels >= ordered)[-1]])
