"""Scores that separate in-distribution from OOD images; higher means more in-distribution.

All but MCM work on the probe's scaled logits, the numbers that its softmax takes. Energy
and max logit depend on that scale, so scores at different temperatures are not comparable.
"""

import numpy as np

from lpclip.types import FloatArray

_COSINE_TOLERANCE = 1e-2  # unit vectors kept in float16 miss 1 by less


def msp(logits: FloatArray) -> FloatArray:
    """Largest softmax probability (Hendrycks & Gimpel 2017).

    Args:
        logits: [N, C], scaled.

    Returns:
        [N], in (0, 1].

    >>> msp(np.array([[0.0, 0.0]])).tolist()
    [0.5]
    """
    # exp(max - logsumexp), written without a division of large numbers.
    score: FloatArray = 1 / _shifted_exponentials(logits).sum(axis=1)
    return score


def max_logit(logits: FloatArray) -> FloatArray:
    """Largest logit (Hendrycks et al. 2022).

    Args:
        logits: [N, C], scaled.

    Returns:
        [N].

    >>> max_logit(np.array([[1.0, 3.0]])).tolist()
    [3.0]
    """
    largest: FloatArray = _rows(logits).max(axis=1)
    return largest


def energy(logits: FloatArray, *, temperature: float = 1.0) -> FloatArray:
    """Negative free energy, T * ln sum_c exp(logit_c / T)  (Liu et al. 2020).

    Args:
        logits: [N, C], scaled.
        temperature: T > 0.

    Returns:
        [N].

    >>> energy(np.array([[0.0, 0.0]])).round(6).tolist()
    [0.693147]
    """
    scaled = _rows(logits) / _positive(temperature, "temperature")
    log_sum: FloatArray = scaled.max(axis=1) + np.log(_shifted_exponentials(scaled).sum(axis=1))
    return temperature * log_sum


def entropy(logits: FloatArray) -> FloatArray:
    """Negative entropy of the softmax in nats: 0 is certain, -ln C is uniform.

    Args:
        logits: [N, C], scaled.

    Returns:
        [N], in [-ln C, 0].

    >>> entropy(np.array([[0.0, 0.0]])).round(6).tolist()
    [-0.693147]
    """
    exponentials = _shifted_exponentials(logits)
    total = exponentials.sum(axis=1)
    shifted = _rows(logits) - _rows(logits).max(axis=1, keepdims=True)
    # sum_c p_c ln p_c with ln p_c = shifted_c - ln total; never takes the logarithm of 0.
    score: FloatArray = (exponentials * shifted).sum(axis=1) / total - np.log(total)
    return np.minimum(score, 0.0)


def mcm(cosines: FloatArray, *, tau: float = 1.0) -> FloatArray:
    """Maximum concept matching: the largest of softmax(cosine / tau)  (Ming et al. 2022).

    Args:
        cosines: [N, C], between unit image features and unit class vectors, not scaled.
        tau: temperature > 0; the paper uses 1.

    Returns:
        [N], in (0, 1].

    Raises:
        ValueError: a value lies outside [-1, 1], as when scaled logits are passed.

    >>> mcm(np.array([[0.3, 0.3, 0.3, 0.3]])).tolist()
    [0.25]
    """
    values = _rows(cosines)
    if values.size and not np.abs(values).max() <= 1 + _COSINE_TOLERANCE:
        raise ValueError("expected cosines in [-1, 1]; scaled logits are not what MCM takes")
    return msp(values / _positive(tau, "tau"))


def _shifted_exponentials(logits: FloatArray) -> FloatArray:
    values = _rows(logits)
    exponentials: FloatArray = np.exp(values - values.max(axis=1, keepdims=True))
    return exponentials


def _rows(values: FloatArray) -> FloatArray:
    rows: FloatArray = np.asarray(values, np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"expected an array of shape [N, C] with C > 0, got {list(rows.shape)}")
    if not np.isfinite(rows).all():
        raise ValueError("expected finite numbers: no nan, and no overflow to infinity")
    return rows


def _positive(value: float, name: str) -> float:
    if not value > 0:
        raise ValueError(f"expected {name} > 0, got {value}")
    return value
