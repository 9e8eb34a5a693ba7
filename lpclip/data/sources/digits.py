"""scikit-learn's handwritten digits, enlarged to 32x32, in a fixed stratified split."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from lpclip.data.base import Sample
from lpclip.data.paint import check_paint, paint
from lpclip.errors import LpclipError, check_known
from lpclip.types import IntArray
from lpclip.utils.packages import package_folder
from lpclip.utils.rng import sample_key

SPLITS = ("adapt", "test", "all")
_SIDE = 32


class Source:
    """1,797 grey 8x8 digits: 898 to adapt on, 899 to test on.

    The split is stratified and fixed: the digits of every class are ordered by a hash of their id
    and divided into halves, so it depends on no library's generator. ``samples`` keeps the order of
    the data set.

    Args:
        split: "adapt", "test" or "all".
        paint: "none" for white on black, "colours" for a random colour on another, "photographs"
            for a random patch of a photograph as background.
        seed: of the paint.

    Raises:
        LpclipError: no such split or paint.
    """

    class_names: Sequence[str] = tuple("0123456789")
    at_most = 1797

    def __init__(self, split: str, paint: str = "none", seed: int = 0) -> None:
        check_known(split, SPLITS, f"The digits have no split '{split}'.")
        check_paint(paint)
        self.split, self.paint, self.seed = split, paint, seed

    def samples(self) -> list[Sample]:
        """Return the digits of the split; id and path hold the row in scikit-learn's table."""
        _, labels = _load()
        adapt = _adapt_rows(labels)
        wanted = {"adapt": (True,), "test": (False,), "all": (True, False)}[self.split]
        return [
            Sample(_identifier(row), f"digits.csv@{row}", int(label))
            for row, label in enumerate(labels)
            if (row in adapt) in wanted
        ]

    def read(self, path: str) -> Image.Image:
        """Read one digit, white on black or painted, RGB 32x32; LpclipError if there is none."""
        levels, _ = _load()
        name, _, row = path.partition("@")
        if name != "digits.csv" or not row.isdecimal() or int(row) >= len(levels):
            raise LpclipError(
                f"The digits have no image '{path}'; paths are digits.csv@0 to "
                f"digits.csv@{len(levels) - 1}."
            )
        image = enlarge(levels[int(row)])
        return paint(image, self.paint, seed=self.seed, identifier=_identifier(int(row)))


def enlarge(levels: IntArray) -> Image.Image:
    """Enlarge an 8x8 image of counts 0..16 to a grey RGB image of 32x32 pixels, bicubically.

    >>> enlarge(np.full((8, 8), 16)).getpixel((0, 0))
    (255, 255, 255)
    """
    grey = np.rint(np.asarray(levels) * (255 / 16)).astype(np.uint8)
    return Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).convert("RGB")


@lru_cache(maxsize=1)
def _load() -> tuple[IntArray, IntArray]:
    """Load counts [1797, 8, 8] in 0..16 and labels [1797]."""
    path = package_folder("sklearn") / "datasets/data/digits.csv.gz"
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1]


def _adapt_rows(labels: IntArray) -> set[int]:
    """Return half of each class; the odd digit goes to the test and the adapt set in turn."""
    rows: set[int] = set()
    odd_classes = 0
    for label in range(10):
        members = np.flatnonzero(labels == label).tolist()
        members.sort(key=lambda row: sample_key(0, _identifier(row), "split"))
        half, odd = divmod(len(members), 2)
        odd_classes += odd
        rows.update(members[: half + (odd if odd_classes % 2 == 0 else 0)])
    return rows


def _identifier(row: int) -> str:
    return f"digit-{row:04d}"
