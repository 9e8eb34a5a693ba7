"""Procedural pictures of frost, with the brightness, detail and colours of the published ones.

The published script overlays five photographs, which differ much in mean, contrast and colours.
These influence classifiers more than the shape of the crystals. Each picture made here has the
statistics of one photograph: quantiles of the brightness, its variance in each octave of spatial
frequency, and colours. The crystals are made of lines.
`benchmarks/frost.py` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lpclip.types import FloatArray, IntArray

HEIGHT, WIDTH = 400, 600  # pixels, about as many as the published pictures have

# Quantiles at which levels of brightness are given.
_SHARES = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
_ROUNDS = 2  # alternations between matching the variances and the levels


@dataclass(frozen=True)
class _Look:
    """Statistics of one published picture, in levels of 0 to 255, and the shape of the crystals."""

    levels: tuple[float, ...]  # quantiles of the brightness (mean of the colours) at `_SHARES`
    # Variance below 1/128 of a cycle per pixel, from there to 1/64, ..., 1/4 to 1/2, above 1/2.
    variances: tuple[float, ...]
    colour: tuple[float, float, float]  # mean of red, green and blue
    contrast: tuple[float, float, float] = (1, 1, 1)  # of these, relative to the brightness
    tint: float = 2  # standard deviation of a slow change from red to blue
    # Length in pixels and number of the ferns of each size, and the angle of their barbs.
    ferns: tuple[tuple[int, int], ...] = ((90, 60), (55, 200), (30, 700), (16, 1500))
    angle: float = 1.05


# Measured where the script crops its pieces, rarely at the edges of a picture; some variances are
# a little higher, so that those of the finished pictures agree.
_TURQUOISE = _Look(
    levels=(82, 97, 104, 116, 128, 141, 164, 178, 219),
    variances=(196, 23, 15, 9, 13, 31, 40, 2.4),
    colour=(76.9, 147.9, 164.4),
    contrast=(1.42, 0.89, 0.69),
    tint=15,
)
_WHITE = _Look(
    levels=(57, 141, 165, 193, 207, 219, 231, 238, 254),
    variances=(163, 20, 26, 54, 67, 70, 58, 2.4),
    colour=(198.0, 202.4, 211.7),
    ferns=((90, 150), (55, 500), (30, 700)),
    angle=0.35,
)
_GREY = _Look(
    levels=(23, 84, 112, 142, 159, 175, 201, 229, 254),
    variances=(131, 15, 35, 71, 112, 194, 187, 9),
    colour=(144.0, 158.8, 171.6),
    tint=3,
    ferns=((30, 500), (16, 2000), (10, 4000)),
)
_DARK = _Look(
    levels=(26, 45, 58, 85, 109, 137, 182, 216, 255),
    variances=(350, 86, 162, 172, 192, 204, 228, 45),
    colour=(101.7, 113.1, 124.9),
)
# Two of the five published pictures are identical.
LOOKS = (_TURQUOISE, _WHITE, _WHITE, _GREY, _DARK)


@lru_cache(maxsize=len(LOOKS))
def crystals(number: int) -> IntArray:
    """Picture 0 to 4 of frost, always the same: uint8 [HEIGHT, WIDTH, 3]."""
    look = LOOKS[number]
    # The seed defines the picture; the user's seed chooses pieces, not pictures.
    rng = np.random.default_rng(number)
    ice = _ferns(rng, look)
    patches, haze, tint = (_clouds(rng, smoothness) for smoothness in (30, 100, 40))
    ice *= np.clip(0.85 + 0.3 * patches, 0.4, 1)
    light = ice / ice.std() + haze + rng.normal(scale=0.15, size=ice.shape)
    for _ in range(_ROUNDS):
        light = _with_variances(light, look.variances)
        light = np.interp(light, np.quantile(light[::3, ::3], _SHARES), look.levels)
    light -= light.mean()
    red_to_blue = look.tint * tint[..., None] * np.array([-0.6, 0.1, 0.5])
    colours = look.colour + light[..., None] * look.contrast + red_to_blue
    picture: IntArray = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return picture


def _ferns(rng: np.random.Generator, look: _Look) -> FloatArray:
    """Stems with barbs, small ferns over large ones, periodic: [HEIGHT, WIDTH], 0 to about 1.5."""
    picture = np.zeros(HEIGHT * WIDTH)
    for size, count in look.ferns:
        # Axes: ferns, places along the stem, sides, steps along the barb.
        length, angle, bright, top, left = (
            rng.uniform(low, high, (count, 1, 1, 1))
            for low, high in (
                (0.6 * size, 1.4 * size), (0, 2 * np.pi), (0.3, 1), (0, HEIGHT), (0, WIDTH)
            )
        )  # fmt: skip
        side = np.array([-1.0, 1.0])[:, None]
        barbs = np.linspace(0, 1, max(4, size // 4), endpoint=False)[:, None, None]
        steps = np.linspace(0, 1, max(3, size // 2), endpoint=False)
        reach = 0.38 * (1 - barbs) ** 0.8 * np.minimum(1, 0.3 + 2.8 * barbs)
        slant = angle + side * look.angle
        out = steps * reach * length
        y = top + barbs * length * np.sin(angle) + out * np.sin(slant)
        x = left + barbs * length * np.cos(angle) + out * np.cos(slant)
        # Light comes from one side.
        _paint(picture, y, x, bright * (1 - 0.6 * steps) * (1 + 0.25 * side * np.sin(angle)))
        stem = np.linspace(0, 1, 3 * size // 2, endpoint=False)
        y, x = top + stem * length * np.sin(angle), left + stem * length * np.cos(angle)
        _paint(picture, y, x, bright * (1.3 - 0.65 * stem))
    return picture.reshape(HEIGHT, WIDTH)


def _paint(picture: FloatArray, y: FloatArray, x: FloatArray, values: FloatArray) -> None:
    """Set the pixels at (y, x); where several points meet, the last one stays."""
    rows, columns = y.astype(np.int32) % HEIGHT, x.astype(np.int32) % WIDTH
    at = rows * WIDTH + columns
    picture[at.ravel()] = np.broadcast_to(values, at.shape).ravel()


def _with_variances(field: FloatArray, variances: tuple[float, ...]) -> FloatArray:
    """Scale the field's spatial frequencies to a given variance in each octave, smoothly."""
    octave, position, weight = _octaves()
    spectrum = np.fft.rfft2(field)
    spectrum[0, 0] = 0
    power = weight * (spectrum.real**2 + spectrum.imag**2) / field.size**2
    present = np.bincount(octave.ravel(), power.ravel(), len(variances))
    gains = 0.5 * np.log(np.array(variances) / present)
    spectrum *= np.exp(np.interp(position, np.arange(len(gains)), gains))
    scaled: FloatArray = np.fft.irfft2(spectrum, s=field.shape)
    return scaled


