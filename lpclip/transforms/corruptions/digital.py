"""Digital: contrast, elastic transform, pixelate, JPEG compression and saturate."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from io import BytesIO
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.transforms.corruptions import filters
from lpclip.utils.rng import Stream

Levels: TypeAlias = npt.NDArray[np.uint8]

# Parameters of severities 1 to 5 per corruption and published set.
PARAMETERS: dict[str, dict[str, tuple[tuple[float, ...], ...]]] = {
    "contrast": {
        "imagenet": ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
        "cifar": ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
    },
    "elastic_transform": {
        # 244, not 224, in the published script.
        "imagenet": (
            (244 * 2, 244 * 0.7, 244 * 0.1),
            (244 * 2, 244 * 0.08, 244 * 0.2),
            (244 * 0.05, 244 * 0.01, 244 * 0.02),
            (244 * 0.07, 244 * 0.01, 244 * 0.02),
            (244 * 0.12, 244 * 0.01, 244 * 0.02),
        ),
        "cifar": (
            (0, 0, 32 * 0.08),
            (32 * 0.05, 32 * 0.2, 32 * 0.07),
            (32 * 0.08, 32 * 0.06, 32 * 0.06),
            (32 * 0.1, 32 * 0.04, 32 * 0.05),
            (32 * 0.1, 32 * 0.03, 32 * 0.03),
        ),
    },
    "pixelate": {
        "imagenet": ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
        "cifar": ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
    },
    "jpeg_compression": {
        "imagenet": ((25,), (18,), (15,), (10,), (7,)),
        "cifar": ((80,), (65,), (58,), (50,), (40,)),
    },
    "saturate": {
        "imagenet": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
        "cifar": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    },
}


def contrast(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Shrink each channel towards its mean; p: the factor."""
    (factor,) = p
    # Sums of whole levels are exact in any order.
    total = (images * 255).round_().long().sum(dim=(2, 3), keepdim=True)
    mean = (total.double() / (255 * images.shape[2] * images.shape[3])).float()
    return (images - mean) * factor + mean


