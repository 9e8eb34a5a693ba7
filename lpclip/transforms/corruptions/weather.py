"""Weather: snow, frost, fog, brightness and spatter."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lpclip.transforms.corruptions import filters
from lpclip.transforms.corruptions.frost import frost_textures
from lpclip.transforms.corruptions.spatter import spatter
from lpclip.utils.rng import Stream

__all__ = ["PARAMETERS", "brightness", "fog", "frost", "snow", "spatter"]

# Parameters of severities 1 to 5 per corruption and published set.
PARAMETERS: dict[str, dict[str, tuple[tuple[float, ...], ...]]] = {
    "snow": {
        "imagenet": (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        "cifar": (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    },
    # The last number is the scale of the photographs, 0.2 for 32-pixel images.
    "frost": {
        "imagenet": ((1, 0.4, 1), (0.8, 0.6, 1), (0.7, 0.7, 1), (0.65, 0.7, 1), (0.6, 0.75, 1)),
        "cifar": (
            (1, 0.2, 0.2),
            (1, 0.3, 0.2),
            (0.9, 0.4, 0.2),
            (0.85, 0.4, 0.2),
            (0.75, 0.45, 0.2),
        ),
    },
    "fog": {
        "imagenet": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        "cifar": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    },
    "brightness": {
        "imagenet": ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
        "cifar": ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
    },
    "spatter": {
        "imagenet": (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
        "cifar": (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
    },
}


def snow(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Flakes blurred along a steep line, over a whitened image.

    p: mean and standard deviation of the flakes, their zoom, the threshold below which there is
    none, radius and sigma of the motion blur, weight of the image against its whitened self.
    """
    mean, deviation, zoom, threshold, radius, sigma, weight = p
    height, width = images.shape[-2:]
    layer = stream["flakes"].normal(1, height, width).mul_(deviation).add_(mean)
    layer = filters.clipped_zoom(layer, zoom)
    layer = layer * (layer >= threshold)
    layer = layer.clamp(0, 1).mul_(255).floor_().div_(255)  # stored with 8 bits
    angles = stream["angle"].uniform(low=-135, high=-45)
    layer = filters.line_blur(layer, angles, radius=radius, sigma=sigma)
    layer = filters.imagemagick_levels(layer)
    red, green, blue = images.unbind(dim=1)
    grey = (red * 0.299 + green * 0.587 + blue * 0.114)[:, None]
    white = torch.maximum(images, grey * 1.5 + 0.5)
    return weight * images + (1 - weight) * white + layer + layer.flip(2, 3)


def frost(
    images: Tensor, p: tuple[float, ...], stream: Stream, *, folder: Path | None = None
) -> Tensor:
    """Add a random piece of a picture of frost, see `frost_textures`.

    p: weight of the image, weight of the frost, scale of the photographs.
    """
    image_weight, frost_weight, scale = p
    height, width = images.shape[-2:]
    textures = frost_textures(height, width, scale, folder, images.device)
    which = stream["texture"].integers(high=len(textures)).tolist()
    place = stream["place"].uniform(2).double().tolist()
    pieces = []
    for number, (down, right) in zip(which, place, strict=True):
        texture = textures[number]
        top = int(down * (texture.shape[1] - height))
        left = int(right * (texture.shape[2] - width))
        pieces.append(texture[:, top : top + height, left : left + width])
    return image_weight * images + frost_weight * torch.stack(pieces)


def fog(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Add a plasma fractal and scale back to the brightest value; p: weight, decay of detail."""
    weight, decay = p
    height, width = images.shape[-2:]
    size = 1 << (max(height, width) - 1).bit_length()
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    mist = _plasma_fractal(size, decay, stream)[:, None, :height, :width]
    return (images + weight * mist) * (brightest / (brightest + weight))


def brightness(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Raise the value of HSV; p: by how much."""
    (amount,) = p
    value = images.amax(dim=1, keepdim=True)  # all channels grow in proportion to it
    target = (value + amount).clamp_(max=1)
    return torch.where(value > 0, images * (target / value.clamp(min=1e-6)), target)


def _plasma_fractal(size: int, decay: float, stream: Stream) -> Tensor:
    """Height map of the diamond-square algorithm on a torus, scaled to 0..1: [B, size, size].

    The displacement starts at 100^2, and its root shrinks by `decay` at every halving, as in the
    reference.
    """
    draws = stream.uniform(size * size, low=-1, high=1)
    heights = draws.new_zeros(len(draws), size, size)
    used = 0

    def displaced(total: Tensor, root: float) -> Tensor:
        nonlocal used
        count = total[0].numel()
        noise = draws[:, used : used + count].reshape(total.shape)
        used += count
        return total / 4 + root * root * noise

    step, root = size, 100.0
    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        total = corners + corners.roll(-1, 1)
        centres = displaced(total + total.roll(-1, 2), root)
        heights[:, half::step, half::step] = centres
        row_total = centres + centres.roll(1, 1) + corners + corners.roll(-1, 2)
        heights[:, ::step, half::step] = displaced(row_total, root)
        column_total = centres + centres.roll(1, 2) + corners + corners.roll(-1, 1)
        heights[:, half::step, ::step] = displaced(column_total, root)
        step, root = half, root / decay
    heights -= heights.amin(dim=(1, 2), keepdim=True)
    return heights / heights.amax(dim=(1, 2), keepdim=True)
