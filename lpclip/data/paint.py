"""Random colours and photographs as backgrounds of images that are white on black."""

import numpy as np
from PIL import Image

from lpclip.data.sources.photo_patches import PHOTOGRAPHS, patch, random_place
from lpclip.errors import check_known
from lpclip.types import FloatArray, IntArray
from lpclip.utils.rng import sample_key

PAINTS = ("none", "colours", "photographs")
LEAST_CONTRAST = 0.35
# Rec. 601 luma of RGB, as in Pillow's conversion to grey.
_LUMINANCE = np.array([0.299, 0.587, 0.114])


def check_paint(name: str) -> None:
    """Refuse the name of an unknown paint."""
    check_known(name, PAINTS, f"Unknown paint '{name}'.")


def paint(image: Image.Image, name: str, *, seed: int, identifier: str) -> Image.Image:
    """Paint an RGB image, white on black, by its grey values as opacity: RGB of the same size.

    "colours": one random colour on another, at least ``LEAST_CONTRAST`` apart in luminance.
    "photographs": white on a random patch of a photograph, which may be bright, too.
    "none": the image itself.
    Seed and identifier of the image determine colours and patch.
    """
    if name == "none":
        return image
    generator = np.random.default_rng(sample_key(seed, identifier, f"paint/{name}"))
    opacity = np.asarray(image.convert("L"))[..., None] / 255
    if name == "colours":
        foreground, background = random_colours(generator)
        return _blend(foreground.astype(float), background.astype(float), opacity)
    photograph = PHOTOGRAPHS[int(generator.integers(len(PHOTOGRAPHS)))]
    behind = patch(random_place(photograph, generator)).resize(image.size)
    return _blend(np.array(255.0), np.asarray(behind, dtype=float), opacity)


def random_colours(generator: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Sample two uniform RGB colours, int64 [3] in 0..255, until their contrast suffices."""
    while True:
        pair = generator.integers(256, size=(2, 3))
        if contrast(pair[0], pair[1]) >= LEAST_CONTRAST:
            return pair[0], pair[1]


def contrast(one: IntArray, other: IntArray) -> float:
    """Return the difference in luminance (luma of Rec. 601) of two RGB colours [3], in 0..1.

    >>> round(contrast(np.array([255, 255, 255]), np.array([0, 0, 0])), 6)
    1.0
    """
    return float(abs((one - other) @ _LUMINANCE)) / 255


def _blend(foreground: FloatArray, background: FloatArray, opacity: FloatArray) -> Image.Image:
    mixed = background + (foreground - background) * opacity
    return Image.fromarray(np.rint(mixed).astype(np.uint8))
