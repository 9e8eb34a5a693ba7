"""OOD scores of images by the heads of a method.

A plugin (``lpclip.utils.plugins``) that holds ``Settings`` and
``score(features, head, settings) -> scores [n]`` adds a kind of score.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lpclip.errors import LpclipError
from lpclip.metrics.ood_scores import energy, entropy, max_logit, mcm, msp
from lpclip.ood_score_names import SCORES
from lpclip.storage.features import normalise
from lpclip.storage.probes import HALF_WAY, Probes, between
from lpclip.storage.samples import without_labels
from lpclip.storage.stored_views import View
from lpclip.types import FloatArray
from lpclip.utils.memory import row_slices
from lpclip.utils.plugins import PluginKinds
from lpclip.utils.settings import build

TEMPERATURE = 1.0
SCORE_KINDS = PluginKinds("scores", SCORES)
# Name of a score -> its kind and settings.
MoreScores: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Head:
    """The head of one seed, as a plugin's score gets it; features have unit length.

    Attributes:
        weight: ``[C, D]``, of the last round; of an ensemble, the mean.
        bias: ``[C]``.
        zero_shot_weight: ``[C, D]``, the text features.
        zero_shot_bias: ``[C]``.
        scale: factor of the cosines.
        logits: of features ``[n, D]``, ``[n, C]``; their softmax are the method's probabilities.
    """

    weight: FloatArray
    bias: FloatArray
    zero_shot_weight: FloatArray
    zero_shot_bias: FloatArray
    scale: float
    logits: Callable[[FloatArray], FloatArray]


def head_scores(
    heads: Probes, values: View, more: MoreScores | None = None
) -> dict[str, list[FloatArray]]:
    """Return score name -> scores ``[N]`` per seed; high means in-distribution.

    Next to those of the last round's probe there are two of the head half-way to it from round 0:
    training sharpens logits for unseen images, too, and half of it does so less. For an ensemble,
    MSP and entropy are those of the mean probabilities, the other scores those of the mean head.
    Scores of plugins, ``more``, follow.
    """
    scores: dict[str, list[FloatArray]] = defaultdict(list)
    for seed_index in range(len(heads.seeds)):
        members = 1 if heads.member_weight is None else heads.member_weight.shape[1]
        size = members * len(heads.class_names)
        of_blocks = [
            _of_rows(heads, values[rows], seed_index)
            | _of_plugins(heads, values[rows], seed_index, more or {})
            for rows in row_slices(len(values), size, itemsize=8)
        ]
        for name in of_blocks[0]:
            scores[name].append(np.concatenate([block[name] for block in of_blocks]))
    return dict(scores)


def _of_rows(heads: Probes, values: FloatArray, seed_index: int) -> dict[str, FloatArray]:
    """Return score name -> scores ``[n]`` of features ``[n, D]`` for one seed."""
    last = heads.weight[-1, seed_index], heads.bias[-1, seed_index]
    first = heads.weight[0, seed_index], heads.bias[0, seed_index]
    half_way = between(first[0], last[0], HALF_WAY), between(first[1], last[1], HALF_WAY)
    logits = heads.scale * (values @ last[0].T) + last[1]
    of_all = heads.logits(values, -1, seed_index)
    scores = {
        "msp": msp(of_all),
        "entropy": entropy(of_all),
        "energy": energy(logits, temperature=TEMPERATURE),
    }
    for prefix, (weight, bias) in (("", last), ("half_way_", half_way)):
        scores[f"{prefix}max_logit"] = max_logit(heads.scale * (values @ weight.T) + bias)
        scores[f"{prefix}mcm"] = mcm(values @ normalise(weight).T, tau=TEMPERATURE)
    return scores


def _of_plugins(
    heads: Probes, values: FloatArray, seed_index: int, more: MoreScores
) -> dict[str, FloatArray]:
    """Return score name -> scores ``[n]`` by kinds of plugins."""
    head = Head(
        weight=heads.weight[-1, seed_index],
        bias=heads.bias[-1, seed_index],
        zero_shot_weight=heads.weight[0, seed_index],
        zero_shot_bias=heads.bias[0, seed_index],
        scale=heads.scale,
        logits=lambda features: heads.logits(features, -1, seed_index),
    )
    found = dict[str, FloatArray]()
    for name, given in more.items():
        settings = dict(given)
        module = SCORE_KINDS.load(settings.pop("kind"))
        options = build(module.Settings, settings, where=f"score '{name}'")
        with without_labels("scores see no label."):
            scores = np.asarray(module.score(values, head, options))
        if scores.shape != (len(values),) or not np.isfinite(scores).all():
            raise LpclipError(
                f"score '{name}' gives an array of shape {list(scores.shape)} for {len(values)} "
                "images; expected one finite number per image."
            )
        found[name] = scores.astype(np.float64)
    return found
