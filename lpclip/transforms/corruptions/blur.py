"""Blur: defocus, glass, motion, zoom and Gaussian."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.fft import next_fast_len
from scipy.ndimage import correlate1d
from torch import Tensor

from lpclip.transforms.corruptions import filters
from lpclip.utils.rng import Stream

# Parameters of severities 1 to 5 per corruption and published set.
PARAMETERS: dict[str, dict[str, tuple[tuple[float, ...], ...]]] = {
    "defocus_blur": {
        "imagenet": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        "cifar": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    },
    "glass_blur": {
        "imagenet": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        "cifar": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    },
    "motion_blur": {
        "imagenet": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "cifar": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    },
    "zoom_blur": {
        "imagenet": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        "cifar": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    },
    "gaussian_blur": {
        "imagenet": ((1,), (2,), (3,), (4,), (6,)),
        "cifar": ((0.4,), (0.6,), (0.7,), (0.8,), (1,)),
    },
}


def defocus_blur(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Correlate with a disc whose edge is smoothed; p: radius, sigma of the smoothing.

    The disc is symmetric, so its correlation is its convolution, a product of Fourier transforms:
    in double precision, so that their rounding, which depends on the processor, changes no level.
    """
    disc = _disc(*p)
    height, width = images.shape[-2:]
    padded = _reflect(images, len(disc) // 2).double().contiguous()
    size = tuple(next_fast_len(length, real=True) for length in padded.shape[-2:])
    spectrum = torch.fft.rfft2(padded, s=size).mul_(_spectrum(*p, size, images.device))
    # The first sums would need pixels before the first one.
    first = len(disc) - 1
    blurred: Tensor = torch.fft.irfft2(spectrum, s=size)
    return blurred[..., first : first + height, first : first + width].float()


def glass_blur(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Blur, shuffle pixels locally, blur again; p: sigma, largest move, iterations.

    The reference visits the pixels from last to first and tries to swap each with a random
    neighbour, but its assignment of array views copies the neighbour instead. The published images
    were made this way, and so are these.
    """
    sigma, reach, iterations = p[0], int(p[1]), int(p[2])
    blurred = filters.gaussian(images, sigma).mul(255).add_(1e-3).floor_().div_(255)
    source: Tensor | None = None
    for iteration in range(iterations):
        moved = _neighbours(images.shape[-2:], reach, stream[iteration])
        source = moved if source is None else source.gather(1, moved)
    assert source is not None
    index = source[:, None].expand(-1, images.shape[1], -1)
    shuffled = blurred.flatten(2).gather(2, index).reshape(images.shape)
    return filters.gaussian(shuffled, sigma)


def motion_blur(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Blur along a line between -45 and 45 degrees; p: radius, sigma."""
    radius, sigma = p
    angles = stream["angle"].uniform(low=-45, high=45)
    blurred = filters.line_blur(images, angles, radius=radius, sigma=sigma)
    return filters.imagemagick_levels(blurred)


def zoom_blur(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Mean of the image and of enlarged copies of its middle; p: end and step of the factors."""
    factors = np.arange(1, *p)
    total = images.clone()
    for factor in factors:
        total += filters.clipped_zoom(images, float(factor))
    return total / (len(factors) + 1)


def gaussian_blur(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Gaussian filter; p: sigma."""
    return filters.gaussian(images, *p)


def _neighbours(size: torch.Size, reach: int, stream: Stream) -> Tensor:
    """Return the source pixel of each pixel after an iteration: int64 [B, H * W].

    The loop goes from pixel (H - reach, W - reach) down to (reach + 1, reach + 1) and gives each
    pixel the current value of a neighbour. A neighbour that was visited before already has a value
    from elsewhere; such chains are followed by pointer doubling.
    """
    height, width = size
    device = stream.keys.device
    first, last = reach + 1, (height - reach, width - reach)
    rows = torch.arange(first, last[0] + 1, device=device)[:, None]
    columns = torch.arange(first, last[1] + 1, device=device)
    shape = (len(rows), len(columns))
    here = rows * width + columns
    dx = stream["x"].integers(*shape, low=-reach, high=reach)
    dy = stream["y"].integers(*shape, low=-reach, high=reach)
    there = here + dy * width + dx
    n_pixels = height * width
    source = torch.arange(n_pixels, device=device).repeat(len(dx), 1)
    source[:, here.flatten()] = there.flatten(1)
    if reach == 1:  # moves go up or left only, to pixels not yet visited
        return source
    inside = (rows + dy >= first) & (rows + dy <= last[0])
    inside &= (columns + dx >= first) & (columns + dx <= last[1])
    walked = inside & (there > here)
    # Node n_pixels + k is "the new value of pixel k", node k "the old value of pixel k".
    old = torch.arange(n_pixels, device=device).expand_as(source)
    jump = torch.cat([old, source], dim=1)
    jump[:, n_pixels + here.flatten()] = (there + walked * n_pixels).flatten(1)
    while bool((jump >= n_pixels).any()):
        jump = jump.gather(1, jump)
    return jump[:, n_pixels:]


def _reflect(images: Tensor, reach: int) -> Tensor:
    """Pad by reflection about the border pixels, repeatedly for small images."""
    while reach > 0:
        step = min(reach, images.shape[-1] - 1, images.shape[-2] - 1)
        if step == 0:  # a line of pixels has nothing to reflect
            return F.pad(images, (reach, reach, reach, reach), mode="replicate")
        images = F.pad(images, (step, step, step, step), mode="reflect")
        reach -= step
    return images


@lru_cache(maxsize=16)
def _spectrum(
    radius: float, smoothing: float, size: tuple[int, int], device: torch.device
) -> Tensor:
    """Return the Fourier transform of the disc: complex128."""
    disc = torch.from_numpy(_disc(radius, smoothing))
    spectrum: Tensor = torch.fft.rfft2(disc, s=size)
    return spectrum.to(device)


@lru_cache(maxsize=16)
def _disc(radius: float, smoothing: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the reference's disc without its zero margin: [K, K] with K odd, sums to 1."""
    reach = 8 if radius <= 8 else int(radius)
    steps = np.arange(-reach, reach + 1)
    disc = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.float64)
    disc /= disc.sum()
    taps = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
    weights = np.exp(-(taps**2) / (2 * smoothing**2))
    weights /= weights.sum()
    for axis in (0, 1):  # "mirror" is OpenCV's default border
        disc = correlate1d(disc, weights, axis=axis, mode="mirror")
    margin = 0
    while margin < reach and disc[margin].max() < 1e-7:
        margin += 1
    return disc[margin : len(disc) - margin, margin : len(disc) - margin]
