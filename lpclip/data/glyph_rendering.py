"""Render characters in the styles that the embedded CLIP was trained on, in batches.

Everything random is sampled from the given ``torch.Generator``, so the same generator state gives
the same images.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

SIZE = 32
COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "grey": (0.5, 0.5, 0.5),
    "red": (0.85, 0.1, 0.1),
    "green": (0.1, 0.6, 0.15),
    "blue": (0.1, 0.2, 0.85),
    "yellow": (0.95, 0.9, 0.1),
    "orange": (1.0, 0.55, 0.0),
    "purple": (0.5, 0.1, 0.6),
    "pink": (1.0, 0.6, 0.75),
    "brown": (0.45, 0.25, 0.1),
    "cyan": (0.1, 0.85, 0.9),
}
WHITE, BLACK = 0, 1
RESOLUTIONS = (8, 10, 12, 16, 20, 24, SIZE)
"""Sides in pixels to which images are reduced before they are enlarged again."""

_PALETTE = torch.tensor(list(COLOURS.values()))


class Style(NamedTuple):
    """Properties of a batch of images that captions may mention.

    Attributes:
        foreground: int64 [B], index into ``COLOURS``.
        background: int64 [B], index into ``COLOURS``.
        resolution: int64 [B], side in pixels, one of ``RESOLUTIONS``.
        noise: float32 [B], standard deviation of the noise, in 0..0.12.
    """

    foreground: Tensor
    background: Tensor
    resolution: Tensor
    noise: Tensor


def render(masks: Tensor, generator: Generator) -> tuple[Tensor, Style]:
    """Render training images of the embedded CLIP, float32 [B, 3, 32, 32] in 0..1, with style.

    Stroke width, affine and elastic distortion, colours, polarity, uneven backgrounds, low
    resolution and noise are sampled for each of the masks, float32 [B, 48, 48] in 0..1.
    """
    n = len(masks)
    style = _draw_style(n, generator)
    ink = distort(vary_stroke(masks, generator), generator, size=SIZE)
    opacity = _uniform(n, generator, 0.55, 1.0)[:, None, None, None]
    texture = F.interpolate(
        torch.randn(n, 3, 4, 4, generator=generator), SIZE, mode="bicubic", align_corners=False
    )
    # Half of the images that are white on black or black on white stay plain.
    plain = (style.foreground <= BLACK) & (style.background <= BLACK)
    plain &= _uniform(n, generator, 0.0, 1.0) < 0.5
    strength = _uniform(n, generator, 0.0, 0.2) * ~plain
    foreground = _jittered(style.foreground, plain, generator)
    background = _jittered(style.background, plain, generator)
    background = background + texture * strength[:, None, None, None]
    images = background + (foreground - background) * (ink[:, None] * opacity)
    images = _reduce(images.clamp(0, 1), style.resolution)
    noise = torch.randn(images.shape, generator=generator) * style.noise[:, None, None, None]
    return (images + noise).clamp(0, 1), style


def render_low_resolution(
    masks: Tensor, generator: Generator, *, distortion: float = 1.0
) -> Tensor:
    """Render float32 masks [B, 48, 48] like the optical digits of UCI: uint8 [B, 8, 8] in 0..16.

    A distorted bitmap of 32x32 pixels, cut to its ink and enlarged to the full height (or to 28
    pixels of width, whichever is reached first), counted in blocks of 4x4 pixels (Alpaydin and
    Kaynak 1998). A factor of 0 on all geometric distortions keeps the printed shape.
    """
    canvas = distort(
        vary_stroke(masks, generator), generator, size=64, distortion=distortion, spread=0.0
    )
    bitmaps = torch.stack([_fill_frame(image) for image in canvas])
    return (F.avg_pool2d(bitmaps[:, None], 4)[:, 0] * 16).round().to(torch.uint8)


def vary_stroke(masks: Tensor, generator: Generator) -> Tensor:
    """Make strokes up to half a pixel thinner or two pixels thicker per side; same shape."""
    thin = -F.max_pool2d(-masks[:, None], 3, 1, 1)
    thick = F.max_pool2d(masks[:, None], 3, 1, 1)
    levels = torch.cat([thin, masks[:, None], thick, F.max_pool2d(thick, 3, 1, 1)], dim=1)
    # At most half-way to the eroded mask: hairlines would vanish.
    position = _uniform(len(masks), generator, 0.5, 3.0)[:, None]
    share = (1 - (position - torch.arange(4.0)).abs()).clamp(min=0)
    return torch.einsum("bl,blhw->bhw", share, levels)


def distort(
    masks: Tensor, generator: Generator, *, size: int, distortion: float = 1.0, spread: float = 1.0
) -> Tensor:
    """Rotate, shear, scale, shift and bend float32 [B, H, W], to float32 [B, size, size].

    ``distortion`` is a factor on rotation, shear, stretch and bending, ``spread`` on the random
    scale and shift; 0 keeps every glyph centred.
    """
    n = len(masks)
    angle = _uniform(n, generator, -0.25, 0.25) * distortion
    shear = _uniform(n, generator, -0.3, 0.3) * distortion
    scale = torch.exp(_uniform(n, generator, math.log(0.85), math.log(1.6)) * spread)
    stretch = torch.exp(_uniform(n, generator, -0.2, 0.2) * distortion)
    shift = (torch.rand(n, 2, generator=generator) - 0.5) * 0.3 * spread
    bend = torch.randn(n, 2, 4, 4, generator=generator) * 0.07 * distortion
    rotate = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
    lean = torch.eye(2).repeat(n, 1, 1)
    lean[:, 0, 1] = shear
    zoom = torch.diag_embed(torch.stack([1 / (scale * stretch), stretch / scale], 1))
    theta = torch.cat([zoom @ lean @ rotate, shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, [n, 1, size, size], align_corners=False)
    field = F.interpolate(bend, size, mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
    return F.grid_sample(masks[:, None], grid + field, align_corners=False)[:, 0]


def _draw_style(n: int, generator: Generator) -> Style:
    """Sample colours: 25 % white on black, 15 % black on white, else any two different colours."""
    first = torch.randint(len(COLOURS), (n,), generator=generator)
    step = torch.randint(1, len(COLOURS), (n,), generator=generator)
    second = (first + step) % len(COLOURS)
    polarity = _uniform(n, generator, 0.0, 1.0)
    white_on_black, black_on_white = polarity < 0.25, (polarity >= 0.25) & (polarity < 0.4)
    foreground = first.masked_fill(white_on_black, WHITE).masked_fill(black_on_white, BLACK)
    background = second.masked_fill(white_on_black, BLACK).masked_fill(black_on_white, WHITE)
    choice = torch.randint(len(RESOLUTIONS) + 2, (n,), generator=generator)
    resolution = torch.tensor(RESOLUTIONS)[choice.clamp(max=len(RESOLUTIONS) - 1)]
    noisy = _uniform(n, generator, 0.0, 1.0) < 0.5
    noise = _uniform(n, generator, 0.0, 0.12) * noisy
    return Style(foreground, background, resolution, noise)


def _jittered(colour: Tensor, plain: Tensor, generator: Generator) -> Tensor:
    """Return RGB [B, 3, 1, 1] near the named colours; exactly the named ones if ``plain``."""
    jitter = (torch.rand(len(colour), 3, generator=generator) - 0.5) * 0.2 * ~plain[:, None]
    return (_PALETTE[colour] + jitter)[:, :, None, None]


def _reduce(images: Tensor, resolution: Tensor) -> Tensor:
    """Reduce every image to its resolution and enlarge it to its former size."""
    reduced = images.clone()
    for side in RESOLUTIONS[:-1]:
        chosen = resolution == side
        if chosen.any():
            small = F.interpolate(images[chosen], side, mode="area")
            reduced[chosen] = F.interpolate(small, SIZE, mode="bicubic", align_corners=False)
    return reduced


def _fill_frame(image: Tensor) -> Tensor:
    """Return a bitmap [32, 32] of 0 and 1 that the ink of a grey image [H, W] fills."""
    rows, columns = torch.nonzero(image > 0.5, as_tuple=True)
    frame = image.new_zeros(SIZE, SIZE)
    if not len(rows):
        return frame
    ink = image[int(rows.min()) : int(rows.max()) + 1, int(columns.min()) : int(columns.max()) + 1]
    factor = min(SIZE / ink.shape[0], 28 / ink.shape[1])
    height, width = (max(1, round(side * factor)) for side in ink.shape)
    bitmap = F.interpolate(ink[None, None], (height, width), mode="bilinear", align_corners=False)
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    frame[top : top + height, left : left + width] = (bitmap[0, 0] > 0.5).float()
    return frame


def _uniform(n: int, generator: Generator, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)
