"""The published formulas of the corruptions, one image at a time, in NumPy, SciPy and Pillow.

Written from the description of the published scripts, independently of lpclip. Images and results
are uint8 [H, W, 3]. Random corruptions use the NumPy generator given as the last argument.
"""

import colorsys
import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Pixels = npt.NDArray[np.uint8]


def to_uint8(values: npt.NDArray[np.float64]) -> Pixels:
    return np.uint8(np.clip(values, 0, 1) * 255)


def hsv(image: Pixels, change) -> Pixels:
    flat = [change(*colorsys.rgb_to_hsv(*pixel)) for pixel in (image / 255).reshape(-1, 3)]
    return to_uint8(np.array([colorsys.hsv_to_rgb(*p) for p in flat]).reshape(image.shape))


def brightness(image, amount):
    return hsv(image, lambda h, s, v: (h, s, min(v + amount, 1)))


def saturate(image, factor, shift):
    return hsv(image, lambda h, s, v: (h, min(s * factor + shift, 1), v))


def contrast(image, factor):
    x = image / 255
    mean = x.mean(axis=(0, 1))
    return to_uint8((x - mean) * factor + mean)


def pixelate(image, factor):
    height, width = image.shape[:2]
    small = (int(width * factor), int(height * factor))
    box = Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize(small, box).resize((width, height), box))


def jpeg_compression(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def blur(x, sigma):
    return np.stack(
        [ndimage.gaussian_filter(x[..., c], sigma, mode="nearest") for c in range(3)], -1
    )


def gaussian_blur(image, sigma):
    return to_uint8(blur(image / 255, sigma))


def defocus_blur(image, radius, smoothing):
    reach = max(8, int(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x**2 + y**2 <= radius**2).astype(float)
    disc /= disc.sum()
    half = 1 if radius <= 8 else 2
    taps = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * smoothing**2))
    taps = np.outer(taps, taps)
    disc = ndimage.correlate(disc, taps / taps.sum(), mode="mirror")
    channels = [ndimage.correlate(image[..., c] / 255, disc, mode="mirror") for c in range(3)]
    return to_uint8(np.stack(channels, -1))


def clipped_zoom(x, factor):
    height = x.shape[0]
    crop = int(np.ceil(height / factor))
    top = (height - crop) // 2
    middle = x[top : top + crop, top : top + crop]
    zoomed = ndimage.zoom(middle, (factor, factor, 1)[: x.ndim], order=1)
    trim = (zoomed.shape[0] - height) // 2
    return zoomed[trim : trim + height, trim : trim + height]


def zoom_blur(image, end, step):
    x = image / 255
    factors = np.arange(1, end, step)
    total = x + sum(clipped_zoom(x, factor) for factor in factors)
    return to_uint8(total / (len(factors) + 1))


