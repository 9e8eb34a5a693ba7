"""Pictures of frost: procedural ice crystals, or the user's photographs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import fourier_gaussian
from scipy.spatial import cKDTree
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.types import FloatArray

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_N_TEXTURES = 5


@lru_cache(maxsize=8)
def frost_textures(
    height: int, width: int, scale: float, folder: Path | None, device: torch.device
) -> list[Tensor]:
    """Pictures from which pieces of height x width are cut: float32 [3, H', W'] in [0, 1] each.

    Args:
        height: of the images to be covered.
        width: of the images to be covered.
        scale: by which a photograph is resized; the crystals are made that much smaller.
        folder: photographs, *.png and *.jpg; None for five procedural textures, which are
            always the same.
        device: where they are kept.

    Raises:
        LpclipError: the folder has no pictures, or one that is too small.
    """
    if folder is not None:
        pictures = [_photograph(path, height, width, scale) for path in _pictures(folder)]
    else:
        side = 3 * max(height, width) // 2
        pictures = [_crystals(side, scale, seed) for seed in range(_N_TEXTURES)]
    return [picture.to(device) for picture in pictures]


def _pictures(folder: Path) -> list[Path]:
    paths = []
    if folder.is_dir():
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
    if not paths:
        raise LpclipError(f"{folder} has no pictures of frost: expected a folder of PNG or JPEG.")
    return paths


def _photograph(path: Path, height: int, width: int, scale: float) -> Tensor:
    try:
        with Image.open(path) as file:
            picture = file.convert("RGB")
    except OSError as error:
        raise LpclipError(f"{path} cannot be read as a picture of frost: {error}.") from error
    if scale != 1:
        size = (int(picture.width * scale), int(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    if picture.height < height or picture.width < width:
        raise LpclipError(
            f"{path} is too small: {picture.width}x{picture.height} pixels after scaling by "
            f"{scale}, where the images have {width}x{height}."
        )
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float().div_(255)


def _crystals(side: int, scale: float, seed: int) -> Tensor:
    """Ferns of ice: each cell of a random tiling has an axis with barbs on both sides."""
    # The seed is part of the texture's definition; the user's seed picks pieces, not pictures.
    rng = np.random.default_rng(seed)
    pixel = 1 / scale  # of the photograph that the texture stands for
    extent = side * pixel
    y, x = np.mgrid[0:side, 0:side] * pixel
    warp = 18 * _noise(rng, side, 40 / pixel), 18 * _noise(rng, side, 40 / pixel)
    y, x = y + warp[0], x + warp[1]
    ice = np.zeros((side, side))
    for size, strength in ((180.0, 0.8), (100.0, 1.0), (50.0, 0.9), (25.0, 0.7)):
        ferns = _ferns(rng, x, y, extent, size)
        patches = np.clip(0.7 + 0.7 * _noise(rng, side, 0.7 * size / pixel), 0, 1)
        ice = np.maximum(ice, strength * ferns * patches)
    haze = np.clip(0.5 + 0.4 * _noise(rng, side, 60 / pixel), 0, 1)
    grain = np.clip(0.6 + 0.3 * _noise(rng, side, max(1.5 / pixel, 0.3)), 0, 1)
    light = np.clip(0.12 + 0.35 * haze * grain + 0.7 * ice * (0.6 + 0.4 * grain), 0, 1)
    # Shadows are blue, crystals white.
    tint = np.array([0.78, 0.92, 1.0])[:, None, None]
    colour = light * (tint + (1 - tint) * light)
    return torch.from_numpy(np.floor(colour * 255).astype(np.float32)).div_(255)


def _ferns(
    rng: np.random.Generator, x: FloatArray, y: FloatArray, extent: float, size: float
) -> FloatArray:
    """Brightness of one layer of ferns about `size` pixels long: [side, side] in [0, 1]."""
    n = max(4, int((extent / size) ** 2 * 1.5))
    centres, angles = rng.uniform(0, extent, (n, 2)), rng.uniform(0, 2 * np.pi, n)
    barbs, slopes = rng.uniform(size / 18, size / 10, n), rng.uniform(0.6, 1.4, n)
    cell = cKDTree(centres).query(np.stack([y, x], axis=-1))[1]
    dy, dx = y - centres[cell, 0], x - centres[cell, 1]
    cosine, sine = np.cos(angles)[cell], np.sin(angles)[cell]
    along, across = dx * cosine + dy * sine, np.abs(dy * cosine - dx * sine)
    stem = np.exp(-((across / (0.035 * size)) ** 2))
    phase = (along + slopes[cell] * across) / barbs[cell] % 1.0
    barb = (1 - np.abs(2 * phase - 1)) ** 3 * np.exp(-across / (0.45 * size))
    shine: FloatArray = np.maximum(stem, barb) * np.clip(1.6 - np.hypot(along, across) / size, 0, 1)
    return shine


def _noise(rng: np.random.Generator, side: int, smoothness: float) -> FloatArray:
    """Smooth noise with mean 0 and standard deviation 1: [side, side]."""
    smoothness = min(smoothness, side / 4)  # smoother than this, nothing is left on the torus
    spectrum = np.fft.fft2(rng.normal(size=(side, side)))
    field: FloatArray = np.fft.ifft2(fourier_gaussian(spectrum, smoothness)).real
    field -= field.mean()
    field /= field.std()
    return field
