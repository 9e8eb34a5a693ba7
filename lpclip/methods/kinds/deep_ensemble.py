"""Deep ensemble: probes trained apart from each other (Lakshminarayanan et al. 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from lpclip.methods.base import Inputs, after_zero_shot
from lpclip.methods.training.ensembles import OnLabels, generator, random_layer, train_on_labels
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead

NEEDS: tuple[str, ...] = ("clean", "samples")


@dataclass(frozen=True)
class Settings:
    """How the members are trained.

    Attributes:
        members: how many probes.
        label_share: share of the labels of each class that the method sees, drawn by the seed.
        optimisation: of each member.
    """

    members: int = 5
    label_share: float = 1.0
    optimisation: OnLabels = field(default_factory=OnLabels)


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Round 0 is the zero-shot head, round 1 the ensemble.

    Members start at random weights, see the samples in an order of their own, and stop by
    held-out labels of their own.
    """
    generators = [
        [generator(seed, f"member {member}") for member in range(settings.members)]
        for seed in seeds
    ]
    weight = random_layer(head, [one for of_seed in generators for one in of_seed])
    trained = train_on_labels(
        head,
        inputs,
        start=(weight, torch.zeros(weight.shape[:2])),
        generators=generators,
        seeds=seeds,
        optimisation=settings.optimisation,
        label_share=settings.label_share,
    )
    return after_zero_shot(head, trained.weight, trained.bias, seeds, seen=trained.seen)
