"""Characters from simulated pen strokes, whose shapes vary as between writers; no fonts.

These development sets differ from fonts: the embedded CLIP was not trained on such shapes, and its
image features separate them better than its text features do. No one's handwriting is used.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from lpclip.data.paint import paint
from lpclip.data.sources.digits import enlarge
from lpclip.types import FloatArray

# Ways to write a character. Strokes are separated by "/"; points are "x,y" in per cent of the
# character's box, from the upper left; a repeated point is a corner.
WAYS: dict[str, tuple[str, ...]] = {
    "0": (
        "50,0 12,25 10,70 50,100 88,72 88,28 50,0",
        "60,4 20,15 8,60 35,98 75,90 95,45 62,4 40,10",
        "40,0 5,50 40,100 95,90 98,30 40,0",
    ),
    "1": (
        "50,0 50,50 50,100",
        "25,25 55,0 55,0 55,55 52,100",
        "25,25 55,0 55,0 52,100 / 20,100 85,100",
        "70,0 50,50 30,100",
    ),
    "2": (
        "10,22 45,0 88,20 70,55 10,100 10,100 92,100",
        "12,20 50,0 85,25 55,65 18,95 30,80 60,95 95,92",
        "15,10 60,3 80,30 40,75 5,98 5,98 50,92 95,100",
    ),
    "3": (
        "12,12 50,0 85,22 45,46 45,46 92,70 50,100 8,88",
        "10,5 85,5 85,5 42,42 42,42 90,68 55,100 8,88",
        "15,15 60,0 78,28 40,48 85,72 45,100 5,80",
    ),
    "4": (
        "65,100 65,0 65,0 5,68 5,68 98,68",
        "20,0 12,55 12,55 90,55 / 72,15 68,100",
        "30,0 8,50 30,62 92,50 / 80,0 60,100",
    ),
    "5": (
        "85,3 20,3 20,3 15,45 15,45 60,38 92,68 55,100 8,88",
        "22,3 15,48 15,48 70,42 85,75 45,100 5,92 / 22,3 95,0",
        "90,0 30,5 18,42 75,50 80,85 10,98",
    ),
    "6": (
        "75,0 25,35 10,75 50,100 88,75 50,52 14,72",
        "55,0 15,50 20,95 70,95 75,60 25,65",
        "90,5 40,15 8,65 40,100 85,85 75,55 15,70",
    ),
    "7": (
        "5,5 95,5 95,5 55,50 38,100",
        "8,8 92,3 92,3 45,100 / 25,50 85,48",
        "5,22 8,5 8,5 92,8 60,55 50,100",
    ),
    "8": (
        "50,48 15,25 50,0 85,22 50,48 10,78 50,100 90,75 50,48",
        "80,12 40,0 18,25 75,65 70,98 20,92 25,62 85,15",
        "55,45 20,30 35,2 75,8 70,40 25,60 15,90 60,100 80,72 55,45",
    ),
    "9": (
        "85,25 45,0 12,28 45,52 85,28 85,28 80,65 50,100",
        "88,22 50,0 12,25 50,48 88,22 88,22 85,100",
        "80,10 25,5 15,42 60,45 85,10 85,10 75,70 15,100",
    ),
    "A": ("5,100 50,0 50,0 95,100 / 25,62 78,62", "8,100 20,20 50,0 80,20 92,100 / 10,58 90,58"),
    "B": (
        "12,100 12,0 12,0 70,8 65,42 12,48 12,48 85,62 75,98 12,100",
        "15,0 15,100 / 5,8 70,5 70,42 20,50 20,50 92,65 70,100 8,95",
    ),
    "C": ("90,15 50,0 10,40 20,88 60,100 92,82", "80,5 25,15 8,60 45,100 95,88"),
    "D": ("12,100 12,0 12,0 70,12 90,55 65,92 12,100", "20,5 20,95 / 5,3 75,10 92,60 60,98 5,98"),
    "E": (
        "90,0 12,0 12,0 12,100 12,100 92,100 / 12,50 75,48",
        "85,8 40,0 25,30 55,48 55,48 15,65 25,98 90,88",
    ),
    "F": ("90,0 12,0 12,0 12,100 / 12,48 75,46", "18,5 15,100 / 5,8 95,0 / 15,50 70,45"),
    "G": (
        "88,15 45,0 10,45 40,100 88,85 88,85 88,55 88,55 55,55",
        "80,8 25,15 10,65 50,98 85,65 85,65 55,60 / 85,60 82,100",
    ),
    "H": ("12,0 12,100 / 88,0 88,100 / 12,50 88,48", "18,0 8,100 / 92,0 82,100 / 12,55 88,45"),
    "J": ("70,0 70,75 40,100 10,80", "20,3 95,3 / 65,3 62,80 30,100 5,85"),
    "K": ("12,0 12,100 / 85,0 15,55 15,55 90,100", "15,0 12,100 / 80,5 25,50 25,50 60,60 92,98"),
    "L": ("12,0 12,100 12,100 90,98", "25,0 12,90 30,100 92,92"),
    "M": (
        "8,100 15,0 15,0 50,65 50,65 85,0 85,0 92,100",
        "5,100 20,5 35,15 50,100 50,100 55,20 80,5 95,100",
    ),
    "N": ("10,100 12,0 12,0 88,100 88,100 90,0", "8,100 15,0 15,0 80,98 85,100 95,0"),
    "P": ("12,100 12,0 12,0 80,5 82,45 12,52", "20,5 15,100 / 5,10 60,0 92,25 60,50 18,50"),
    "R": (
        "12,100 12,0 12,0 80,8 75,45 12,50 12,50 88,100",
        "18,5 15,100 / 5,8 75,2 80,40 20,52 60,60 95,98",
    ),
    "T": ("5,3 95,3 / 50,3 50,100", "5,8 95,0 / 55,3 45,100"),
    "U": ("12,0 12,70 50,100 88,70 88,0", "10,5 15,80 60,98 85,50 88,5 88,5 92,100"),
    "V": ("5,0 50,100 50,100 95,0", "5,5 35,80 50,100 70,50 95,0"),
    "W": (
        "3,0 25,100 25,100 50,30 50,30 75,100 75,100 97,0",
        "5,5 10,90 40,95 50,40 50,40 60,95 88,85 95,5",
    ),
    "X": ("8,0 92,100 / 90,0 10,100", "5,10 50,55 95,95 / 88,5 45,50 8,98"),
    "Y": ("8,0 50,48 / 92,0 50,48 50,48 50,100", "10,0 20,42 75,40 / 88,0 75,60 30,100"),
    "Z": (
        "8,3 90,3 90,3 10,98 10,98 92,97",
        "10,10 85,3 85,3 12,97 12,97 90,92 / 25,52 75,48",
    ),
}
DIGITS = "0123456789"
CAPITALS = "".join(sorted(set(WAYS) - set(DIGITS)))


def write(
    folder: Path,
    characters: str,
    n: int,
    seed: int,
    *,
    wobble: float = 1.0,
    turn: float = 0.0,
    width: tuple[float, float] = (0.05, 0.12),
    coarse: bool = True,
    inverted: bool = False,
    paint_name: str = "none",
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> dict[str, Any]:
    """Draw ``n`` characters, the same number of each, into a folder; return the source.

    Args:
        folder: output folder.
        characters: some of ``WAYS``, in the order of the classes.
        n: number of images.
        seed: seed of all randomness.
        wobble: factor on the variation of points, slants and proportions.
        turn: rotation of all characters in degrees, counter-clockwise.
        width: minimum and maximum width of the pen, as a share of the image's side.
        coarse: reduce to 8x8 counts first.
        inverted: black on white.
        paint_name: background, see ``lpclip.data.paint``.
        change: applied to every image last.
    """
    for number in range(n):
        label = number % len(characters)
        draw = np.random.default_rng([seed, number])
        image = draw_character(
            characters[label], draw, wobble=wobble, turn=turn, width=width, coarse=coarse
        )
        if inverted:
            image = Image.eval(image, lambda value: 255 - value)
        image = paint(image, paint_name, seed=seed, identifier=f"pen-{number}")
        if change is not None:
            image = change(image)
        path = folder / f"{label:03d}" / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return {"kind": "folder", "root": str(folder)}


def draw_character(
    character: str,
    draw: np.random.Generator,
    *,
    wobble: float,
    turn: float,
    width: tuple[float, float],
    coarse: bool,
) -> Image.Image:
    """Draw one character, white on black, RGB 32x32."""
    ways = WAYS[character]
    strokes = [_points(stroke) for stroke in ways[draw.integers(len(ways))].split("/")]
    strokes = [_moved(stroke, 0.05 * wobble, draw) for stroke in strokes]
    angle = np.deg2rad(-turn) + 0.12 * wobble * draw.normal()
    lean = 0.25 * wobble * draw.normal()
    tall = np.exp(0.15 * wobble * draw.normal())
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.array(
        [[0.75 / tall, -lean], [0.0, tall]]
    )
    curves = [_curve(stroke) @ matrix.T for stroke in strokes]
    low, high = _box(curves)
    side, room = 256, 0.8 if coarse else float(draw.uniform(0.55, 0.85))
    factor = room * side / max((high - low).max(), 1e-6)
    pen = max(1, round(side * draw.uniform(*width)))
    canvas = Image.new("L", (side, side))
    pencil = ImageDraw.Draw(canvas)
    for curve in curves:
        placed = (curve - (low + high) / 2) * factor + side / 2
        pencil.line([tuple(point) for point in placed.tolist()], fill=255, width=pen, joint="curve")
        for x, y in placed[[0, -1]]:
            pencil.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    if not coarse:
        return canvas.resize((32, 32), Image.Resampling.BOX).convert("RGB")
    ink = canvas.getbbox() or (0, 0, side, side)
    tight = Image.new("L", (side, side))
    share = min(side / (ink[3] - ink[1]), 0.875 * side / (ink[2] - ink[0]))
    size = (max(1, round((ink[2] - ink[0]) * share)), max(1, round((ink[3] - ink[1]) * share)))
    tight.paste(canvas.crop(ink).resize(size), ((side - size[0]) // 2, (side - size[1]) // 2))
    counts = np.asarray(tight.resize((8, 8), Image.Resampling.BOX), dtype=float) * 16 / 255
    return enlarge(np.rint(counts).astype(np.int64))


def _points(stroke: str) -> FloatArray:
    return np.array([[float(v) / 100 for v in point.split(",")] for point in stroke.split()])


def _moved(points: FloatArray, size: float, draw: np.random.Generator) -> FloatArray:
    """Move points at random; points in the same place move together."""
    places, which = np.unique(points, axis=0, return_inverse=True)
    moved: FloatArray = points + size * draw.normal(size=places.shape)[which.reshape(-1)]
    return moved


def _curve(points: FloatArray, steps: int = 12) -> FloatArray:
    """Return a Catmull-Rom spline through the points; a repeated point is a corner."""
    parts: list[FloatArray] = []
    for piece in _pieces(points):
        ends = np.concatenate([piece[:1], piece, piece[-1:]])
        t = np.linspace(0, 1, steps)[:, None]
        for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
            parts.append(
                0.5
                * (
                    2 * b
                    + (c - a) * t
                    + (2 * a - 5 * b + 4 * c - d) * t**2
                    + (3 * b - a - 3 * c + d) * t**3
                )
            )
    return np.concatenate(parts)


def _pieces(points: FloatArray) -> list[FloatArray]:
    corners = np.flatnonzero((points[1:] == points[:-1]).all(axis=1)) + 1
    return [piece for piece in np.split(points, corners) if len(piece) > 1]


def _box(curves: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    everything = np.concatenate(curves)
    return everything.min(axis=0), everything.max(axis=0)
