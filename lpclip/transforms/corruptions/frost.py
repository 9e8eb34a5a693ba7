"""Pictures of frost, procedural or the user's photographs, at the scale of the images."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image, ImageOps
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.transforms.corruptions.crystals import LOOKS, crystals
from lpclip.types import IntArray

_SUFFIXES = {".png", ".jpg", ".jpeg"}
# The published script has six pictures and takes one with `randint(5)`: never the sixth.
_PUBLISHED = [f"frost{number}" for number in range(1, 7)]
_N_USED = 5


@lru_cache(maxsize=8)
def frost_textures(
    height: int, width: int, scale: float, folder: Path | None, device: torch.device
) -> list[Tensor]:
    """Return pictures to crop pieces of height x width from: float32 [3, H', W'] in [0, 1] each.

    They are the photographs in the folder, *.png and *.jpg, or without one five procedural
    textures, always the same; their size is multiplied by the scale.

    Raises:
        LpclipError: the folder has no pictures, or one that cannot be read.
    """
    pictures = map(_photograph, _pictures(folder)) if folder else map(crystals, range(len(LOOKS)))
    return [_resize(picture, height, width, scale).to(device) for picture in pictures]


def _pictures(folder: Path) -> list[Path]:
    inside = folder.iterdir() if folder.is_dir() else ()
    paths = sorted(path for path in inside if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise LpclipError(f"{folder} has no pictures of frost: expected a folder of PNG or JPEG.")
    return paths[:_N_USED] if [path.stem for path in paths] == _PUBLISHED else paths


def _photograph(path: Path) -> IntArray:
    """Read a picture of frost from a file: uint8 [H, W, 3]."""
    try:
        with Image.open(path) as file:
            if file.mode[0] in "IF":
                raise LpclipError(f"{path} has more than 8 bits per channel: save it with 8.")
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise LpclipError(f"{path} cannot be read as a picture of frost: {error}.") from error
    return np.array(picture)


def _resize(picture: IntArray, height: int, width: int, scale: float) -> Tensor:
    """Fraction of white, at the published scale: float32 [3, H', W'] in multiples of 1/255.

    As OpenCV's resize in the published script: linear between the nearest pixels, without
    antialiasing, so that a scale of 0.2 takes every fifth pixel. Where the picture would not
    cover the images (the script fails there), it is resized to 1.1 times the smallest size that
    does, bicubically where this enlarges it, as the package imagecorruptions does.
    """
    old = picture.shape[0], picture.shape[1]
    size = round(old[0] * scale), round(old[1] * scale)
    steps = 1 / scale, 1 / scale  # pixels of the old picture per pixel of the new one
    if size[0] < height or size[1] < width:
        scale = 1.1 * max(height / old[0], width / old[1])
        size = math.ceil(old[0] * scale), math.ceil(old[1] * scale)
        steps = old[0] / size[0], old[1] / size[1]
    levels = torch.from_numpy(picture).permute(2, 0, 1).double()
    if size != old:
        # grid_sample counts positions from -1 to 1, from edge to edge.
        y, x = (
            (torch.arange(n, dtype=torch.float64) + 0.5) * step * 2 / length - 1
            for n, step, length in zip(size, steps, old, strict=True)
        )
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        mode = "bicubic" if scale > 1 else "bilinear"
        levels = F.grid_sample(levels[None], grid[None], mode, "border", align_corners=False)[0]
    return levels.round_().clamp_(0, 255).float().div_(255)
