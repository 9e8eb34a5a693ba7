"""The share of a pool that is out-of-distribution (OOD), from one score per image.

Two components: images of the classes, whose scores have a mode and a tail towards lower scores
(a normal density with another width on either side of the mode), and below them OOD images
(normal). The posterior over the share is computed on a grid, with the other parameters at their
most probable values for each share. The priors were measured on the development sets.
"""

from dataclasses import dataclass

import numpy as np

from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import Rows, largest_of_rows, mean_over_rows, slices

SHARES = np.array([0, 0.02, 0.05, *np.arange(0.1, 0.71, 0.05), 0.8])
# That a pool is clean, before its scores are seen.
_CLEAN = 0.9
# Mean and standard deviation of: the log-ratio of the widths below and above the mode, the distance
# of OOD images' mean from the mode in mean widths, and the log-ratio of their width to it.
_SKEW, _DISTANCE, _WIDTH = (0.8, 0.5), (4.5, 1.7), (0.1, 0.4)
_BINS = 80
_BLOCK = 2048
_CREDIBLE = 0.9
_BOUNDS = ((-6.0, 6.0), (-3.0, 1.0), (-2.0, 4.0), (1.0, 9.0), (-1.0, 1.0))


@dataclass(frozen=True)
class OodShare:
    """How much of a pool is out-of-distribution.

    Attributes:
        share: posterior mean.
        low: lower end of the 90 % credible interval.
        high: upper end.
        in_distribution: probability that an image belongs to one of the classes, ``[N]``.
    """

    share: float
    low: float
    high: float
    in_distribution: FloatArray


def ood_scores(mean: Rows, cosines: Rows, probabilities: Rows, nearest: IntArray) -> FloatArray:
    """Return one score per image that is higher for images of the classes, ``[N]``.

    The largest cosine to a text, averaged over neighbours; the same after each class's mean is
    taken away; and the largest cosine to the mean image of a class. The weights were chosen on the
    development sets.
    """
    largest = _smooth(largest_of_rows(cosines)[1], nearest)
    average = (
        cosines.mean(axis=0)
        if isinstance(cosines, np.ndarray)
        else mean_over_rows(cosines).astype(cosines.dtype)
    )
    relative = np.empty(len(cosines), dtype=np.float32)
    for block in slices(len(cosines), _BLOCK):
        relative[block] = (cosines[block] - average).max(axis=1)
    relative = _smooth(relative, nearest)
    predicted, confidence = largest_of_rows(probabilities)
    sure = np.flatnonzero(confidence >= np.median(confidence))
    means = np.zeros((cosines.shape[1], mean.shape[1]), dtype=np.float32)
    for block in slices(len(sure), _BLOCK):
        rows = sure[block]
        np.add.at(means, predicted[rows], confidence[rows, None] * mean[rows])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    to_mean = np.empty(len(cosines), dtype=np.float32)
    for block in slices(len(cosines), _BLOCK):
        to_mean[block] = (mean[block] @ means.T).max(axis=1)
    parts = ((largest, 3.0), (relative, 1.0), (to_mean, 2.0))
    scores = np.zeros(len(cosines))
    for part, weight in parts:
        scores += weight * (part - part.mean()) / max(float(part.std()), 1e-9)
    return scores


def independent(scores: FloatArray, predicted: IntArray) -> float:
    """Return the number of independent scores that N scores are worth.

    Images of one class have similar scores, all the more as these are averaged over neighbours:
    N / (1 + (m - 1) r) for classes of m images whose scores correlate by r (the design effect of
    Kish 1965, r from an analysis of variance), but not less than 1.5 per class and not more than
    N / 4.

    Args:
        scores: ``[N]``.
        predicted: class of each image, ``[N]``.
    """
    n = len(scores)
    counts = np.bincount(predicted)
    sums = np.bincount(predicted, scores - scores.mean())[counts > 0]
    counts = counts[counts > 0]
    shares = counts / n
    least = float(1.5 * np.exp(-(shares * np.log(shares)).sum()))
    if not 1 < len(counts) < n:
        return min(n / 4, least)
    between = float((sums**2 / counts).sum())
    within = max(float(np.var(scores)) * n - between, 0.0) / (n - len(counts))
    between /= len(counts) - 1
    size = (n - (counts**2).sum() / n) / (len(counts) - 1)
    correlation = (between - within) / max(between + (size - 1) * within, 1e-12)
    correlation = float(np.clip(correlation, 0, 1))
    effective = float(n / (1 + (counts @ shares - 1) * correlation))
    return min(n / 4, max(effective, least))


