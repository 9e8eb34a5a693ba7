"""Digital: contrast, elastic transform, pixelate, JPEG compression and saturate."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor

from lpclip.corruptions import filters
from lpclip.rng import Stream

# Per corruption and published set, the numbers of severities 1 to 5.
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
    # Whole levels add up exactly, in whatever order the device adds.
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


def pixelate(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Make smaller and larger again with box filters, as Pillow does; p: the factor."""
    (factor,) = p
    levels = images * 255
    for axis in (3, 2):  # Pillow filters the rows first, and rounds after each axis
        matrix = _box_matrix(images.shape[axis], int(images.shape[axis] * factor))
        matrix = matrix.to(images.device)
        rows, columns = (None, matrix) if axis == 3 else (matrix, None)
        levels = filters.separable(levels, rows, columns).add_(0.5 + 1e-3).floor_()
    for axis in (3, 2):
        large, small = images.shape[axis], levels.shape[axis]
        centres = (torch.arange(large, device=images.device) + 0.5) * small / large
        levels = levels.index_select(axis, centres.long())
    return levels / 255


def jpeg_compression(images: Tensor, p: tuple[float, ...], stream: Stream) -> Tensor:  # noqa: ARG001
    """Store as JPEG (4:2:0) and read again; p: the quality.

    Runs through Pillow, as the reference does: on the CPU, one image at a time.
    """
    quality = int(p[0])
    levels = (images * 255).round_().to("cpu", torch.uint8).permute(0, 2, 3, 1)
    decoded = np.empty(levels.shape, dtype=np.uint8)
    for number, picture in enumerate(levels.contiguous().numpy()):
        with BytesIO() as buffer:
            Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
            with Image.open(buffer, formats=("JPEG",)) as file:
                decoded[number] = np.asarray(file)
    result = torch.from_numpy(decoded).to(images.device).permute(0, 3, 1, 2)
    return result.float().div_(255)


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
    """Inverse of the affine map that moves three fixed points: float32 [B, 2, 3].

    Args:
        moves: [B, 3, 2], by how much each point moves.
        height: of the image.
        width: of the image.
    """
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


@lru_cache(maxsize=32)
def _box_matrix(large: int, small: int) -> Tensor:
    """Pillow's BOX filter from `large` to `small` pixels: float32 [small, large]."""
    scale = large / small
    centres = (np.arange(small)[:, None] + 0.5) * scale
    places = (np.arange(large) + 0.5 - centres) / scale
    # Pillow's box is open on the left and closed on the right.
    weights = ((places > -0.5) & (places <= 0.5)).astype(np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    return torch.from_numpy(weights.astype(np.float32))
