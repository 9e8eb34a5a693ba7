"""Linear filters that several corruptions share: Gaussian, line and zoom, batched."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.ndimage import gaussian_filter1d
from torch import Tensor


def gaussian(
    images: Tensor, sigma: float, *, truncate: float = 4.0, mode: str = "nearest"
) -> Tensor:
    """Gaussian filter of [B, C, H, W]; `truncate` and `mode` as in scipy.ndimage.

    The defaults are those of skimage.filters.gaussian, which the reference calls.
    """
    if int(truncate * sigma + 0.5) == 0:
        return images
    rows, columns = (
        _gaussian_matrix(length, sigma, truncate, mode, images.device)
        for length in images.shape[-2:]
    )
    # Batched products of one fixed size, so that the rounding does not depend on the batch.
    flat = images.flatten(0, 1)
    flat = torch.bmm(flat, columns.T.expand(len(flat), -1, -1))
    return torch.bmm(rows.expand(len(flat), -1, -1), flat).reshape(images.shape)


def line_blur(images: Tensor, angles: Tensor, *, radius: float, sigma: float) -> Tensor:
    """Motion blur as ImageMagick defines it: a one-sided Gaussian along a line.

    Tap i of 2 radius + 1 has the weight exp(-i^2 / (2 sigma^2)), normalised, and reads the pixel
    at ceil(i (cos a, sin a) - 0.5) from here; pixels outside repeat the border. Images are
    [B, C, H, W], angles [B], in degrees, clockwise from the x axis, radius and sigma in pixels.
    """
    taps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    large = weights > 1e-5 * weights.sum()
    taps, weights = taps[large], weights[large] / weights[large].sum()
    steps = torch.from_numpy(taps).to(angles.device, torch.float64)
    radians = angles.double() * (torch.pi / 180)
    directions = torch.stack([radians.sin(), radians.cos()], dim=1)
    offsets = (directions[:, :, None] * steps - 0.5).ceil().long()  # [B, (y, x), taps]

    reach = int(offsets.abs().max())
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    blur = _sum_of_gathered if images.is_cuda else _sum_of_slices
    return blur(padded, offsets + reach, weights.tolist(), images.shape[-2:])


def imagemagick_levels(images: Tensor) -> Tensor:
    """Fractions of white as ImageMagick writes them with 8 bits: in multiples of 1/255.

    It rounds to 16 bits and drops the lower 8 when it writes the PNG that the reference reads.
    """
    return images.mul(65535).round_().div_(257).floor_().div_(255)


def _sum_of_slices(
    padded: Tensor, offsets: Tensor, weights: list[float], size: torch.Size
) -> Tensor:
    """Weighted sum of shifted copies [B, C, *size] of `padded`, path by path.

    The T copies of each image begin at `offsets`, int64 [B, 2, T], y and x.
    """
    height, width = size
    result = padded.new_empty(*padded.shape[:2], *size)
    # Samples whose angles round to the same pixels are blurred together.
    paths, members = torch.unique(offsets, dim=0, return_inverse=True)
    for number, (path_y, path_x) in enumerate(paths.tolist()):
        rows = (members == number).nonzero().squeeze(1)
        source = padded[rows]
        blurred = torch.zeros_like(source[..., :height, :width])
        for weight, y, x in zip(weights, path_y, path_x, strict=False):
            blurred.add_(source[..., y : y + height, x : x + width], alpha=weight)
        result[rows] = blurred
    return result


def _sum_of_gathered(
    padded: Tensor, offsets: Tensor, weights: list[float], size: torch.Size
) -> Tensor:
    """As ``_sum_of_slices``, all samples at once: for a GPU, on which many small steps are slow."""
    wide = padded.shape[3]
    y, x = (torch.arange(length, device=padded.device) for length in size)
    here = (y[:, None] * wide + x).flatten()
    starts = offsets[:, 0] * wide + offsets[:, 1]
    flat = padded.flatten(2)
    result = torch.zeros_like(flat[..., : len(here)])
    for weight, start in zip(weights, starts.unbind(1), strict=False):
        index = (start[:, None] + here)[:, None].expand(-1, flat.shape[1], -1)
        result.add_(flat.gather(2, index), alpha=weight)
    return result.reshape(*padded.shape[:2], *size)


def clipped_zoom(images: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of [B, C, H, W] by `factor`, linearly, to the same size.

    As scipy.ndimage.zoom does: corner pixels map to corner pixels, the enlarged size is rounded,
    and the excess is trimmed on both sides.
    """
    height, width = images.shape[-2:]
    crop_height, crop_width = int(np.ceil(height / factor)), int(np.ceil(width / factor))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    cropped = images[..., top : top + crop_height, left : left + crop_width]
    size = (round(crop_height * factor), round(crop_width * factor))
    zoomed = F.interpolate(cropped, size=size, mode="bilinear", align_corners=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return zoomed[..., top : top + height, left : left + width]


@lru_cache(maxsize=64)
def _gaussian_matrix(
    size: int, sigma: float, truncate: float, mode: str, device: torch.device
) -> Tensor:
    """The filter along one axis as a matrix, borders folded in: float32 [size, size]."""
    matrix = gaussian_filter1d(np.eye(size), sigma, axis=0, truncate=truncate, mode=mode)
    return torch.from_numpy(matrix.astype(np.float32)).to(device)
