"""The characters that the embedded CLIP was trained on, and their shapes in many fonts.

The fonts come with matplotlib; only bitmaps are made from them.
"""

from __future__ import annotations

import string
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from torch import Tensor

DIGITS = string.digits
LETTERS = string.ascii_letters
SYMBOLS = "!#$%&()*+/<=>?@[]{}~"
CHARACTERS = DIGITS + LETTERS + SYMBOLS

# Fonts whose glyphs match their code points. The others that matplotlib ships hold
# placeholders (LastResort), parts of large symbols (STIXSiz*, cmex10) or no Latin text (cmsy10,
# STIXNonUni*, DejaVu*Display). TeX's text fonts have other symbols at ASCII positions, and cmmi10
# also has old-style digits.
_STYLES = ("", "-Bold", "-BoldOblique", "-Oblique")
_ALL_CHARACTERS = (
    *(f"DejaVuSans{width}{style}" for width in ("", "Mono") for style in _STYLES),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-BoldItalic", "-Italic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "BolIta", "Italic")),
)
_LETTERS_AND_DIGITS = ("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10")
_LETTERS_ONLY = ("cmmi10",)

MASK_SIZE = 48
_FONT_SIZE = 42


class Glyphs(NamedTuple):
    """All masks, and the positions of each character's masks.

    Attributes:
        masks: float32 [M, 48, 48] in 0..1, 1 where there is ink, centred.
        first: int64 [82], index of the first mask of each of ``CHARACTERS``.
        fonts: int64 [82], number of its masks, one per font.
    """

    masks: Tensor
    first: Tensor
    fonts: Tensor


@lru_cache(maxsize=1)
def glyphs() -> Glyphs:
    """Return masks of every character in every usable font; takes a second, once per process."""
    # Imported here, since every start of Snakemake opens the sources, which need only the names.
    import matplotlib
    import torch
    from matplotlib.ft2font import FT2Font

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    shapes: dict[str, list[npt.NDArray[np.uint8]]] = {character: [] for character in CHARACTERS}
    for names, characters in (
        (_ALL_CHARACTERS, CHARACTERS),
        (_LETTERS_AND_DIGITS, DIGITS + LETTERS),
        (_LETTERS_ONLY, LETTERS),
    ):
        for name in names:
            file = folder / f"{name}.ttf"
            if not file.exists():
                continue
            present = FT2Font(str(file)).get_charmap()
            font = ImageFont.truetype(str(file), _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
            for character in characters:
                if ord(character) in present:
                    shapes[character].append(_mask(font, character))
    counts = torch.tensor([len(masks) for masks in shapes.values()])
    masks = torch.from_numpy(np.stack([one for found in shapes.values() for one in found]))
    return Glyphs(masks.float() / 255, torch.cumsum(counts, dim=0) - counts, counts)


def _mask(font: ImageFont.FreeTypeFont, character: str) -> npt.NDArray[np.uint8]:
    """Render a character, centred, uint8 [48, 48]; wide glyphs are shrunk to fit."""
    left, top, right, bottom = font.getbbox(character)
    width, height = int(np.ceil(right - left)), int(np.ceil(bottom - top))
    side = max(width, height, MASK_SIZE)
    image = Image.new("L", (side, side))
    corner = ((side - width) // 2 - left, (side - height) // 2 - top)
    ImageDraw.Draw(image).text(corner, character, fill=255, font=font)
    if side > MASK_SIZE:
        image = image.resize((MASK_SIZE, MASK_SIZE), Image.Resampling.BICUBIC)
    return np.asarray(image)
