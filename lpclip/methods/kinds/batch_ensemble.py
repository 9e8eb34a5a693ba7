"""BatchEnsemble: one layer that members multiply with a matrix of rank one (Wen et al. 2020)."""

from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from lpclip.methods.base import Inputs, after_zero_shot
from lpclip.methods.training.labelled import LabelShare, OnLabels
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, NotNegative, settings_class

if TYPE_CHECKING:
    from torch import Tensor

NEEDS: tuple[str, ...] = ("clean", "samples")
USES_GPU = True


@settings_class
class Settings:
    """How the members are trained."""

    members: Count = 4
    """How many members."""
    spread: NotNegative = 0.5
    """Standard deviation of the members' factors at the start, around 1."""
    label_share: LabelShare = 1.0
    """Share of the labels of each class that the method sees, sampled by the seed."""
    optimisation: OnLabels = field(default_factory=OnLabels)
    """How all members are trained together."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Train the ensemble as round 1; round 0 is the zero-shot head.

    Member m has the weights ``W * outer(r_m, s_m)``: the members of a seed share W and have two
    vectors and a bias of their own. They see the same batches and the same held-out labels, since
    what one of them learns is in the weights of all.
    """
    # PyTorch, which no start of Snakemake has to wait for.
    import torch

    from lpclip.methods.training.ensembles import generator, random_layer, train_on_labels

    n_classes, dim = head.weight.shape
    shape = len(seeds), settings.members
    fast = [generator(seed, "factors") for seed in seeds]
    ones = [
        torch.stack(
            [1 + settings.spread * torch.randn(settings.members, n, generator=g) for g in fast]
        )
        for n in (n_classes, dim)
    ]
    weight, bias, seen = train_on_labels(
        head,
        inputs,
        start=(
            random_layer(head, [generator(seed, "layer") for seed in seeds]),
            *ones,
            torch.zeros(*shape, n_classes),
        ),
        generators=[
            [generator(seed, "batches") for _ in range(settings.members)] for seed in seeds
        ],
        seeds=seeds,
        optimisation=settings.optimisation,
        label_share=settings.label_share,
        heads=rank_one,
    )
    return after_zero_shot(head, weight, bias, seeds, seen=seen)


def rank_one(
    shared: "Tensor", out: "Tensor", into: "Tensor", bias: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """Return weight ``[S * M, C, D]`` and bias ``[S * M, C]`` of every member.

    Args:
        shared: ``[S, C, D]``.
        out: factors ``[S, M, C]`` on the outputs.
        into: factors ``[S, M, D]`` on the inputs.
        bias: ``[S, M, C]``.
    """
    weight = shared[:, None] * out[..., None] * into[:, :, None]
    return weight.flatten(0, 1), bias.flatten(0, 1)
