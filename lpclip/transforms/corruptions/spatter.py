"""Spatter: drops of water or mud on the lens, with the edge detector that the water needs."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lpclip.transforms.corruptions import filters
from lpclip.utils.rng import Stream

_WATER = (175 / 255, 238 / 255, 238 / 255)
_MUD = (63 / 255, 42 / 255, 20 / 255)
# OpenCV's 5x5 distances: a step along an axis, along a diagonal, and a knight's move.
_STEPS = {(0, 1): 1.0, (1, 1): 1.4, (1, 2): 2.1969}
_FARTHEST = 20


def spatter(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Drops of water (severities 1 to 3) or mud (4 and 5).

    p: mean and standard deviation of the liquid before smoothing, sigma of the smoothing, the
    threshold below which the lens is dry, strength of the water or sigma of the mud's edge, and
    1 for mud.
    """
    mean, deviation, sigma, threshold, strength, mud = p
    height, width = images.shape[-2:]
    liquid = stream.normal(1, height, width).mul_(deviation).add_(mean)
    liquid = filters.gaussian(liquid, sigma)
    if mud:
        cover = filters.gaussian((liquid > threshold).float(), strength)
        cover = cover * (cover >= 0.8)
        return images * (1 - cover) + cover * _colour(_MUD, images)
    liquid = liquid * (liquid >= threshold)
    # Above one, the 8-bit numbers of the reference wrap around.
    levels = liquid.mul(255).floor_().remainder_(256)
    shine = levels * _relief(levels)
    cover = shine / shine.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6) * strength
    return images + cover * _colour(_WATER, images)


def canny(levels: Tensor, *, low: float, high: float) -> Tensor:
    """Canny edges of 8-bit images [B, 1, H, W], as OpenCV finds them: bool [B, 1, H, W].

    Sobel gradients (3x3) with |gx| + |gy| as their size, kept where larger than both
    neighbours along the gradient, then all that are connected to one above `high`.
    """
    padded = F.pad(levels, (1, 1, 1, 1), mode="replicate")
    smooth_y = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    smooth_x = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    gx = smooth_y[..., 2:] - smooth_y[..., :-2]
    gy = smooth_x[:, :, 2:] - smooth_x[:, :, :-2]
    size = gx.abs() + gy.abs()
    around = F.pad(size, (1, 1, 1, 1))

    def neighbour(y: int, x: int) -> Tensor:
        height, width = size.shape[-2:]
        return around[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]

    tangent = 0.41421356  # of 22.5 degrees
    flat = gy.abs() < tangent * gx.abs()
    steep = gx.abs() < tangent * gy.abs()
    rising = (gx * gy) >= 0
    peak_x = (size > neighbour(0, -1)) & (size >= neighbour(0, 1))
    peak_y = (size > neighbour(-1, 0)) & (size >= neighbour(1, 0))
    peak_down = (size > neighbour(-1, -1)) & (size > neighbour(1, 1))
    peak_up = (size > neighbour(-1, 1)) & (size > neighbour(1, -1))
    diagonal = ~flat & ~steep
    peak = (flat & peak_x) | (steep & peak_y)
    peak |= diagonal & ((rising & peak_down) | (~rising & peak_up))
    weak = (peak & (size > low)).float()
    edges = (peak & (size > high)).float()
    while True:
        grown = F.max_pool2d(edges, 3, stride=1, padding=1) * weak
        if torch.equal(grown, edges):
            return edges > 0
        edges = grown


def _relief(levels: Tensor) -> Tensor:
    """Shading of the drops from the distance to their edges: [B, 1, H, W], 8-bit numbers."""
    distance = _equalise(_box(_distance(canny(levels, low=50, high=150))).floor_())
    padded = F.pad(distance, (1, 1, 1, 1), mode="reflect")
    height, width = levels.shape[-2:]
    relief = torch.zeros_like(distance)
    for y, row in enumerate(((-2, -1, 0), (-1, 1, 1), (0, 1, 2))):
        for x, weight in enumerate(row):
            relief.add_(padded[..., y : y + height, x : x + width], alpha=weight)
    return _box(relief.clamp_(0, 255)).round_()


def _distance(edges: Tensor) -> Tensor:
    """Chamfer distance to the nearest edge, at most 20: [B, 1, H, W]."""
    distance = torch.where(edges, 0.0, float(_FARTHEST))
    height, width = edges.shape[-2:]
    while True:
        padded = F.pad(distance, (2, 2, 2, 2), value=float(_FARTHEST))
        nearer = distance
        for (a, b), cost in _STEPS.items():
            for y, x in {(a, b), (a, -b), (-a, b), (-a, -b), (b, a), (b, -a), (-b, a), (-b, -a)}:
                moved = padded[..., 2 + y : 2 + y + height, 2 + x : 2 + x + width]
                nearer = torch.minimum(nearer, moved + cost)
        if torch.equal(nearer, distance):
            return distance
        distance = nearer


def _box(values: Tensor) -> Tensor:
    """Mean over 3x3 pixels, reflected about the border pixels."""
    padded = F.pad(values, (1, 1, 1, 1), mode="reflect")
    wide = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    return (wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]) / 9


def _equalise(values: Tensor) -> Tensor:
    """Histogram equalisation of 8-bit numbers [B, 1, H, W], as OpenCV does it."""
    levels = values.flatten(1).long()
    histogram = levels.new_zeros(len(levels), 256).scatter_add_(1, levels, torch.ones_like(levels))
    total = levels.shape[1]
    first = histogram.gather(1, levels.amin(dim=1, keepdim=True))
    below = histogram.cumsum(1) - first
    scaled = (below.float() * 255 / (total - first).clamp(min=1)).round_().clamp_(0, 255)
    # An image of one level stays as it is.
    table = torch.where(first == total, torch.arange(256, device=values.device), scaled)
    return table.gather(1, levels).reshape(values.shape)


def _colour(colour: tuple[float, float, float], images: Tensor) -> Tensor:
    return torch.tensor(colour, device=images.device)[:, None, None]
