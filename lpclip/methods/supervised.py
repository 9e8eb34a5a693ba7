"""Supervised reference: logistic regression on the labelled features, the CLIP authors' recipe."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from lpclip import cache
from lpclip.data import UNLABELLED
from lpclip.errors import LpclipError
from lpclip.methods import Inputs, ZeroShotHead
from lpclip.probes import Probes
from lpclip.progress import progress
from lpclip.rounds import Round, rounds_table
from lpclip.types import FloatArray, IntArray

log = logging.getLogger(__name__)

NEEDS: tuple[str, ...] = ("clean", "samples")


@dataclass(frozen=True)
class Settings:
    """How the regression is fitted.

    Attributes:
        log10_c_low: smallest inverse regularisation that is tried, as a power of ten.
        log10_c_high: largest.
        c_steps: how many values, evenly spaced between them.
        validation: share of the labels on which the value is chosen; then all are fitted.
        max_iterations: of L-BFGS.
    """

    log10_c_low: float = -6.0
    log10_c_high: float = 6.0
    c_steps: int = 25
    validation: float = 0.2
    max_iterations: int = 1000


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Round 0 is the zero-shot head, round 1 the regression.

    Unit-length features are multiplied with the model's scale before the fit, so that the
    coefficients are weights of a probe. The inverse regularisation C is chosen by accuracy, of
    equal ones by likelihood, on a stratified part of the training labels, which the seed draws
    (Radford et al. 2021, A.3). Images without a label (foreign ones of a pool) are left out.
    """
    features = cache.read_features(inputs.path("clean"), "clean", expected=head.expected)
    samples = cache.read_samples(inputs.path("samples"), labels=True)
    labels = samples["label"].to_numpy()
    n_classes = len(head.class_names)
    labelled = labels != UNLABELLED
    if not labelled.all():
        log.info("left out %d of %d images, which have no label", (~labelled).sum(), len(labels))
        features, labels = features[labelled], labels[labelled]
    _check_labels(inputs, labels, n_classes)
    zero_weight, zero_bias = head.as_round(len(seeds))
    fitted = []
    with progress(total=len(seeds), unit="seeds", label="train") as shown:
        for seed in seeds:
            fitted.append(_fit_one(features * head.scale, labels, settings, seed))
            shown.add(1)
    weight = np.stack([zero_weight, np.stack([weight for weight, _ in fitted])])
    bias = np.stack([zero_bias, np.stack([bias for _, bias in fitted])])
    return Probes(
        weight=weight,
        bias=bias,
        scale=head.scale,
        class_names=head.class_names,
        seeds=tuple(seeds),
        rounds=rounds_table([Round(number, seed) for number in (0, 1) for seed in seeds]),
        n_labels=len(labels),
    )


def _check_labels(inputs: Inputs, labels: IntArray, n_classes: int) -> None:
    path = inputs.path("samples")
    if not len(labels):
        raise LpclipError(
            f"{path}: a supervised method needs labels, but no image has one. "
            "Remove the method, or give a labelled adapt set."
        )
    missing = np.setdiff1d(np.arange(n_classes), labels)
    if len(missing) or labels.max() >= n_classes:
        raise LpclipError(
            f"{path}: labels {labels.min()} to {labels.max()} do not cover the benchmark's "
            f"{n_classes} classes, all of which a supervised method needs."
        )
    counts = np.bincount(labels)
    if counts.min() < 2:
        raise LpclipError(
            f"{path}: class {counts.argmin()} has one image; a supervised method needs two of "
            "every class, one to fit and one to choose C by."
        )


def _fit_one(
    features: FloatArray, labels: IntArray, settings: Settings, seed: int
) -> tuple[FloatArray, FloatArray]:
    train, held = train_test_split(
        np.arange(len(labels)), test_size=settings.validation, stratify=labels, random_state=seed
    )
    best, best_c = (-1.0, 0.0), 1.0
    start = None
    for c in np.logspace(settings.log10_c_low, settings.log10_c_high, settings.c_steps):
        model = _regression(features[train], labels[train], float(c), settings, start)
        start = (model.coef_, model.intercept_)
        accuracy = float(model.score(features[held], labels[held]))
        loss = float(log_loss(labels[held], model.predict_proba(features[held])))
        # Equal accuracies are common and say nothing of how far the probabilities are off.
        if (accuracy, -loss) > best:
            best, best_c = (accuracy, -loss), float(c)
    log.info("seed %d: C = %.3g, accuracy %.4f on the held-out labels", seed, best_c, best[0])
    model = _regression(features, labels, best_c, settings, None)
    coef, intercept = model.coef_, model.intercept_
    if len(coef) == 1:  # of two classes the regression gives the difference of their logits
        coef, intercept = (
            np.concatenate([-coef, coef]) / 2,
            np.concatenate([-intercept, intercept]) / 2,
        )
    return coef.astype(np.float32), intercept.astype(np.float32)


def _regression(
    features: FloatArray,
    labels: IntArray,
    c: float,
    settings: Settings,
    start: tuple[FloatArray, FloatArray] | None,
) -> LogisticRegression:
    model = LogisticRegression(C=c, max_iter=settings.max_iterations, warm_start=True)
    if start is not None:
        model.coef_, model.intercept_ = start
    with warnings.catch_warnings():
        # The recipe bounds the iterations; with little regularisation they do not suffice.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)
