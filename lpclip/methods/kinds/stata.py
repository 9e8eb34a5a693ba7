"""StatA: Gaussian classes that are anchored to the text (Zanella et al., CVPR 2025).

Images outside the pool are predicted by a linear head: the likelihood of the Gaussians that were
fitted on the pool, with the text's prediction. They have no neighbours in the pool's graph, so that
term is left out. For the pool's own images the method's assignments are kept as well.

No file that this module can reach holds a label.
"""

from collections.abc import Sequence

from lpclip.methods.adapters.settings import AdapterSettings
from lpclip.methods.base import Inputs, without_seeds
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.settings import Count, NotNegative, settings_class

NEEDS: tuple[str, ...] = ("adapt",)
SEEDED = False


@settings_class
class Settings(AdapterSettings):
    """The settings of the paper."""

    anchor: NotNegative = 1.0
    """Weight of the anchor to the text, as a number of images of each class."""
    neighbours: Count = 3
    """Nearest neighbours that each image is drawn to."""
    iterations: Count = 10
    """Updates of assignments and Gaussians."""


def fit(head: ZeroShotHead, inputs: Inputs, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return zero-shot, the Gaussians' head, and the assignments of the pool."""
    # SciPy, which no start of Snakemake has to wait for.
    from lpclip.methods.adapters.pool import read_view
    from lpclip.methods.adapters.stata import stata

    gaussians, assigned = stata(
        read_view(inputs["adapt"], settings.view, head),
        head,
        anchor=settings.anchor,
        neighbours=settings.neighbours,
        iterations=settings.iterations,
    )
    weight, bias = gaussians.with_text(head)
    return without_seeds(head, weight, bias, seeds, probabilities=assigned)
