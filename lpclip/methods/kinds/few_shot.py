"""Few-shot reference: logistic regression on a few labelled images of every class."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge

from lpclip.methods.base import Inputs
from lpclip.methods.training.labelled import Labelled, fit_samples, read_labelled
from lpclip.methods.training.regression import Sweep, choose_c, fit_regression
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.settings import Count, Positive, settings_class

NEEDS: tuple[str, ...] = ("clean", "samples")


@settings_class
class Settings(Sweep):
    """How many labels, and how the regression is fitted."""

    shots: Count = 16
    """Labelled images of each class, sampled by the seed; those of fewer shots are among those of
    more."""
    folds: Annotated[int, Ge(2)] = 4
    """C is chosen by cross-validation over the shots, in at most this many parts."""
    one_shot_c: Positive = 30.0
    """C on features of unit length where a single shot leaves nothing to choose by: about that of
    the CLIP authors' example, 0.316 on features of a length of about 10."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Fit the regression on the shots as round 1; round 0 is the zero-shot head.

    No label but those of the shots is used: C is chosen by cross-validation over the shots
    themselves, not on a validation set that would cost more labels than the shots.
    """
    everything = read_labelled(head, inputs, per_class=settings.shots)
    counts = np.full(len(head.class_names), settings.shots)
    return fit_samples(
        head, everything, counts, seeds, lambda part, seed: _fit(part, head.scale, settings, seed)
    )


def _fit(
    part: Labelled, scale: float, settings: Settings, seed: int
) -> tuple[FloatArray, FloatArray]:
    from sklearn.model_selection import StratifiedKFold  # not at every start of Snakemake

    features = part.features[:] * scale
    if settings.shots == 1:
        # The penalty is on weights, which are smaller by the scale than those of unit features.
        c = settings.one_shot_c / scale**2
    else:
        folds = StratifiedKFold(
            min(settings.folds, settings.shots), shuffle=True, random_state=seed
        )
        c = choose_c(
            features, part.labels, folds.split(features, part.labels), settings, by_accuracy=False
        )
    return fit_regression(features, part.labels, c, settings)