def line_blur(x, angle, radius, sigma):
    """Process [H, W] or [H, W, 3] in [0, 1], pixel by pixel."""
    taps = np.arange(2 * radius + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    total = np.zeros_like(x)
    rows, columns = np.mgrid[0 : x.shape[0], 0 : x.shape[1]]
    for tap, weight in zip(taps, weights, strict=True):
        right = int(np.ceil(tap * np.cos(np.deg2rad(angle)) - 0.5))
        down = int(np.ceil(tap * np.sin(np.deg2rad(angle)) - 0.5))
        row = np.clip(rows + down, 0, x.shape[0] - 1)
        total += weight * x[row, np.clip(columns + right, 0, x.shape[1] - 1)]
    # ImageMagick computes with 16 bits and writes the upper 8.
    return np.floor(np.round(total * 65535) / 257) / 255


def glass_blur(image, sigma, reach, iterations, rng):
    x = to_uint8(blur(image / 255, sigma))
    height, width = x.shape[:2]
    for _ in range(iterations):
        for row in range(height - reach, reach, -1):
            for column in range(width - reach, reach, -1):
                dx, dy = rng.integers(-reach, reach, size=2)
                x[row, column] = x[row + dy, column + dx]
    return to_uint8(blur(x / 255, sigma))


def gaussian_noise(image, scale, rng):
    return to_uint8(image / 255 + rng.normal(scale=scale, size=image.shape))


def shot_noise(image, photons, rng):
    return to_uint8(rng.poisson(image / 255 * photons) / photons)


def impulse_noise(image, amount, rng):
    flipped = rng.uniform(size=image.shape) < amount
    return np.where(flipped, 255 * rng.integers(0, 2, size=image.shape), image).astype(np.uint8)


def speckle_noise(image, scale, rng):
    return to_uint8(image / 255 * (1 + rng.normal(scale=scale, size=image.shape)))


def motion_blur(image, radius, sigma, rng):
    return to_uint8(line_blur(image / 255, rng.uniform(-45, 45), radius, sigma))


def snow(image, mean, deviation, zoom, threshold, radius, sigma, weight, rng):
    x = image / 255
    layer = clipped_zoom(rng.normal(mean, deviation, size=x.shape[:2]), zoom)
    layer[layer < threshold] = 0
    layer = line_blur(to_uint8(layer) / 255, rng.uniform(-135, -45), radius, sigma)[..., None]
    grey = (x @ [0.299, 0.587, 0.114])[..., None]
    x = weight * x + (1 - weight) * np.maximum(x, grey * 1.5 + 0.5)
    return to_uint8(x + layer + np.rot90(layer, k=2))


def frost(image, image_weight, frost_weight, picture, scale, down, right):
    """Crop at `down` and `right`, fractions of the range of places that `randint` can return."""
    height, width = image.shape[:2]
    if scale != 1:
        size = [int(round(length * scale)) for length in picture.shape[:2]]  # noqa: RUF046
        picture = resize(picture, size, 1 / scale, 1 / scale, linear)
    elif picture.shape[0] < height or picture.shape[1] < width:  # as in imagecorruptions
        factor = 1.1 * max(height / picture.shape[0], width / picture.shape[1])
        size = [int(np.ceil(length * factor)) for length in picture.shape[:2]]
        steps = picture.shape[0] / size[0], picture.shape[1] / size[1]
        picture = resize(picture, size, *steps, cubic)
    top, left = int(down * (picture.shape[0] - height)), int(right * (picture.shape[1] - width))
    piece = picture[top : top + height, left : left + width]
    total = image_weight * image.astype(float) + frost_weight * piece
    return np.uint8(
        np.clip(np.round(total, 6), 0, 255)
    )  # integers must not end up slightly too low


def resize(picture, size, step_y, step_x, kernel):
    """Resize as OpenCV: without a wider kernel (antialiasing) for a smaller picture."""
    for axis, (length, step) in enumerate(zip(size, (step_y, step_x), strict=True)):
        at = (np.arange(length) + 0.5) * step - 0.5
        total = 0
        for near in range(-1, 3):
            index = np.floor(at).astype(int) + near
            weight = kernel(np.abs(at - index))
            values = picture.take(np.clip(index, 0, picture.shape[axis] - 1), axis=axis)
            total = total + values * weight.reshape([-1, 1, 1] if axis == 0 else [-1, 1])
        picture = total
    return np.clip(np.round(picture), 0, 255)


def linear(distance):
    return np.maximum(1 - distance, 0)


def cubic(distance):
    a, d = -0.75, distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    return np.where(d <= 1, near, np.where(d < 2, a * (d**3 - 5 * d**2 + 8 * d - 4), 0))


def plasma(size, decay, rng):
    """Compute diamond-square, point by point."""
    heights = np.zeros((size, size))
    step, root = size, 100.0

    def wobble():
        return root * rng.uniform(-root, root)

    while step >= 2:
        half = step // 2
        for y in range(0, size, step):
            for x in range(0, size, step):
                corners = [
                    heights[(y + a) % size, (x + b) % size] for a in (0, step) for b in (0, step)
                ]
                heights[y + half, x + half] = sum(corners) / 4 + wobble()
        for y in range(0, size, step):
            for x in range(0, size, step):
                for v, u in ((y, x + half), (y + half, x)):
                    cross = [(v - half, u), (v + half, u), (v, u - half), (v, u + half)]
                    near = [heights[a % size, b % size] for a, b in cross]
                    heights[v, u] = sum(near) / 4 + wobble()
        step, root = half, root / decay
    heights -= heights.min()
    return heights / heights.max()


def fog(image, weight, decay, rng):
    x = image / 255
    brightest = x.max()
    size = 1 << (max(x.shape[:2]) - 1).bit_length()
    x = x + weight * plasma(size, decay, rng)[: x.shape[0], : x.shape[1], None]
    return to_uint8(x * brightest / (brightest + weight))


def elastic_transform(image, size, sigma, move, rng):
    side = image.shape[0]
    centre, square = side // 2, side // 3
    points = np.array(
        [
            [centre + square, centre + square],
            [centre + square, centre - square],
            [centre - square, centre - square],
        ],
        dtype=float,
    )
    after = points + rng.uniform(-move, move, size=points.shape)
    inverse = np.linalg.solve(np.c_[after, np.ones(3)], points)  # (x, y, 1) after -> before
    y, x = np.mgrid[0:side, 0:side]
    before = np.stack([x, y, np.ones_like(x)], -1) @ inverse
    warped = [
        ndimage.map_coordinates(
            image[..., c] / 255, [before[..., 1], before[..., 0]], order=1, mode="mirror"
        )
        for c in range(3)
    ]
    dx, dy = (
        ndimage.gaussian_filter(rng.uniform(-1, 1, (side, side)), sigma, mode="reflect", truncate=3)
        * size
        for _ in range(2)
    )
    bent = [ndimage.map_coordinates(c, [y + dy, x + dx], order=1, mode="reflect") for c in warped]
    return to_uint8(np.stack(bent, -1))


def mud(image, mean, deviation, sigma, threshold, edge, _, rng):
    liquid = ndimage.gaussian_filter(
        rng.normal(mean, deviation, image.shape[:2]), sigma, mode="nearest"
    )
    cover = ndimage.gaussian_filter((liquid > threshold).astype(float), edge, mode="nearest")
    cover = np.where(cover < 0.8, 0, cover)[..., None]
    return to_uint8(image / 255 * (1 - cover) + cover * np.array([63, 42, 20]) / 255)
