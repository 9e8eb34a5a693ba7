"""Resize and crop in an ONNX graph, for images of any size: the matrices of ``resampling``.

The operator Resize gives nearly what Pillow gives for 8-bit images in some runtimes; in single
precision it does not round between the two passes, which changes values by up to 26 of 255. Matrix
products give the same in all runtimes, and only the pixels of the crop are computed.
"""

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode

from lpclip.models.onnx_graph import Graph
from lpclip.models.resampling import Resampling

# Weights are rounded to so many bits, and reach so far in new pixels.
_BITS = 22
_REACH = {InterpolationMode.BICUBIC: 2.0, InterpolationMode.BILINEAR: 1.0}


def add_resampling(graph: Graph, images: str, resampling: Resampling) -> str:
    """Add the nodes that resize and crop.

    Args:
        graph: to add them to.
        images: uint8 ``[N, H, W, 3]``.
        resampling: how.

    Returns:
        Whole numbers from 0 to 255, float32 ``[N, 3, h, w]``.
    """
    shape = graph.add("Shape", images)
    height, width = (
        graph.add("Gather", shape, graph.constant(axis, "int64"), axis=0) for axis in (1, 2)
    )
    new_height, new_width = _resized(graph, height, width, resampling)
    rows = _weights(graph, height, new_height, resampling.crop[0], resampling.filter)
    columns = _weights(graph, width, new_width, resampling.crop[1], resampling.filter)
    columns = graph.add("Transpose", columns, perm=[1, 0])
    values = graph.cast(graph.add("Transpose", images, perm=[0, 3, 1, 2]), "float32")
    tall = _is_tall(graph, (height, width), (new_height, new_width))
    height_first, width_first = graph.branch(), graph.branch()
    lower = _eight_bits(height_first, height_first.add("MatMul", rows, values))
    first = _eight_bits(height_first, height_first.add("MatMul", lower, columns))
    narrower = _eight_bits(width_first, width_first.add("MatMul", values, columns))
    second = _eight_bits(width_first, width_first.add("MatMul", rows, narrower))
    return graph.choose(tall, height_first, width_first, (first, second))


def _is_tall(graph: Graph, old: tuple[str, str], new: tuple[str, str]) -> str:
    """Return whether the installed Pillow resizes the height first, a Boolean.

    Its rule is not documented. As measured, it does if the height shrinks by more than twice as
    many pixels as the width; older versions, if the image is 100 times as high as wide.
    """
    (height, width), (new_height, new_width) = old, new
    shrinks = graph.add("Less", new_height, height)
    if _takes_height_first((90, 30), (30, 15)):
        less = graph.add("Sub", width, new_width)
        twice = graph.add("Mul", less, graph.constant(2, "int64"))
        more = graph.add("Greater", graph.add("Sub", height, new_height), twice)
    else:
        limit = graph.add("Mul", width, graph.constant(100, "int64"))
        more = graph.add("Greater", height, limit)
    return graph.add("And", shrinks, more)


def _takes_height_first(old: tuple[int, int], new: tuple[int, int]) -> bool:
    """Return which of its two passes Pillow runs first, from an image of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (*old, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    both = np.asarray(image.resize(new[::-1], Image.Resampling.BICUBIC))
    lower = image.resize((old[1], new[0]), Image.Resampling.BICUBIC)
    wanted = np.asarray(lower.resize(new[::-1], Image.Resampling.BICUBIC))
    return bool((both == wanted).all())


def _resized(graph: Graph, height: str, width: str, resampling: Resampling) -> tuple[str, str]:
    """Return height and width before the crop, as ``Resampling.resized``."""
    if not isinstance(resampling.resize, int):
        new_height, new_width = resampling.resize
        return graph.constant(new_height, "int64"), graph.constant(new_width, "int64")
    short = graph.constant(resampling.resize, "int64")
    wide = graph.add("LessOrEqual", height, width)

    def long(own: str, other: str) -> str:
        return graph.add("Div", graph.add("Mul", short, own), other)

    return (
        graph.add("Where", wide, short, long(height, width)),
        graph.add("Where", wide, long(width, height), short),
    )


def _weights(graph: Graph, old: str, new: str, crop: int, filter: InterpolationMode) -> str:
    """Return the weight of each old pixel in each new one, float32 ``[crop, old]``."""

    def number(value: float) -> str:
        return graph.constant(value, "float64")

    def both(operator: str, one: str, other: str | float) -> str:
        return graph.add(operator, one, other if isinstance(other, str) else number(other))

    scale = both("Div", graph.cast(old, "float64"), graph.cast(new, "float64"))
    wider = both("Max", scale, 1.0)
    first = graph.add("Round", both("Div", both("Sub", graph.cast(new, "float64"), crop), 2.0))
    own = graph.constant([[place + 0.5] for place in range(crop)], "float64")
    middle = both("Mul", both("Add", own, first), scale)
    place = graph.cast(
        graph.add("Range", graph.constant(0, "int64"), old, graph.constant(1, "int64")), "float64"
    )
    reach = both("Mul", wider, _REACH[filter])
    start = graph.add("Floor", both("Max", both("Add", both("Sub", middle, reach), 0.5), 0.0))
    end = graph.add("Floor", both("Add", both("Add", middle, reach), 0.5))
    distance = both("Div", both("Add", both("Sub", place, middle), 0.5), wider)
    inside = graph.add("And", both("LessOrEqual", start, place), both("Less", place, end))
    weights = _filter(graph, graph.add("Abs", distance), filter)
    weights = graph.add("Where", inside, weights, number(0))
    total = graph.add("ReduceSum", weights, graph.constant([1], "int64"), keepdims=1)
    steps = graph.add("Round", both("Mul", both("Div", weights, total), 2.0**_BITS))
    return graph.cast(both("Div", steps, 2.0**_BITS), "float32")


def _filter(graph: Graph, distance: str, filter: InterpolationMode) -> str:
    """Return the weight at a distance in new pixels, from 0 on."""

    def polynomial(*factors: float) -> str:
        value = graph.constant(factors[0], "float64")
        for factor in factors[1:]:
            value = graph.add("Mul", value, distance)
            value = graph.add("Add", value, graph.constant(factor, "float64"))
        return value

    def below(limit: float, then: str, other: str) -> str:
        inside = graph.add("Less", distance, graph.constant(limit, "float64"))
        return graph.add("Where", inside, then, other)

    nothing = graph.constant(0, "float64")
    if filter == InterpolationMode.BILINEAR:
        return below(1.0, polynomial(-1, 1), nothing)
    near, far = polynomial(1.5, -2.5, 0, 1), polynomial(-0.5, 2.5, -4, 2)
    return below(1.0, near, below(2.0, far, nothing))


def _eight_bits(graph: Graph, values: str) -> str:
    """Round to whole numbers, 0..255."""
    whole = graph.add("Floor", graph.add("Add", values, graph.constant(0.5, "float32")))
    limits = graph.constant(0, "float32"), graph.constant(255, "float32")
    return graph.add("Clip", whole, *limits)
