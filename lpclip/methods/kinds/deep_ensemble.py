"""Deep ensemble: probes trained apart from each other (Lakshminarayanan et al. 2017)."""

from collections.abc import Sequence
from dataclasses import field

from lpclip.methods.base import Inputs, after_zero_shot
from lpclip.methods.training.labelled import LabelShare, OnLabels
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, settings_class

NEEDS: tuple[str, ...] = ("clean", "samples")
USES_GPU = True


@settings_class
class Settings:
    """How the members are trained."""

    members: Count = 5
    """How many probes."""
    label_share: LabelShare = 1.0
    """Share of the labels of each class that the method sees, sampled by the seed."""
    optimisation: OnLabels = field(default_factory=OnLabels)
    """How each member is trained."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Train the ensemble as round 1; round 0 is the zero-shot head.

    Members start at random weights, see the samples in an order of their own, and stop by
    held-out labels of their own.
    """
    # PyTorch, which no start of Snakemake has to wait for.
    import torch

    from lpclip.methods.training.ensembles import generator, random_layer, train_on_labels

    generators = [
        [generator(seed, f"member {member}") for member in range(settings.members)]
        for seed in seeds
    ]
    start = random_layer(head, [one for of_seed in generators for one in of_seed])
    weight, bias, seen = train_on_labels(
        head,
        inputs,
        start=(start, torch.zeros(start.shape[:2])),
        generators=generators,
        seeds=seeds,
        optimisation=settings.optimisation,
        label_share=settings.label_share,
    )
    return after_zero_shot(head, weight, bias, seeds, seen=seen)
