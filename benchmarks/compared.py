"""The methods that the battery compares, each as what it predicts for one case and seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from cases import Case
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from lpclip.methods.adapters.gaussian import gaussian_head
from lpclip.methods.adapters.inmap import inmap_head
from lpclip.methods.adapters.lame import lame_probabilities
from lpclip.methods.adapters.otter import otter_head
from lpclip.methods.adapters.stata import stata
from lpclip.methods.adapters.tda import tda_probabilities
from lpclip.methods.adapters.transclip import transclip
from lpclip.methods.adapters.zlap import zlap_probabilities
from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.guarded import train_guarded
from lpclip.methods.training.self_training import self_train
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray

Change: TypeAlias = Callable[[Settings], Settings]
Head: TypeAlias = tuple[FloatArray, FloatArray]  # weight [C, D], bias [C]

ZERO_SHOT, GUARDED, SUPERVISED = "zero_shot", "lp_clip_guarded", "supervised"
_PLAIN = Labelling(
    classes="all", images="all", temperature=1.0, structure=0.0, prior="none", class_floor=0.0
)
_BALANCED = replace(_PLAIN, prior="align", classes="supported", images="in_distribution")
_PUBLISHED = Settings(labelling=_PLAIN, rounds=5, class_weighting=0.0, student_view="strong")
# Self-training with the settings of config.yaml.
SELF_TRAINED: Mapping[str, Settings] = {
    "lp_clip": _PUBLISHED,
    "lp_clip_balanced": replace(_PUBLISHED, labelling=_BALANCED),
    "lp_clip_auto": Settings(),
}
# What is guarded, in the order in which config.yaml prefers them; adapters besides.
CANDIDATES = ("lp_clip_auto", "lp_clip_balanced", "lp_clip")
# The adapters of the literature, with the defaults of their papers.
WITH_HEAD = ("transclip", "stata", "inmap", "gaussian", "otter")
POOL_ALONE = ("zlap", "lame", "tda")
PEERS = (*WITH_HEAD, *POOL_ALONE)
# Methods whose result depends on the seed even where the unlabelled set does not.
SEEDED = (*SELF_TRAINED, GUARDED)
LABEL_FREE = (*SELF_TRAINED, *PEERS)


@dataclass(frozen=True)
class Prediction:
    """What a method predicts.

    Attributes:
        head: weight and bias; None where it predicts the unlabelled set alone.
        pool: probabilities of the unlabelled images ``[N, C]``; None where they are the head's.
        guard: what the guard found, a row per candidate and strength; None without a guard.
    """

    head: Head | None
    pool: FloatArray | None = None
    guard: pd.DataFrame | None = None

    def probabilities(self, case: Case, part: str) -> FloatArray | None:
        """Return those of the test set or of the pool, ``[N, C]``; None where it has none."""
        if part == "pool" and self.pool is not None:
            return self.pool
        if self.head is None:
            return None
        images = case.test if part == "test" else case.adapt
        found: FloatArray = softmax(logits(case, images.clean, self.head), axis=-1)
        return found


def predict(method: str, case: Case, change: Change, seed: int) -> Prediction:
    """Run a method.

    Args:
        method: a name of this module.
        case: the data.
        change: changes the settings of self-training.
        seed: of the training.
    """
    head, views = case.head, case.adapt.weak
    if method == ZERO_SHOT:
        return Prediction(zero_shot(head))
    if method in SELF_TRAINED:
        settings = change(SELF_TRAINED[method])
        return Prediction(_last(self_train(head, case.adapt.pool(settings), settings, [seed])))
    if method == GUARDED:
        trained = {name: change(SELF_TRAINED[name]) for name in CANDIDATES}
        probes = train_guarded(head, case.adapt.pool, trained, [seed])
        return Prediction(_last(probes), guard=probes.guard)
    if method == SUPERVISED:
        return Prediction(supervised(case))
    if method in ("transclip", "stata"):
        gaussians, assigned = {"transclip": transclip, "stata": stata}[method](views, head)
        return Prediction(gaussians.with_text(head), assigned)
    if method in WITH_HEAD:
        fit = {"inmap": inmap_head, "gaussian": gaussian_head, "otter": otter_head}[method]
        return Prediction(fit(views, head))
    assign = {"zlap": zlap_probabilities, "lame": lame_probabilities, "tda": tda_probabilities}
    return Prediction(None, assign[method](views, head))


def zero_shot(head: ZeroShotHead) -> Head:
    weight, bias = head.as_round(1)
    return weight[0], bias[0]


def _last(probes: Probes) -> Head:
    return probes.weight[-1, 0], probes.bias[-1, 0]


def logits(case: Case, values: FloatArray, head: Head) -> FloatArray:
    """Return logits ``[N, C]`` of features ``[N, D]``."""
    weight, bias = head
    found: FloatArray = case.head.scale * (values @ weight.T) + bias
    return found


def supervised(case: Case) -> Head:
    """Fit logistic regression to the labelled rows; classes without labels are never predicted.

    The regularisation is selected from four values on a tenth of the labels.
    """
    known = np.flatnonzero(case.adapt.labels >= 0)
    labels = case.adapt.labels[known]
    values = case.head.scale * case.adapt.clean[known]
    held = np.random.default_rng(0).random(len(known)) < 0.1
    found = [
        LogisticRegression(C=c, max_iter=200, tol=1e-3).fit(values[~held], labels[~held])
        for c in (1e-4, 1e-3, 1e-2, 1e-1)
    ]
    model = max(found, key=lambda fitted: fitted.score(values[held], labels[held]))
    weight = np.zeros_like(case.head.weight)
    bias = np.full(len(weight), -1e6, dtype=np.float32)  # finite for OOD scores
    weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weight, bias
