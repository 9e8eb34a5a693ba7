"""ZLaP: labels spread from the texts over a graph of the images (Stojnić et al., CVPR 2024).

Images outside the pool are no nodes of the graph: it predicts none of them.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Lt

from lpclip.methods.adapters.settings import AdapterSettings
from lpclip.methods.base import Inputs, pool_alone
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, Positive, settings_class

NEEDS: tuple[str, ...] = ("adapt",)
SEEDED = False
PREDICTS = "pool"


@settings_class
class Settings(AdapterSettings):
    """The settings of the paper."""

    neighbours: Count = 5
    """Nearest images and nearest texts that each image is linked to."""
    power: Positive = 5.0
    """Of the cosines, which gives the weights of links."""
    alpha: Annotated[float, Ge(0), Lt(1)] = 0.3
    """Share of what passes a link."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return zero-shot, and predictions of the pool."""
    # SciPy, which no start of Snakemake has to wait for.
    from lpclip.methods.adapters.pool import read_view
    from lpclip.methods.adapters.zlap import zlap_probabilities

    probabilities = zlap_probabilities(
        read_view(inputs["adapt"], settings.view, head),
        head,
        neighbours=settings.neighbours,
        power=settings.power,
        alpha=settings.alpha,
    )
    return pool_alone(head, probabilities, seeds)
