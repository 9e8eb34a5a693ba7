"""Supervised reference: logistic regression on the labelled features, the CLIP authors' recipe."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from lpclip.methods.base import Inputs
from lpclip.methods.training.labelled import Labelled, LabelShare, fit_samples, read_labelled
from lpclip.methods.training.large_regression import choose_large, fit_large
from lpclip.methods.training.regression import Sweep, choose_c, fit_regression
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.settings import settings_class

NEEDS: tuple[str, ...] = ("clean", "samples")
# Numbers, of images times features and of images times classes, from which on the regression is
# fitted block by block. That solver ends elsewhere, so the choice must not depend on the memory.
LARGE = 150_000_000


@settings_class
class Settings(Sweep):
    """How the regression is fitted."""

    validation: Annotated[float, Gt(0), Le(0.5)] = 0.2
    """Share of the labels on which C is chosen; then all are fitted."""
    label_share: LabelShare = 1.0
    """Share of the labels of each class that the method sees, sampled by the seed; the others are
    left for a method such as temperature_scaling."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Fit the regression as round 1; round 0 is the zero-shot head.

    Unit-length features are multiplied with the model's scale before the fit, so that the
    coefficients are weights of a probe. The inverse regularisation C is chosen by accuracy, of
    equal ones by likelihood, on a stratified part of the training labels, which the seed samples
    (Radford et al. 2021, A.3). Images without a label (OOD images of a pool) are left out.
    """
    everything = read_labelled(head, inputs, per_class=2)
    counts = np.bincount(everything.labels)
    # One to learn and one to choose C by.
    counts = np.maximum(np.ceil(settings.label_share * counts), 2).astype(int)
    return fit_samples(
        head, everything, counts, seeds, lambda part, seed: _fit(part, head.scale, settings, seed)
    )


def _fit(
    part: Labelled, scale: float, settings: Settings, seed: int
) -> tuple[FloatArray, FloatArray]:
    from sklearn.model_selection import train_test_split  # not at every start of Snakemake

    n_classes = len(np.unique(part.labels))
    n = len(part.labels)
    split = train_test_split(
        np.arange(n),
        # A stratified split needs as many places as classes, on both sides.
        test_size=min(max(int(np.ceil(settings.validation * n)), n_classes), n - n_classes),
        stratify=part.labels,
        random_state=seed,
    )
    if n * max(n_classes, part.features.shape[-1]) <= LARGE:
        features = part.features[:] * scale
        c = choose_c(features, part.labels, [split], settings)
        return fit_regression(features, part.labels, c, settings)
    fit = partial(fit_large, scale=scale, max_iterations=settings.max_iterations)
    values = np.logspace(settings.log10_c_low, settings.log10_c_high, settings.c_steps)
    found = choose_large(part.features, part.labels, split, values, fit)
    return fit(part.features, part.labels, found).head()
