"""One probe of a file: a single linear head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage.features import normalise
from lpclip.storage.probes import place, read_probes
from lpclip.types import FloatArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Probe:
    """One linear head.

    Attributes:
        weight: ``[C, D]`` float32.
        bias: ``[C]`` float32.
        scale: factor of the cosines.
        class_names: C names.
        provenance: attributes of its file.
    """

    weight: FloatArray
    bias: FloatArray
    scale: float
    class_names: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def logits(self, features: FloatArray) -> FloatArray:
        """Return the logits ``[..., C]`` of features ``[..., D]``, which need not have unit length.

        >>> probe = Probe(np.eye(2, dtype="f4"), np.zeros(2, "f4"), 10.0, ("a", "b"))
        >>> probe.logits(np.array([[3.0, 0.0]])).tolist()
        [[10.0, 0.0]]
        """
        unit = normalise(np.asarray(features, dtype=np.float32))
        logits: FloatArray = self.scale * (unit @ self.weight.T) + self.bias
        return logits

    def to_linear(self) -> torch.nn.Linear:
        """Return the probe as a layer that turns unit-length features into logits."""
        import torch

        linear = torch.nn.Linear(self.weight.shape[1], self.weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(self.scale * self.weight))
            linear.bias.copy_(torch.from_numpy(self.bias))
        return linear.requires_grad_(False)


def load_probe(
    path: str | Path, *, round: int = -1, seed: int = 0, member: int | None = None
) -> Probe:
    """Load one probe of a file.

    >>> import lpclip
    >>> probe = lpclip.load_probe("results/tiny/digits/lp_clip/probes.h5", seed=1)
    >>> probe.class_names, probe.weight.shape, probe.provenance["method"]
    (('eight', 'nine'), (2, 3), 'lp_clip')
    >>> features = lpclip.read_frame("cache/tiny/images/digits-test/clean.h5")[["d0", "d1", "d2"]]
    >>> [probe.class_names[best] for best in probe.logits(features.to_numpy()).argmax(axis=1)]
    ['eight', 'eight', 'nine']

    Args:
        path: a ``probes.h5``.
        round: counted from 0, the zero-shot head; -1 is the last.
        seed: one of the seeds that the method was run with.
        member: of the last round of an ensemble, counted from 0.

    Raises:
        LpclipError: no such file, round, seed or member; an ensemble without a member, since the
            mean of its members' probabilities is not that of any linear head.
    """
    path = Path(path)
    probes, provenance = read_probes(path, pool_alone=True)
    round, seed_index = place(path, probes, round=round, seed=seed)
    weight, bias = probes.weight[round, seed_index], probes.bias[round, seed_index]
    if probes.member_weight is not None and round == len(probes.weight) - 1:
        n_members = probes.member_weight.shape[1]
        if member is None or not 0 <= member < n_members:
            raise LpclipError(
                f"{path} is an ensemble, whose probabilities are the mean of those of "
                f"{n_members} members; no single head gives them. "
                f"Choose one: member 0 to {n_members - 1}."
            )
        weight, bias = (values[seed_index, member] for values in probes.last())
    elif member is not None:
        raise LpclipError(f"{path}: this round is one probe and has no member {member}.")
    return Probe(weight, bias, probes.scale, probes.class_names, provenance)
