"""Zero-shot CLIP: the text features are the probe, nothing is trained."""

from collections.abc import Sequence

from lpclip.methods.base import Inputs
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import settings_class

NEEDS: tuple[str, ...] = ()
SEEDED = False


@settings_class
class Settings:
    """Zero-shot CLIP has no settings."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return one round with one seed: nothing is random, so more seeds would repeat it."""
    weight, bias = head.as_round(1)
    return Probes(
        weight=weight[None],
        bias=bias[None],
        scale=head.scale,
        class_names=head.class_names,
        seeds=tuple(seeds[:1]),
        rounds=rounds_table([Round(0, seeds[0])]),
    )
