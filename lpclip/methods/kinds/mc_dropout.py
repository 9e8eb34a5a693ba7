"""Monte Carlo dropout on the features before a linear layer (Gal & Ghahramani 2016)."""

from collections.abc import Sequence
from dataclasses import field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from lpclip.methods.base import Inputs, after_zero_shot
from lpclip.methods.training.labelled import LabelShare, OnLabels
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, settings_class

NEEDS: tuple[str, ...] = ("clean", "samples")
USES_GPU = True


@settings_class
class Settings:
    """How the layer is trained and sampled."""

    rate: Annotated[float, Ge(0), Lt(1)] = 0.2
    """Share of the features that are left out, in training and in prediction."""
    members: Count = 16
    """Samples of the prediction."""
    label_share: LabelShare = 1.0
    """Share of the labels of each class that the method sees, sampled by the seed."""
    optimisation: OnLabels = field(default_factory=OnLabels)
    """How the layer is trained."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Train and sample the layer as round 1; round 0 is the zero-shot head.

    Features that are left out are weights that are 0, so that a sample is a linear head. Its
    choice is sampled once, by the seed, and is the same for every image: the expectation over
    choices is that of a choice per image, and the same file always predicts the same.
    """
    # PyTorch, which no start of Snakemake has to wait for.
    import torch

    from lpclip.methods.training.ensembles import generator, random_layer, train_on_labels

    generators = [generator(seed, "layer") for seed in seeds]
    start = random_layer(head, generators)
    weight, bias, seen = train_on_labels(
        head,
        inputs,
        start=(start, torch.zeros(start.shape[:2])),
        generators=[[one] for one in generators],
        seeds=seeds,
        optimisation=settings.optimisation,
        label_share=settings.label_share,
        dropout=settings.rate,
    )
    sampled = [
        torch.rand(settings.members, start.shape[-1], generator=generator(seed, "samples"))
        for seed in seeds
    ]
    # Factors [S, M, D] on the features in every sample.
    kept = (torch.stack(sampled).numpy() >= settings.rate) / np.float32(1 - settings.rate)
    weight, bias = weight * kept[:, :, None, :], bias.repeat(settings.members, axis=1)
    return after_zero_shot(head, weight, bias, seeds, seen=seen)
