"""Unusual image files and, where they can be known without a decoder, their pixels.

Most files are assembled byte by byte (``zoo_parts``), so that their pixels follow from the
specifications of the formats. For lossy formats only the orientation and the shape are known: the
expected pixels are those of the same file without the unusual feature.
"""

import struct
from collections.abc import Mapping
from functools import cache

import numpy as np

from tests.helpers.zoo_exact import bitmaps, films, others, pngs, tiffs
from tests.helpers.zoo_jpegs import jpegs, turned_jpegs
from tests.helpers.zoo_parts import DEEP, NOISE, PHOTO, Odd, chunk, encoded, png, tiff


@cache
def zoo() -> Mapping[str, Odd]:
    """Return all files by name."""
    kinds = (jpegs, turned_jpegs, pngs, tiffs, bitmaps, films, others, bad)
    return {name: odd for kind in kinds for name, odd in kind().items()}


def bad() -> dict[str, Odd]:
    """Return files that must be rejected."""
    plain = encoded(PHOTO, "JPEG")
    huge = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", huge)
    return {
        "cut.jpg": Odd(plain[:-60], "truncated"),
        "cut-in-header.jpg": Odd(plain[:100] + b"\xff\xd9", ""),
        "cut.png": Odd(png(NOISE, 8, 2)[:-40], ""),
        "cut.tif": Odd(tiff(DEEP, 16, 2)[:100], ""),
        "cut.webp": Odd(encoded(NOISE, "WEBP")[:-20], ""),
        "empty.jpg": Odd(b"", "the file is empty"),
        "text.jpg": Odd(b"I am a photograph, honestly.", "not an image of a known format"),
        "program.eps": Odd(b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image of a known format"),
        "icon.ico": Odd(encoded(NOISE, "ICO"), "not an image of a known format"),
        "targa.tga": Odd(encoded(NOISE, "TGA"), "not an image of a known format"),
        "drawing.svg": Odd(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        "thread.png": Odd(png(np.zeros((1, 201, 1), int), 8, 0), "more than 200 times"),
        "thread.jpg": Odd(encoded(np.zeros((1, 400), np.uint8), "JPEG"), "more than 200 times"),
        "huge.png": Odd(header + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "89,478,485 pixels"),
    }
