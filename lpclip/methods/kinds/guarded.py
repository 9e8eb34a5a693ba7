"""A guarded method: ships the head of the first candidate whose estimated gain is large enough.

Candidates are trained here, on the images and classes that are learned; the gain of each over
zero-shot is estimated without a label. No file that this module can reach holds a label.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from annotated_types import MinLen

from lpclip.methods.base import Inputs
from lpclip.methods.kinds.self_training import Settings as Training
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.progress import progress
from lpclip.utils.settings import UNIQUE, Positive, Written, settings_class

log = logging.getLogger(__name__)

NEEDS: tuple[str, ...] = ("adapt",)
USES_GPU = True
Adapter: TypeAlias = Literal["stata", "transclip", "inmap", "otter", "gaussian"]


@settings_class
class Settings:
    """What may be shipped."""

    trained: Annotated[Mapping[str, Training], Written()]
    """Settings of the candidates by self-training."""
    candidates: Annotated[Sequence[str], MinLen(1), UNIQUE] = (
        "lp_clip_auto",
        "lp_clip_balanced",
        "lp_clip",
    )
    """Methods of kind self_training that are candidates, the preferred one first. They are trained
    again, on the images and classes that are learned."""
    adapters: Annotated[Sequence[Adapter], UNIQUE] = ("stata", "transclip")
    """Adapters whose heads are further candidates, with the settings of their papers. The guard was
    fitted with the first two; of the others it expects the least."""
    hours: Positive = 24.0
    """A candidate by self-training that takes longer, by its number of operations on two cores, is
    left out and named in the log."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return the rounds of what is shipped, each as near to zero-shot as the guard decides."""
    # PyTorch, which no start of Snakemake has to wait for.
    from lpclip.methods.training.guarded import train_guarded
    from lpclip.methods.training.pool import read_pool

    # Their order counts, and JSON text that a stage receives has its keys sorted.
    trained = {name: settings.trained[name] for name in settings.candidates}
    n_candidates = len(trained) + len(settings.adapters)
    with progress(total=n_candidates, unit="candidates", label="guard") as shown:
        probes = train_guarded(
            head,
            lambda training: read_pool(head, inputs["adapt"], training),
            trained,
            seeds,
            adapters=settings.adapters,
            hours=settings.hours,
            after_candidate=shown.add,
        )
    guard = probes.guard
    if guard is not None:
        row = guard.iloc[0]
        log.info("%s, %s %g", row["decision"], row["chosen_candidate"], row["chosen_strength"])
    return probes
