"""Monte Carlo dropout on the features before a linear layer (Gal & Ghahramani 2016)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from lpclip.methods.base import Inputs, after_zero_shot
from lpclip.methods.training.ensembles import OnLabels, generator, random_layer, train_on_labels
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray

NEEDS: tuple[str, ...] = ("clean", "samples")


@dataclass(frozen=True)
class Settings:
    """How the layer is trained and sampled.

    Attributes:
        rate: share of the features that are left out, in training and in prediction.
        members: samples of the prediction.
        label_share: share of the labels of each class that the method sees, drawn by the seed.
        optimisation: of the layer.
    """

    rate: float = 0.2
    members: int = 16
    label_share: float = 1.0
    optimisation: OnLabels = field(default_factory=OnLabels)


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Round 0 is the zero-shot head, round 1 the samples of the layer.

    Features that are left out are weights that are 0, so that a sample is a linear head. Its
    choice is drawn once, by the seed, and is the same for every image: the expectation over
    choices is that of a choice per image, and the same file always predicts the same.
    """
    generators = [generator(seed, "layer") for seed in seeds]
    weight = random_layer(head, generators)
    trained = train_on_labels(
        head,
        inputs,
        start=(weight, torch.zeros(weight.shape[:2])),
        generators=[[one] for one in generators],
        seeds=seeds,
        optimisation=settings.optimisation,
        label_share=settings.label_share,
        dropout=settings.rate,
    )
    kept = np.stack([_factors(seed, weight.shape[-1], settings) for seed in seeds])
    return after_zero_shot(
        head,
        trained.weight * kept[:, :, None, :],
        trained.bias.repeat(settings.members, axis=1),
        seeds,
        seen=trained.seen,
    )


def _factors(seed: int, dim: int, settings: Settings) -> FloatArray:
    """Factors ``[M, D]`` on the features in every sample."""
    draws = torch.rand(settings.members, dim, generator=generator(seed, "samples")).numpy()
    factors: FloatArray = (draws >= settings.rate).astype(np.float32) / (1 - settings.rate)
    return factors.astype(np.float32)
