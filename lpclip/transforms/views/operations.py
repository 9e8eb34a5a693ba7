"""The operations of strong views, batched: geometry in one warp, the others pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lpclip.utils.rng import Stream


def apply(images: Tensor, names: Sequence[str], chosen: Tensor, stream: Stream) -> Tensor:
    """Apply to each image the operation that was chosen for it; same type and shape.

    Args:
        images: float32 [B, 3, H, W] in [0, 1].
        names: operations of `lpclip.transforms.views.policies.OPERATIONS`.
        chosen: int64 [B], index into `names`; -1 leaves an image as it is.
        stream: one key per image.
    """
    result = images.clone()
    aspect = images.shape[3] / images.shape[2]
    warped, maps = [], []
    for number, name in enumerate(names):
        rows = (chosen == number).nonzero().squeeze(1)
        if len(rows) == 0:
            continue
        part = stream.select(rows)
        if name in GEOMETRY:
            warped.append(rows)
            maps.append(GEOMETRY[name](part, aspect))
        else:
            result[rows] = PIXELS[name](images[rows], part)
    if warped:
        rows = torch.cat(warped)
        result[rows] = warp(images[rows], torch.cat(maps))
    return result


def warp(images: Tensor, maps: Tensor) -> Tensor:
    """Affine warp with linear interpolation; pixels outside repeat the border.

    Args:
        images: [B, C, H, W].
        maps: [B, 6], (a, b, c, d, e, f): the pixel at (x, y) reads (a x + b y + c,
            d x + e y + f), where the image reaches from -1 to 1 along both axes.
    """
    height, width = images.shape[-2:]
    device = images.device
    y = ((2 * torch.arange(height, device=device) + 1) / height - 1)[:, None]
    x = (2 * torch.arange(width, device=device) + 1) / width - 1
    a, b, c, d, e, f = maps[:, :, None, None].unbind(dim=1)
    # Written out: the product of affine_grid may round differently with another batch.
    grid = torch.stack([a * x + b * y + c, d * x + e * y + f], dim=-1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def rotate(stream: Stream, aspect: float) -> Tensor:
    """By up to 25 degrees."""
    # In double precision, so that no rounding shows where the vectorised cosine ends.
    angle = stream.uniform(low=-25, high=25).double() * (torch.pi / 180)
    cosine, sine = angle.cos().float(), angle.sin().float()
    return _map(stream, a=cosine, b=-sine / aspect, d=sine * aspect, e=cosine)


def shear_x(stream: Stream, aspect: float) -> Tensor:
    """By up to 0.3 pixels per row."""
    return _map(stream, b=stream.uniform(low=-0.3, high=0.3) / aspect)


def shear_y(stream: Stream, aspect: float) -> Tensor:
    """By up to 0.3 pixels per column."""
    return _map(stream, d=stream.uniform(low=-0.3, high=0.3) * aspect)


def translate_x(stream: Stream, aspect: float) -> Tensor:  # noqa: ARG001
    """By up to 0.15 of the width."""
    return _map(stream, c=stream.uniform(low=-0.3, high=0.3))


def translate_y(stream: Stream, aspect: float) -> Tensor:  # noqa: ARG001
    """By up to 0.15 of the height."""
    return _map(stream, f=stream.uniform(low=-0.3, high=0.3))


def scale(stream: Stream, aspect: float) -> Tensor:  # noqa: ARG001
    """To between 0.8 and 1.3 of the size."""
    factor = stream.uniform(low=0.8, high=1.3).reciprocal()
    return _map(stream, a=factor, e=factor)


def posterise(images: Tensor, stream: Stream) -> Tensor:
    """Keep the highest 2 to 5 of 8 bits."""
    step = 2 ** (8 - stream.integers(1, 1, 1, low=2, high=6)).float()
    return (images * 255).round_().div_(step).floor_().mul_(step).div_(255)


def solarise(images: Tensor, stream: Stream) -> Tensor:
    """Invert what is at least as bright as a threshold between 0.5 and 1."""
    threshold = stream.uniform(1, 1, 1, low=0.5, high=1.0)
    bright = (images >= threshold).float()
    return images + bright * (1 - 2 * images)


def equalise(images: Tensor, stream: Stream) -> Tensor:  # noqa: ARG001
    """Histogram equalisation of each channel, as Pillow does it."""
    batch, channels, height, width = images.shape
    levels = (images * 255).round_().long().reshape(batch * channels, height * width)
    histogram = levels.new_zeros(len(levels), 256).scatter_add_(1, levels, torch.ones_like(levels))
    brightest = histogram.gather(1, levels.amax(dim=1, keepdim=True))
    step = (height * width - brightest) // 255
    below = histogram.cumsum(1) - histogram
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.gather(1, levels).reshape(images.shape).float().div_(255)


def erase(images: Tensor, stream: Stream) -> Tensor:
    """Cover a rectangle of 0.15 to 0.4 of each side with one colour."""
    height, width = images.shape[-2:]
    sides = stream["sides"].uniform(2, low=0.15, high=0.4)
    corner = stream["corner"].uniform(2) * (1 - sides)
    y = ((torch.arange(height, device=images.device) + 0.5) / height)[:, None]
    x = (torch.arange(width, device=images.device) + 0.5) / width
    top, left = corner[:, :, None, None].unbind(dim=1)
    bottom, right = (corner + sides)[:, :, None, None].unbind(dim=1)
    inside = ((y >= top) & (y < bottom) & (x >= left) & (x < right)).float()[:, None]
    colour = stream["colour"].uniform(3, 1, 1)
    return images + inside * (colour - images)


def noise(images: Tensor, stream: Stream) -> Tensor:
    """Add normal noise of a standard deviation of up to 0.15."""
    deviation = stream["deviation"].uniform(1, 1, 1, high=0.15)
    values = stream["values"].normal(*images.shape[1:])
    return (images + deviation * values).clamp_(0, 1)


def blur(images: Tensor, stream: Stream) -> Tensor:
    """Mix with a blurred copy: (1 2 1)/4 along both axes, twice."""
    share = stream.uniform(1, 1, 1, low=0.3)
    blurred = images
    for _ in range(2):
        padded = F.pad(blurred, (1, 1, 1, 1), mode="replicate")
        wide = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
        blurred = (wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]) / 16
    return images + share * (blurred - images)


def brightness(images: Tensor, stream: Stream) -> Tensor:
    """Add between -0.3 and 0.3."""
    return (images + stream.uniform(1, 1, 1, low=-0.3, high=0.3)).clamp_(0, 1)


def contrast(images: Tensor, stream: Stream) -> Tensor:
    """Scale the distance to mid-grey by 0.3 to 1.5."""
    return ((images - 0.5) * stream.uniform(1, 1, 1, low=0.3, high=1.5) + 0.5).clamp_(0, 1)


_GEOMETRY = (rotate, shear_x, shear_y, translate_x, translate_y, scale)
_PIXELS = (posterise, solarise, equalise, erase, noise, blur, brightness, contrast)
GEOMETRY = {function.__name__: function for function in _GEOMETRY}
PIXELS = {function.__name__: function for function in _PIXELS}


def _map(stream: Stream, **entries: Tensor) -> Tensor:
    """The identity [B, 6] with some of the entries a to f replaced."""
    zero = torch.zeros(len(stream.keys), device=stream.keys.device)
    default = {"a": zero + 1, "e": zero + 1}
    return torch.stack([entries.get(name, default.get(name, zero)) for name in "abcdef"], dim=1)
