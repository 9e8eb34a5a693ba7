"""OOD scores of images by the heads of a method."""

from collections import defaultdict

from lpclip.metrics.ood_scores import energy, entropy, max_logit, mcm, msp
from lpclip.storage.features import normalise
from lpclip.storage.probes import HALF_WAY, Probes, between
from lpclip.types import FloatArray

TEMPERATURE = 1.0


def head_scores(heads: Probes, values: FloatArray) -> dict[str, list[FloatArray]]:
    """Return score name -> scores ``[N]`` per seed; high means in-distribution.

    Next to those of the last round's probe there are two of the head half-way to it from round 0:
    training sharpens logits for unseen images, too, and half of it does so less. For an ensemble,
    MSP and entropy are those of the mean probabilities, the other scores those of the mean head.
    """
    scores: dict[str, list[FloatArray]] = defaultdict(list)
    for seed_index in range(len(heads.seeds)):
        last = heads.weight[-1, seed_index], heads.bias[-1, seed_index]
        first = heads.weight[0, seed_index], heads.bias[0, seed_index]
        half_way = between(first[0], last[0], HALF_WAY), between(first[1], last[1], HALF_WAY)
        logits = heads.scale * (values @ last[0].T) + last[1]
        of_all = heads.logits(values, -1, seed_index)
        scores["msp"].append(msp(of_all))
        scores["entropy"].append(entropy(of_all))
        scores["energy"].append(energy(logits, temperature=TEMPERATURE))
        for prefix, (weight, bias) in (("", last), ("half_way_", half_way)):
            scores[f"{prefix}max_logit"].append(max_logit(heads.scale * (values @ weight.T) + bias))
            cosines = values @ normalise(weight).T
            scores[f"{prefix}mcm"].append(mcm(cosines, tau=TEMPERATURE))
    return dict(scores)
