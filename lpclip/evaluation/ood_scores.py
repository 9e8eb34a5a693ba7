"""OOD scores of images by the heads of a method."""

from collections import defaultdict

import numpy as np

from lpclip.metrics.ood_scores import energy, entropy, max_logit, mcm, msp
from lpclip.storage.features import normalise
from lpclip.storage.probes import HALF_WAY, Probes, between
from lpclip.storage.stored_views import View
from lpclip.types import FloatArray
from lpclip.utils.memory import row_slices

TEMPERATURE = 1.0


def head_scores(heads: Probes, values: View) -> dict[str, list[FloatArray]]:
    """Return score name -> scores ``[N]`` per seed; high means in-distribution.

    Next to those of the last round's probe there are two of the head half-way to it from round 0:
    training sharpens logits for unseen images, too, and half of it does so less. For an ensemble,
    MSP and entropy are those of the mean probabilities, the other scores those of the mean head.
    """
    scores: dict[str, list[FloatArray]] = defaultdict(list)
    for seed_index in range(len(heads.seeds)):
        members = 1 if heads.member_weight is None else heads.member_weight.shape[1]
        size = members * len(heads.class_names)
        of_blocks = [
            _of_rows(heads, values[rows], seed_index)
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
