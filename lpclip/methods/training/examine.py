"""Evidence for a guarded method: the same training on each half of the unlabelled set."""

from collections.abc import Callable

from lpclip.methods.labelling.structure import Structure
from lpclip.methods.training.guard import Decision, decide, gather
from lpclip.methods.training.pool import Pool
from lpclip.methods.training.self_training import self_train
from lpclip.methods.training.self_training_settings import Settings
from lpclip.storage.probes import Probes, between
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray


def examine(
    head: ZeroShotHead,
    pool: Pool,
    probes: Probes,
    training: Settings,
    *,
    after_round: Callable[[int], None] = lambda _: None,
) -> Decision:
    """Gather the evidence for probes that were trained on a pool, and decide.

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
