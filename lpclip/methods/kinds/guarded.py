"""A guarded method: ships the head of a self-training method, one half-way to it, or zero-shot.

Trains the same method on each half of the unlabelled set, gathers the evidence of
``lpclip.methods.training.guard``, and decides once for all seeds. No file that this module can
reach holds a label.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lpclip.errors import LpclipError
from lpclip.methods.base import Inputs
from lpclip.methods.kinds.self_training import Settings as Training
from lpclip.methods.kinds.self_training import self_train
from lpclip.methods.labelling.structure import Structure
from lpclip.methods.training.guard import Decision, decide, gather
from lpclip.methods.training.pool import Pool, read_pool
from lpclip.storage.hdf5 import check_provenance
from lpclip.storage.opening import make_again
from lpclip.storage.probes import Probes, between, read_probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.progress import progress

log = logging.getLogger(__name__)

NEEDS: tuple[str, ...] = ("adapt", "probes")


@dataclass(frozen=True)
class Settings:
    """What is guarded.

    Attributes:
        method: name of the self-training method whose probes are guarded.
        training: its settings.
    """

    method: str
    training: Training


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """The guarded method's rounds, each as near to zero-shot as the guard decides."""
    path = inputs.path("probes")
    probes, provenance = read_probes(path)
    made_with = {"method": settings.method, "settings": repr(settings.training), **head.expected}
    check_provenance(path, provenance, made_with)
    if probes.seeds != tuple(seeds):
        raise LpclipError(
            f"{path} was made with seeds {list(probes.seeds)}, not {list(seeds)}.{make_again(path)}"
        )
    pool = read_pool(head, inputs.path("adapt"), settings.training)
    with progress(total=2 * settings.training.rounds, unit="rounds", label="guard") as shown:
        decision = examine(head, pool, probes, settings.training, after_round=shown.add)
    log.info(
        "%s (strength %g): estimated gains %s",
        decision.decision,
        decision.strength,
        {strength: round(gain, 4) for strength, gain in decision.estimated_gain.items()},
    )
    zero_weight, zero_bias = probes.weight[:1], probes.bias[:1]
    return replace(
        probes,
        weight=between(zero_weight, probes.weight, decision.strength),
        bias=between(zero_bias, probes.bias, decision.strength),
        guard=decision.table(),
    )


def examine(
    head: ZeroShotHead,
    pool: Pool,
    probes: Probes,
    training: Training,
    *,
    after_round: Callable[[int], None] = lambda _: None,
) -> Decision:
    """Evidence for probes that were trained on a pool, and the decision.

    Args:
        head: zero-shot.
        pool: the unlabelled set.
        probes: trained on it; the last round counts.
        training: how they were.
        after_round: called with 1 after every round of training on a half.
    """
    structure = Structure(pool.teacher)
    heads = {"head": probes}
    for name, half in (("first_half", structure.halves), ("second_half", ~structure.halves)):
        heads[name] = self_train(
            head, pool.of(half), training, probes.seeds, after_round=after_round
        )
    weight, bias = probes.weight[0, 0], probes.bias[0, 0]

    def logits(trained: Probes, seed_index: int, strength: float = 1.0) -> FloatArray:
        values: FloatArray = head.scale * (
            pool.teacher @ between(weight, trained.weight[-1, seed_index], strength).T
        ) + between(bias, trained.bias[-1, seed_index], strength)
        return values

    return decide(
        [
            gather(
                structure,
                zero_shot=logits(probes, seed_index, 0.0),
                **{name: logits(trained, seed_index) for name, trained in heads.items()},
            )
            for seed_index in range(len(probes.seeds))
        ]
    )
