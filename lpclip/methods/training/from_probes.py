"""Methods that post-process the probes of another method: read them, change their last round."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.methods.base import Inputs, after_zero_shot
from lpclip.storage.hdf5 import check_provenance
from lpclip.storage.opening import make_again
from lpclip.storage.probes import Probes, read_probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray


def read_base(head: ZeroShotHead, inputs: Inputs, method: str, seeds: Sequence[int]) -> Probes:
    """Read the probes of another method, repeated for every seed where it has one alone.

    Raises:
        LpclipError: they are of another method, model or other seeds.
    """
    path = inputs["probes"]
    base, provenance = read_probes(path)
    check_provenance(path, provenance, {"method": method, **head.expected})
    if base.seeds == tuple(seeds):
        return base
    if len(base.seeds) > 1 or base.seeds != tuple(seeds[:1]):
        raise LpclipError(
            f"{path} was made with seeds {list(base.seeds)}, not {list(seeds)}.{make_again(path)}"
        )
    repeated: dict[str, Any] = {
        name: np.repeat(values, len(seeds), axis=axis)
        for name, axis in (("weight", 1), ("bias", 1), ("labels_seen", 0))
        if (values := getattr(base, name)) is not None
    }
    return replace(base, seeds=tuple(seeds), **repeated)


def change_last(
    head: ZeroShotHead,
    base: Probes,
    weight: FloatArray,
    bias: FloatArray,
    *,
    seen: BoolArray | None,
) -> Probes:
    """Return probes of two rounds: zero-shot, and the changed last round of other probes.

    Args:
        head: zero-shot.
        base: the other probes.
        weight: what their last weights became, ``[S, M, C, D]``.
        bias: likewise, ``[S, M, C]``.
        seen: as in ``after_zero_shot``.
    """
    return replace(
        after_zero_shot(head, weight, bias, base.seeds, seen=seen),
        student_view=base.student_view,
        strong_policy=base.strong_policy,
    )
