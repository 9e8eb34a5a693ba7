"""Logistic regression on more images than memory: scikit-learn's objective, block by block.

Minimises the mean cross-entropy of softmax(X W' + b) plus |W|^2 / (2 C N) by L-BFGS from zero, with
scikit-learn's criteria to stop.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, softmax

from lpclip.storage.stored_views import View, some_rows
from lpclip.types import FloatArray, IntArray
from lpclip.utils.memory import block_rows, slices

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LargeRegression:
    """A fitted regression.

    Attributes:
        classes: class of each row of the weight, ascending, ``[C]``.
        weight: ``[C, D]`` float64, for features times ``scale``.
        bias: ``[C]`` float64.
        scale: factor of the features.
    """

    classes: IntArray
    weight: FloatArray
    bias: FloatArray
    scale: float

    def head(self) -> tuple[FloatArray, FloatArray]:
        """Return weight ``[C, D]`` and bias ``[C]`` float32."""
        return self.weight.astype(np.float32), self.bias.astype(np.float32)

    def held_out(self, features: View, labels: IntArray) -> tuple[int, float]:
        """Return how many images are right, and the sum of their cross-entropies."""
        right, loss = 0, 0.0
        places = np.searchsorted(self.classes, labels)
        for rows in slices(len(labels), _size(self.weight)):
            logits = self.scale * features[rows] @ self.weight.T + self.bias
            right += int((logits.argmax(axis=1) == places[rows]).sum())
            log_probabilities = log_softmax(logits, axis=1)
            loss -= float(log_probabilities[np.arange(len(logits)), places[rows]].sum())
        return right, loss


def fit_large(
    features: View, labels: IntArray, c: float, *, scale: float, max_iterations: int
) -> LargeRegression:
    """Fit a regression.

    Args:
        features: ``[N, D]``, in memory or on the disk.
        labels: ``[N]``, two classes or more.
        c: inverse regularisation.
        scale: factor of the features.
        max_iterations: of L-BFGS, at most.
    """
    from scipy.optimize import minimize  # not at every start of Snakemake

    classes, places = np.unique(labels, return_inverse=True)
    shape = len(classes), features.shape[1] + 1
    n = len(labels)

    def loss_and_gradient(parameters: FloatArray) -> tuple[float, FloatArray]:
        weight, bias = parameters.reshape(shape)[:, :-1], parameters.reshape(shape)[:, -1]
        gradient = np.zeros(shape)
        loss = float(np.square(weight).sum()) / (2 * c * n)
        gradient[:, :-1] = weight / (c * n)
        for rows in slices(n, _size(weight)):
            block = scale * features[rows]
            logits = block @ weight.astype(np.float32).T + bias.astype(np.float32)
            own = np.arange(len(block)), places[rows]
            loss -= float(log_softmax(logits, axis=1)[own].sum(dtype=np.float64)) / n
            error = softmax(logits, axis=1)
            error[own] -= 1
            gradient[:, :-1] += error.T @ block / n
            gradient[:, -1] += error.sum(axis=0, dtype=np.float64) / n
        return loss, gradient.ravel()

    found = minimize(
        loss_and_gradient,
        np.zeros(shape).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": max_iterations,
            "maxls": 50,
            "gtol": 1e-4,
            "ftol": 64 * np.finfo(np.float64).eps,
        },
    )
    parameters = found.x.reshape(shape)
    return LargeRegression(classes, parameters[:, :-1], parameters[:, -1], scale)


def choose_large(
    features: View,
    labels: IntArray,
    split: tuple[IntArray, IntArray],
    values: FloatArray,
    fit: Callable[[View, IntArray, float], LargeRegression],
) -> float:
    """Return the C that is most accurate on held-out images, of equal ones the likeliest.

    Args:
        features: ``[N, D]``.
        labels: ``[N]``.
        split: places to learn and places to hold out.
        values: of C.
        fit: fits features and labels with a C.
    """
    learned, held = map(np.sort, split)
    some, rest = some_rows(features, learned), some_rows(features, held)
    found = [fit(some, labels[learned], float(c)).held_out(rest, labels[held]) for c in values]
    right, loss = np.array(found).T
    best = np.lexsort((loss, -right))[0]
    log.info(
        "C = %.3g, accuracy %.4f on the held-out labels", values[best], right[best] / len(held)
    )
    return float(values[best])


def _size(weight: FloatArray) -> int:
    """Return how many rows are computed together."""
    return block_rows(4 * 4 * len(weight))
