"""Resize and crop on a device: Pillow's arithmetic as matrix products.

Pillow resizes images of 8 bits in two passes, along the rows and along the columns, with weights
rounded to 22 bits, and rounds to 8 bits after each (src/libImaging/Resample.c). This module does
the same with sums in float32, which rounds about one value in ten thousand differently.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import CenterCrop, InterpolationMode, Resize
from torchvision.transforms.functional import center_crop

from lpclip.types import FloatArray

_BITS = 22


@dataclass(frozen=True)
class Resampling:
    """Resize, then crop the middle."""

    resize: int | tuple[int, int]  # the short side in pixels, or height and width
    crop: tuple[int, int]  # height and width
    filter: InterpolationMode  # bicubic or bilinear

    def __call__(self, images: Tensor) -> Tensor:
        """Resize and crop images of one size, uint8 ``[n, 3, H, W]``, on any device."""
        height, width = images.shape[-2:]
        if (height, width) == self.crop == self.resized(height, width):
            return images
        return self.in_order(images, height_first=_height_first(self, height, width))

    def in_order(self, images: Tensor, *, height_first: bool) -> Tensor:
        """Resize and crop with one of the two passes first."""
        sizes = images.shape[-2:]
        rows, columns = (
            _weights(old, new, length, self.filter, images.device)
            for old, new, length in zip(sizes, self.resized(*sizes), self.crop, strict=True)
        )
        values = images.float()
        if height_first:
            changed = _eight_bits(rows @ values) @ columns.T
        else:
            changed = rows @ _eight_bits(values @ columns.T)
        return changed.add_(0.5).clamp_(0, 255).to(torch.uint8)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width before the crop, rounded as by torchvision's ``Resize``."""
        if not isinstance(self.resize, int):
            return self.resize
        if height <= width:
            return self.resize, int(self.resize * width / height)
        return int(self.resize * height / width), self.resize


def resampling_of(steps: Sequence[Any]) -> Resampling | None:
    """Return how the first of open_clip's transforms resize and crop; None for another kind."""
    if not steps or not isinstance(steps[0], Resize) or steps[0].interpolation not in _FILTERS:
        return None
    filter = steps[0].interpolation
    match [step.size for step in steps if isinstance(step, Resize | CenterCrop)]:
        case [int(short), (height, width)] if short == height == width:
            return Resampling(short, (height, width), filter)
        case [(height, width)]:
            return Resampling((height, width), (height, width), filter)
    return None


def _bicubic(x: FloatArray) -> FloatArray:
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _bilinear(x: FloatArray) -> FloatArray:
    return np.maximum(1 - x, 0.0)


# Weight as a function of the distance in new pixels, and its support.
_FILTERS: dict[InterpolationMode, tuple[Callable[[FloatArray], FloatArray], float]] = {
    InterpolationMode.BICUBIC: (_bicubic, 2.0),
    InterpolationMode.BILINEAR: (_bilinear, 1.0),
}


@lru_cache(maxsize=512)  # less than 1 MB each; copying would wait for all queued work of a GPU
def _weights(
    old: int, new: int, crop: int, filter: InterpolationMode, device: torch.device
) -> Tensor:
    """Weight of each old pixel in each new pixel of the crop, float32 ``[crop, old]``."""
    function, reach = _FILTERS[filter]
    scale = old / new
    wider = max(1.0, scale)
    first = round((new - crop) / 2)  # as torchvision's CenterCrop does
    middle = (np.arange(first, first + crop)[:, None] + 0.5) * scale
    place = np.arange(old)[None]
    start = np.maximum((middle - reach * wider + 0.5).astype(int), 0)
    end = (middle + reach * wider + 0.5).astype(int)
    weights = function(np.abs((place - middle + 0.5) / wider))
    weights *= (start <= place) & (place < end)
    weights /= weights.sum(axis=1, keepdims=True)
    # A float32 holds numbers of so many bits exactly.
    rounded = np.round(weights * 2.0**_BITS) / 2.0**_BITS
    return torch.from_numpy(rounded.astype(np.float32)).to(device)


@lru_cache(maxsize=4096)
def _height_first(resampling: Resampling, height: int, width: int) -> bool:
    """Whether Pillow resizes the height first, as it does for some tall images.

    Its rule is not documented, so it is tested on noise, for which the two orders differ.
    """
    if height <= width:
        return False
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    size = resampling.resized(height, width)
    made = Image.fromarray(noise).resize(size[::-1], Image.Resampling[resampling.filter.name])
    wanted = center_crop(torch.from_numpy(np.array(made)).permute(2, 0, 1), list(resampling.crop))
    width_first, height_first = (
        resampling.in_order(torch.from_numpy(noise).permute(2, 0, 1), height_first=first)
        for first in (False, True)
    )
    return bool(_distance(height_first, wanted) < _distance(width_first, wanted))


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return (one.float() - other.float()).abs().mean()


def _eight_bits(values: Tensor) -> Tensor:
    return values.add_(0.5).floor_().clamp_(0, 255)
