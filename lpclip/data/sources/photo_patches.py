"""Patches of scikit-learn's two sample photographs: a far out-of-distribution set."""

from functools import lru_cache

import numpy as np
from PIL import Image

from lpclip.data.base import UNLABELLED, Sample
from lpclip.errors import LpclipError
from lpclip.utils.packages import package_folder
from lpclip.utils.rng import sample_key

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_SIDE = 32


class Source:
    """``n`` square patches of random size (32 pixels to the photograph's height) and position.

    Args:
        n: number of patches, from each photograph in turn.
        seed: of sizes and positions.

    Raises:
        LpclipError: n is below 1.
    """

    class_names = None

    def __init__(self, n: int, seed: int = 0) -> None:
        if n < 1:
            raise LpclipError(f"A set of patches needs n of at least 1, not {n}.")
        self.n = self.at_most = n
        self.seed = seed

    def samples(self) -> list[Sample]:
        """Return patches without labels; a path is ``photograph@left,top,size`` in pixels."""
        samples = []
        for i in range(self.n):
            identifier = f"patch-{i:05d}"
            name = PHOTOGRAPHS[i % len(PHOTOGRAPHS)]
            generator = np.random.default_rng(sample_key(self.seed, identifier, "patch"))
            samples.append(Sample(identifier, random_place(name, generator), UNLABELLED))
        return samples

    def read(self, path: str) -> Image.Image:
        """Read one patch, see ``patch``."""
        return patch(path)


def random_place(name: str, generator: np.random.Generator) -> str:
    """Return the path of a patch of random size and position in a photograph."""
    width, height = _photograph(name).size
    # Uniform on a logarithmic scale: details and overviews are equally frequent.
    size = round(_SIDE * (min(width, height) / _SIDE) ** generator.random())
    left = int(generator.integers(width - size + 1))
    top = int(generator.integers(height - size + 1))
    return f"{name}@{left},{top},{size}"


def patch(path: str) -> Image.Image:
    """Read the patch at a path, RGB 32x32; LpclipError if it is not inside a photograph."""
    name, _, place = path.partition("@")
    numbers = place.split(",")
    if name in PHOTOGRAPHS and len(numbers) == 3 and all(n.isdecimal() for n in numbers):
        left, top, size = map(int, numbers)
        photograph = _photograph(name)
        if size and left + size <= photograph.width and top + size <= photograph.height:
            box = (left, top, left + size, top + size)
            return photograph.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, box=box)
    raise LpclipError(
        f"There is no patch '{path}'; a path is china.jpg@left,top,size, inside the photograph."
    )


@lru_cache(maxsize=len(PHOTOGRAPHS))
def _photograph(name: str) -> Image.Image:
    with Image.open(package_folder("sklearn") / "datasets/images" / name) as photograph:
        return photograph.convert("RGB")
