"""A guarded method: ships the head of a self-training method, one half-way to it, or zero-shot.

No file that this module can reach holds a label.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from lpclip.errors import LpclipError
from lpclip.methods.base import Inputs
from lpclip.methods.kinds.self_training import Settings as Training
from lpclip.storage.hdf5 import check_provenance
from lpclip.storage.opening import make_again
from lpclip.storage.probes import Probes, between, read_probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.progress import progress
from lpclip.utils.settings import Written, settings_class

log = logging.getLogger(__name__)

NEEDS: tuple[str, ...] = ("adapt", "probes")


@settings_class
class Settings:
    """What is guarded."""

    method: str
    """The method of kind self_training whose probes are guarded."""
    training: Annotated[Training, Written()]
    """Its settings."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return the guarded method's rounds, each as near to zero-shot as the guard decides."""
    # PyTorch, which no start of Snakemake has to wait for.
    from lpclip.methods.training.examine import examine
    from lpclip.methods.training.pool import read_pool

    path = inputs["probes"]
    probes, provenance = read_probes(path)
    made_with = {"method": settings.method, "settings": repr(settings.training), **head.expected}
    check_provenance(path, provenance, made_with)
    if probes.seeds != tuple(seeds):
        raise LpclipError(
            f"{path} was made with seeds {list(probes.seeds)}, not {list(seeds)}.{make_again(path)}"
        )
    pool = read_pool(head, inputs["adapt"], settings.training)
    with progress(total=2 * settings.training.rounds, unit="rounds", label="guard") as shown:
        decision = examine(head, pool, probes, settings.training, after_round=shown.add)
    log.info(
        "%s (strength %g): estimated gains %s",
        decision.decision,
        decision.strength,
        {strength: round(gain, 4) for strength, gain in decision.estimated_gain.items()},
    )
    return replace(
        probes,
        weight=between(probes.weight[:1], probes.weight, decision.strength),
        bias=between(probes.bias[:1], probes.bias, decision.strength),
        guard=decision.table(),
    )
