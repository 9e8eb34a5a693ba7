"""OTTER: predictions moved to estimated class frequencies (Shin et al., NeurIPS 2024).

Images outside the pool are predicted by zero-shot with a bias per class, the potentials of the
optimal transport of the pool: a linear head. It assumes that they have the pool's frequencies.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence

from lpclip.methods.adapters.settings import AdapterSettings
from lpclip.methods.base import Inputs, without_seeds
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import settings_class

NEEDS: tuple[str, ...] = ("adapt",)
SEEDED = False


@settings_class
class Settings(AdapterSettings):
    """Nothing but the view: class frequencies are estimated."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return zero-shot, and zero-shot with a bias per class."""
    # SciPy, which no start of Snakemake has to wait for.
    from lpclip.methods.adapters.otter import otter_head
    from lpclip.methods.adapters.pool import read_view

    weight, bias = otter_head(read_view(inputs["adapt"], settings.view, head), head)
    return without_seeds(head, weight, bias, seeds)
