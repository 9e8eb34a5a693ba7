"""What a kind of method is, and what it may read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray
from lpclip.utils.memory import Rows, stacked

# Names of the files that a method may declare in ``NEEDS``; see ``train_probe`` for each.
INPUTS = ("pseudo_labels", "adapt", "clean", "probes", "samples")
Inputs: TypeAlias = Mapping[str, Path]


class Method(Protocol):
    """What a module of ``lpclip.methods.kinds`` has.

    A module may also have ``SEEDED = False``, where nothing is random, ``PREDICTS = "pool"``, where
    the method predicts the images of its pool alone, and ``USES_GPU = True``, where it is trained
    on a GPU if there is one.
    """

    NEEDS: Sequence[str]
    Settings: type[Any]

    def fit(
        self, head: ZeroShotHead, inputs: Inputs, settings: Any, seeds: Sequence[int]
    ) -> Probes:
        """Train the probes of every round and seed."""


def after_zero_shot(
    head: ZeroShotHead,
    weight: FloatArray,
    bias: FloatArray,
    seeds: Sequence[int],
    *,
    seen: BoolArray | None,
) -> Probes:
    """Return probes of two rounds: zero-shot, and what a method made.

    Args:
        head: round 0.
        weight: round 1, ``[S, M, C, D]``; M is 1 but for an ensemble.
        bias: ``[S, M, C]``.
        seeds: S seeds.
        seen: images of the adapt set whose label the method saw, ``[S, N]``; None for none.
    """
    zero_weight, zero_bias = head.as_round(len(seeds))
    members: dict[str, Any] = {}
    if weight.shape[1] > 1:
        members = {"member_weight": weight, "member_bias": bias}
    return Probes(
        weight=np.stack([zero_weight, weight.mean(axis=1)]),
        bias=np.stack([zero_bias, bias.mean(axis=1)]),
        scale=head.scale,
        class_names=head.class_names,
        seeds=tuple(seeds),
        rounds=rounds_table([Round(round, seed) for round in (0, 1) for seed in seeds]),
        n_labels=0 if seen is None else int(seen[0].sum()),
        labels_seen=seen,
        **members,
    )


def without_seeds(
    head: ZeroShotHead,
    weight: FloatArray,
    bias: FloatArray,
    seeds: Sequence[int],
    *,
    probabilities: Rows | None = None,
) -> Probes:
    """Return probes of two rounds of a label-free method of which nothing is random.

    Args:
        head: round 0.
        weight: round 1, ``[C, D]``.
        bias: ``[C]``.
        seeds: the first is kept; more would repeat it.
        probabilities: of the pool's images, ``[N, C]``, where the method's own predictions of them
            are not those of the head; None where they are.
    """
    probes = after_zero_shot(head, weight[None, None], bias[None, None], list(seeds[:1]), seen=None)
    if probabilities is None:
        return probes
    return replace(probes, pool_probabilities=stacked([probabilities]))


def pool_alone(head: ZeroShotHead, probabilities: Rows, seeds: Sequence[int]) -> Probes:
    """Return what a method predicts that has no head: zero-shot, and the images of its pool.

    Args:
        head: round 0, the only one with a head.
        probabilities: of the pool's images, ``[N, C]``.
        seeds: the first is kept; more would repeat it.
    """
    seeds = seeds[:1]
    weight, bias = head.as_round(1)
    return Probes(
        weight=weight[None],
        bias=bias[None],
        scale=head.scale,
        class_names=head.class_names,
        seeds=tuple(seeds),
        rounds=rounds_table([Round(round, seed) for round in (0, 1) for seed in seeds]),
        pool_probabilities=stacked([probabilities]),
    )
