"""Logistic regression as a probe, with its inverse regularisation C chosen on held-out labels."""

import logging
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from lpclip.types import FloatArray, IntArray
from lpclip.utils.settings import Count, settings_class

log = logging.getLogger(__name__)


@settings_class
class Sweep:
    """Which values of C are tried, and how each is fitted."""

    log10_c_low: float = -6.0
    """Smallest inverse regularisation C that is tried, as a power of ten."""
    log10_c_high: float = 6.0
    """Largest inverse regularisation C that is tried, as a power of ten."""
    c_steps: Count = 25
    """How many values of C are tried, evenly spaced on the logarithmic scale."""
    max_iterations: Count = 1000
    """Iterations of L-BFGS, at most."""


def choose_c(
    features: FloatArray,
    labels: IntArray,
    splits: Iterable[tuple[IntArray, IntArray]],
    sweep: Sweep,
    *,
    by_accuracy: bool = True,
) -> float:
    """Choose the C that does best on the held-out parts together.

    Args:
        features: ``[N, D]``.
        labels: ``[N]``; every class is in every part that is learned.
        splits: places to learn and places to hold out.
        sweep: values to try.
        by_accuracy: the most accurate, of equal ones the likeliest; else the likeliest.
    """
    from sklearn.metrics import log_loss  # not at every start of Snakemake

    values = np.logspace(sweep.log10_c_low, sweep.log10_c_high, sweep.c_steps)
    right, loss = np.zeros(len(values)), np.zeros(len(values))
    n_held = 0
    for learned, held in splits:
        n_held += len(held)
        for step, c in enumerate(values):
            # Each from zero: the last one's weights may satisfy the tolerance without a step.
            model = _regression(features[learned], labels[learned], float(c), sweep)
            predicted = model.predict_proba(features[held])
            right[step] += np.sum(model.classes_[predicted.argmax(axis=1)] == labels[held])
            loss[step] += log_loss(labels[held], predicted, labels=model.classes_, normalize=False)
    # Equal accuracies are common and do not show how far off the probabilities are.
    best = np.lexsort((loss, -right))[0] if by_accuracy else loss.argmin()
    log.info("C = %.3g, accuracy %.4f on the held-out labels", values[best], right[best] / n_held)
    return float(values[best])


def fit_regression(
    features: FloatArray, labels: IntArray, c: float, sweep: Sweep
) -> tuple[FloatArray, FloatArray]:
    """Fit a regression on all images: weight ``[C, D]`` and bias ``[C]`` float32."""
    model = _regression(features, labels, c, sweep)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:  # of two classes the regression gives the difference of their logits
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight.astype(np.float32), bias.astype(np.float32)


def _regression(features: FloatArray, labels: IntArray, c: float, sweep: Sweep) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, max_iter=sweep.max_iterations)
    with warnings.catch_warnings():
        # The recipe bounds the iterations; with little regularisation they do not suffice.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)
