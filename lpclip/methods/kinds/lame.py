"""LAME: predictions that agree among neighbours (Boudiaf et al., CVPR 2022).

Images outside the pool have no neighbours whose predictions could change theirs: it predicts none
of them.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence

from lpclip.methods.adapters.settings import AdapterSettings
from lpclip.methods.base import Inputs, pool_alone
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, settings_class

NEEDS: tuple[str, ...] = ("adapt",)
SEEDED = False
PREDICTS = "pool"


@settings_class
class Settings(AdapterSettings):
    """The settings of the paper."""

    neighbours: Count = 5
    """Nearest neighbours that each image is drawn to."""
    steps: Count = 100
    """At most so many updates."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return zero-shot, and predictions of the pool."""
    # SciPy, which no start of Snakemake has to wait for.
    from lpclip.methods.adapters.lame import lame_probabilities
    from lpclip.methods.adapters.pool import read_view

    probabilities = lame_probabilities(
        read_view(inputs["adapt"], settings.view, head),
        head,
        neighbours=settings.neighbours,
        steps=settings.steps,
    )
    return pool_alone(head, probabilities, seeds)
