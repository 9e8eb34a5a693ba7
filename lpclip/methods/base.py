"""What a kind of method is, and what it may read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray

INPUTS = ("pseudo_labels", "adapt", "clean", "probes", "samples")


@dataclass(frozen=True)
class Inputs:
    """Files that a method may read; None for those that it did not declare.

    Attributes:
        pseudo_labels: the zero-shot teacher's labels of the unlabelled set.
        adapt: feature cache with the weak and strong views of that set.
        clean: feature cache with its clean view.
        probes: those of the method that this one is made from.
        samples: its index, which holds the true labels.
    """

    pseudo_labels: Path | None = None
    adapt: Path | None = None
    clean: Path | None = None
    probes: Path | None = None
    samples: Path | None = None

    def path(self, name: str) -> Path:
        """Return an input that the method declared."""
        path: Path | None = getattr(self, name)
        assert path is not None, name
        return path


class Method(Protocol):
    """What a module of ``lpclip.methods.kinds`` has."""

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
