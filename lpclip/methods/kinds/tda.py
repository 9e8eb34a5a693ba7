"""TDA: a stream of images, and caches of those CLIP was sure of (Karmanov et al., CVPR 2024).

Each image is predicted when it passes, in the order of the rows, from what passed before it. Images
outside the pool do not pass: it predicts none of them.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence

from lpclip.methods.adapters.settings import AdapterSettings
from lpclip.methods.base import Inputs, pool_alone
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import settings_class

NEEDS: tuple[str, ...] = ("adapt",)
SEEDED = False
PREDICTS = "pool"


@settings_class
class Settings(AdapterSettings):
    """Nothing but the view: the paper tunes the rest for each set; ImageNet's values are used."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return zero-shot, and predictions of the pool."""
    # SciPy, which no start of Snakemake has to wait for.
    from lpclip.methods.adapters.pool import read_view
    from lpclip.methods.adapters.tda import tda_probabilities

    probabilities = tda_probabilities(read_view(inputs["adapt"], settings.view, head), head)
    return pool_alone(head, probabilities, seeds)
