"""Settings of the explorer: the layout of its map, and how many images it shows."""

from typing import Literal, TypeAlias

from lpclip.utils.settings import Count, settings_class

Axes: TypeAlias = Literal["pca", "fisher", "umap"]
MOST_POINTS = 20_000


@settings_class
class Explorer:
    """The map of images, results/explorer.html."""

    layout: Axes = "pca"
    """Axes of the map, computed without a label and the same for every method: pca, the two
    directions in which the unlabelled images differ most; fisher, those that separate the classes
    that zero-shot gives them best; umap, which needs pip install 'lpclip[umap]'."""
    points: Count = MOST_POINTS
    """At most so many images in all; of more a random sample, the same one for every model and
    method. Smaller datasets are kept whole."""
