"""InMaP: proxies of the classes among the images (Qian et al., NeurIPS 2023).

Images outside the pool are predicted by the proxies, a linear head.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence
from typing import Literal

from lpclip.methods.adapters.settings import AdapterSettings
from lpclip.methods.base import Inputs, without_seeds
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, Share, settings_class

NEEDS: tuple[str, ...] = ("adapt",)
SEEDED = False


@settings_class
class Settings(AdapterSettings):
    """The settings of the paper."""

    prior: Literal["none", "sinkhorn"] = "sinkhorn"
    """sinkhorn assumes that all classes are equally frequent; none assumes nothing."""
    threshold: Share = 0.6
    """Pseudo-labels of a higher confidence become certain."""
    steps: Count = 2000
    """Gradient steps on all unlabelled images."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return zero-shot and the proxies."""
    # SciPy, which no start of Snakemake has to wait for.
    from lpclip.methods.adapters.inmap import inmap_head
    from lpclip.methods.adapters.pool import read_view

    weight, bias = inmap_head(
        read_view(inputs["adapt"], settings.view, head),
        head,
        prior=settings.prior,
        threshold=settings.threshold,
        steps=settings.steps,
    )
    return without_seeds(head, weight, bias, seeds)
