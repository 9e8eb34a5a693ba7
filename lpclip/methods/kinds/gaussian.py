"""Gaussian discriminant, fitted by expectation maximisation from zero-shot's predictions on.

Images outside the pool are predicted by the discriminant, a linear head.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence

from lpclip.methods.adapters.settings import AdapterSettings
from lpclip.methods.base import Inputs, without_seeds
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, settings_class

NEEDS: tuple[str, ...] = ("adapt",)
SEEDED = False


@settings_class
class Settings(AdapterSettings):
    """How the Gaussians are fitted."""

    iterations: Count = 10
    """Fits of the Gaussians."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return zero-shot and the discriminant."""
    # SciPy, which no start of Snakemake has to wait for.
    from lpclip.methods.adapters.gaussian import gaussian_head
    from lpclip.methods.adapters.pool import read_view

    weight, bias = gaussian_head(
        read_view(inputs["adapt"], settings.view, head), head, iterations=settings.iterations
    )
    return without_seeds(head, weight, bias, seeds)