def ood_share(scores: FloatArray, n_independent: float) -> OodShare:
    """Estimate the share of OOD images.

    Args:
        scores: ``[N]``, higher for images of the classes; only their order and relative distances
            count.
        n_independent: images that the scores count for: those of one class resemble each other.
    """
    spread = float(np.std(scores))
    if len(scores) < 2 or not spread > 1e-9:
        return OodShare(0.0, 0.0, float(SHARES[-1]), np.ones(len(scores), dtype=np.float32))
    values = (np.asarray(scores, dtype=np.float64) - np.median(scores)) / spread
    values = np.clip(values, -6.0, 6.0)
    counts, edges = np.histogram(values, _BINS)
    used = counts > 0
    centres = ((edges[1:] + edges[:-1]) / 2)[used]
    weights = counts[used] / len(values) * n_independent
    log_posterior, parameters = _profile(centres, weights)
    prior = np.full(len(SHARES), (1 - _CLEAN) / (len(SHARES) - 1))
    prior[0] = _CLEAN
    log_posterior += np.log(prior)
    posterior = np.exp(log_posterior - log_posterior.max())
    posterior /= posterior.sum()
    belongs: FloatArray = np.zeros(len(centres))
    for of_grid, p, chosen in zip(SHARES, posterior, parameters, strict=True):
        inside, outside = _log_densities(centres, chosen)
        odds = np.log(max(of_grid, 1e-12)) + outside - np.log1p(-of_grid) - inside
        belongs += p / (1 + np.exp(np.clip(odds, -50, 50)))
    # No image is less probable to belong than one of a lower score.
    belongs = np.minimum.accumulate(belongs[::-1])[::-1]
    share = float(posterior @ SHARES)
    tail = (1 - _CREDIBLE) / 2
    low, high = np.searchsorted(np.cumsum(posterior)[:-1], [tail, 1 - tail])
    return OodShare(
        share=share,
        low=min(float(SHARES[low]), share),
        high=max(float(SHARES[high]), share),
        in_distribution=np.interp(values, centres, belongs).astype(np.float32),
    )


def _profile(centres: FloatArray, weights: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """Return for each share the largest log-posterior, and the parameters that reach it.

    Each share starts from the parameters of the one before, upwards and downwards, and the better
    of the two is kept.
    """
    from scipy.optimize import minimize  # not at every start of Snakemake

    best = np.full(len(SHARES), -np.inf)
    parameters: list[FloatArray] = [np.zeros(5)] * len(SHARES)
    upwards = list(range(len(SHARES)))
    for order, mode in ((upwards, 0.3), (upwards[::-1], float(np.quantile(centres, 0.8)))):
        start = np.array([mode, np.log(0.5), _SKEW[0], _DISTANCE[0], _WIDTH[0]])
        for i in order:
            found = minimize(
                _negative_log_posterior,
                start,
                args=(float(SHARES[i]), centres, weights),
                method="L-BFGS-B",
                bounds=_BOUNDS,
                options={"maxiter": 40},
            )
            start = found.x
            if -found.fun > best[i]:
                best[i], parameters[i] = -found.fun, found.x
    return best, parameters


def _negative_log_posterior(
    chosen: FloatArray, share: float, centres: FloatArray, weights: FloatArray
) -> float:
    inside, outside = _log_densities(centres, chosen)
    skew, distance, width = chosen[2:]
    log_prior = _log_normal(skew, _SKEW)
    density = inside
    if share:
        density = np.logaddexp(np.log1p(-share) + inside, np.log(share) + outside)
        log_prior += _log_normal(distance, _DISTANCE) + _log_normal(width, _WIDTH)
    return -float(weights @ density) - log_prior


def _log_densities(values: FloatArray, chosen: FloatArray) -> tuple[FloatArray, FloatArray]:
    mode, log_scale, skew, distance, log_width = chosen
    scale = np.exp(log_scale)
    below = 2 * scale / (1 + np.exp(-skew))
    above = 2 * scale - below
    side = np.where(values < mode, below, above)
    inside = -0.5 * ((values - mode) / side) ** 2 - np.log(scale)
    width = np.exp(log_width) * scale
    outside = -0.5 * ((values - mode + distance * scale) / width) ** 2 - np.log(width)
    return inside, outside


def _log_normal(value: float, prior: tuple[float, float]) -> float:
    return -0.5 * ((value - prior[0]) / prior[1]) ** 2


def _smooth(values: FloatArray, nearest: IntArray) -> FloatArray:
    """Average over an image and its neighbours."""
    total: FloatArray = (values + values[nearest].sum(axis=1)) / (1 + nearest.shape[1])
    return total