@lru_cache(maxsize=1)
def _octaves() -> tuple[IntArray, FloatArray, FloatArray]:
    """Octave, position between the middles of octaves, and weight of each frequency of `rfft2`.

    Octave 0 is below 1/128 of a cycle per pixel, octave 7 above 1/2. The weight is 2 where the
    transform leaves a conjugate frequency out.
    """
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH))
    place = np.log2(np.maximum(frequency, 1e-9)) + 8
    weight = np.full(frequency.shape, 2.0)
    weight[:, [0, -1]] = 1
    return np.clip(np.floor(place), 0, 7).astype(np.int64), place - 0.5, weight


def _clouds(rng: np.random.Generator, smoothness: float) -> FloatArray:
    """Smooth noise with mean 0 and standard deviation 1: [HEIGHT, WIDTH]."""
    # Gaussian-filtered white noise: only the few waves that pass the filter are computed.
    n_rows, n_columns = (int(0.7 * length / smoothness) + 1 for length in (HEIGHT, WIDTH))
    rows, columns = np.arange(-n_rows, n_rows + 1)[:, None], np.arange(n_columns + 1)
    square = (rows / HEIGHT) ** 2 + (columns / WIDTH) ** 2
    size = np.exp(-2 * (np.pi * smoothness) ** 2 * square)
    size[n_rows, 0] = 0
    spectrum = np.zeros((HEIGHT, WIDTH // 2 + 1), complex)
    waves = rng.normal(size=(2, *size.shape))
    spectrum[rows, columns] = size * (waves[0] + 1j * waves[1])
    field: FloatArray = np.fft.irfft2(spectrum)
    field /= field.std()
    return field