def elastic_transform(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:
    """Random affine map, then a smooth random displacement.

    p: size of the displacement, sigma of its smoothing, largest move of the three points that
    define the affine map; all in pixels.
    """
    size, sigma, move = p
    height, width = images.shape[-2:]
    y = torch.arange(height, dtype=torch.float32, device=images.device)[:, None]
    x = torch.arange(width, dtype=torch.float32, device=images.device)

    inverse = _inverse_affine(stream["points"].uniform(3, 2, low=-move, high=move), height, width)
    to_x = inverse[:, 0, 0, None, None] * x + inverse[:, 0, 1, None, None] * y
    to_y = inverse[:, 1, 0, None, None] * x + inverse[:, 1, 1, None, None] * y
    to_x, to_y = to_x + inverse[:, 0, 2, None, None], to_y + inverse[:, 1, 2, None, None]
    # Reflection about the border pixels: OpenCV's BORDER_REFLECT_101.
    images = _sample(images, to_x, to_y, align_corners=True)
    if size == 0:
        return images
    field = stream["field"].uniform(2, height, width, low=-1, high=1)
    field = filters.gaussian(field, sigma, truncate=3.0, mode="reflect") * size
    # Reflection about the outer edges: SciPy's mode "reflect".
    return _sample(images, x + field[:, 0], y + field[:, 1], align_corners=False)


def pixelate(levels: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Shrink and enlarge uint8 images with box filters, as Pillow does; p: the factor."""
    (factor,) = p
    size = levels.shape[2:]
    small_size = tuple(int(length * factor) for length in size)
    if 0 in small_size:
        raise LpclipError(f"Images of {size[0]} x {size[1]} pixels are too small for pixelate.")
    shrink = _shrink_by_pillow if levels.device.type == "cpu" else shrink_by_boxes
    small = shrink(levels, *small_size)
    to_y, to_x = (_nearest(*lengths) for lengths in zip(size, small_size, strict=True))
    if small.device.type != "cpu":
        return small.index_select(3, to_x.to(small.device)).index_select(2, to_y.to(small.device))
    wide = np.take(small.numpy(), to_x.numpy(), axis=3)  # in a third of torch's time
    return torch.from_numpy(np.take(wide, to_y.numpy(), axis=2))


def jpeg_compression(levels: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Store as JPEG (4:2:0) and read again; p: the quality. Takes and returns uint8.

    Runs through Pillow, as the reference does, on the CPU: one image at a time, those of a GPU in
    as many threads as torch has there. JPEG codecs of GPUs give different pixels.
    """
    host = levels.cpu().contiguous()
    result = torch.empty(host.shape, dtype=torch.uint8, pin_memory=levels.is_cuda)
    compress = partial(_through_jpeg, quality=int(p[0]))
    images, results = host.numpy(), result.numpy()
    if levels.is_cuda:
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            list(threads.map(compress, images, results))
    else:
        for image, changed in zip(images, results, strict=True):
            compress(image, changed)
    return result.to(levels.device)


def saturate(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Scale and shift the saturation of HSV; p: factor, shift.

    With hue and value fixed, the distance of a channel from the value is in proportion to the
    saturation. Grey has the hue of red.
    """
    factor, shift = p
    value = images.amax(dim=1, keepdim=True)
    spread = value - images.amin(dim=1, keepdim=True)
    saturation = spread / value.clamp(min=1e-6)
    target = (saturation * factor + shift).clamp_(0, 1) * value
    red = torch.tensor([0.0, 1.0, 1.0], device=images.device)[:, None, None]
    share = torch.where(spread > 0, (value - images) / spread.clamp(min=1e-6), red)
    return value - share * target


def _inverse_affine(moves: Tensor, height: int, width: int) -> Tensor:
    """Inverse of the affine map that moves three points by [B, 3, 2] pixels: float32 [B, 2, 3]."""
    # The reference takes (H, W) for (x, y) here; its images are square.
    a, b = float(height // 2), float(width // 2)
    square = float(min(height, width) // 3)
    points = [[a + square, b + square], [a + square, b - square], [a - square, b - square]]
    before = torch.tensor(points, dtype=torch.float64, device=moves.device)
    after = before + moves.double()
    # Cramer's rule, elementwise: the rounding does not depend on the batch.
    x, y = after[..., 0], after[..., 1]
    x10, y10 = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    x20, y20 = x[:, 2] - x[:, 0], y[:, 2] - y[:, 0]
    determinant = x10 * y20 - x20 * y10
    rows = []
    for target in (before[:, 0], before[:, 1]):
        t10, t20 = target[1] - target[0], target[2] - target[0]
        along_x = (t10 * y20 - t20 * y10) / determinant
        along_y = (x10 * t20 - x20 * t10) / determinant
        start = target[0] - along_x * x[:, 0] - along_y * y[:, 0]
        rows.append(torch.stack([along_x, along_y, start], dim=1))
    return torch.stack(rows, dim=1).float()


def _sample(images: Tensor, x: Tensor, y: Tensor, *, align_corners: bool) -> Tensor:
    """Linear interpolation at pixel coordinates [B, H, W], reflected at the borders."""
    height, width = images.shape[-2:]
    if align_corners:
        grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    else:
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=align_corners)


def _shrink_by_pillow(levels: Tensor, height: int, width: int) -> Tensor:
    """Shrink uint8 images [B, 3, H, W] of the CPU with Pillow's BOX filter."""
    result = levels.new_empty(*levels.shape[:2], height, width)
    images = levels.contiguous().numpy()
    for image, small in zip(images, result.numpy(), strict=True):
        _unpack(_picture(image).resize((width, height), Image.Resampling.BOX), small)
    return result


def shrink_by_boxes(levels: Tensor, height: int, width: int) -> Tensor:
    """Shrink uint8 images [B, 3, H, W] as Pillow does, on any device."""
    # Pillow averages along x first, and rounds after each axis. Transposed, columns are rows,
    # which are copied whole.
    small = _box_means(levels.transpose(2, 3).contiguous(), width)
    return _box_means(small.transpose(2, 3).contiguous(), height)


def _box_means(levels: Tensor, small: int) -> Tensor:
    """Shrink uint8 [B, C, H, W] along H with Pillow's BOX filter and rounding."""
    (index, weight), *rest = _boxes(levels.shape[2], small, levels.device)
    means = levels.index_select(2, index).float().mul_(weight)
    for index, weight in rest:
        means.addcmul_(levels.index_select(2, index), weight)
    return means.add_(0.5 + 1e-3).byte()  # the small step as in `corrupt`


def _through_jpeg(image: Levels, changed: Levels, *, quality: int) -> None:
    """Store one image, [3, H, W], as JPEG, and read it into `changed`, of the same shape."""
    with BytesIO() as buffer:
        _picture(image).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer, formats=("JPEG",)) as file:
            _unpack(file, changed)


def _picture(image: Levels) -> Image.Image:
    """Return an image [3, H, W] as a picture; Pillow merges channels faster than NumPy does."""
    height, width = image.shape[1:]
    channels = [Image.frombuffer("L", (width, height), c, "raw", "L", 0, 1) for c in image]
    return Image.merge("RGB", channels)


def _unpack(picture: Image.Image, image: Levels) -> None:
    """Write the channels of a picture to an image [3, H, W]."""
    for place, channel in zip(image, picture.split(), strict=True):
        place[...] = np.frombuffer(channel.tobytes(), dtype=np.uint8).reshape(place.shape)


@lru_cache(maxsize=32)
def _boxes(large: int, small: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Pillow's BOX filter from `large` to `small` pixels, pixel by pixel of a box.

    Each pair holds pixels of the large row, int64 [small], and their weights, float32 [small, 1],
    which are zero where a box has fewer pixels than others.
    """
    scale = large / small
    centres = (np.arange(small)[:, None] + 0.5) * scale
    places = (np.arange(large) + 0.5 - centres) / scale
    # Pillow's box is open on the left and closed on the right.
    inside = (places > -0.5) & (places <= 0.5)
    first, count = inside.argmax(axis=1), inside.sum(axis=1)
    pairs = []
    for step in range(count.max()):
        index = np.minimum(first + step, large - 1)
        weight = np.where(step < count, 1 / count, 0)[:, None].astype(np.float32)
        pairs.append((torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device)))
    return pairs


@lru_cache(maxsize=32)
def _nearest(large: int, small: int) -> Tensor:
    """Which of `small` pixels each of `large` ones takes by Pillow's BOX filter: int64 [large].

    From Pillow itself, since ties depend on its rounding.
    """
    places = Image.fromarray(np.arange(small, dtype=np.float32)[None])
    enlarged = places.resize((large, 1), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(enlarged)[0].astype(np.int64))
