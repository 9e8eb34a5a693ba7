"""The corruptions: compared with the published formulas, and properties common to all."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

import tests.helpers.published_corruptions as reference
from lpclip.errors import LpclipError
from lpclip.transforms.corruptions import blur, digital, filters, noise, weather
from lpclip.transforms.corruptions.registry import (
    EXTRA,
    FAMILIES,
    PARAMETER_SETS,
    SEVERITIES,
    STANDARD,
    corrupt,
    family_of,
)
from lpclip.utils import rng

ALL = STANDARD + EXTRA
PARAMETERS = {**noise.PARAMETERS, **blur.PARAMETERS, **weather.PARAMETERS, **digital.PARAMETERS}
EXACT = (
    "brightness", "contrast", "saturate", "pixelate", "jpeg_compression",
    "defocus_blur", "gaussian_blur", "zoom_blur",
)  # fmt: skip
RANDOM = (
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur",
    "motion_blur", "snow", "fog", "elastic_transform",
)  # fmt: skip


@lru_cache
def patches(side: int, n: int) -> Tensor:
    """Return patches of two photographs, 8 bits: float32 [n, 3, side, side]."""
    pictures = []
    for i in range(n):
        picture = Image.fromarray(load_sample_images().images[i % 2])
        left = 40 * (i // 2)
        piece = picture.crop((left, 40, left + 320, 360)).resize((side, side))
        pictures.append(np.asarray(piece))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def ids(n: int) -> list[str]:
    return [f"photo-{i}" for i in range(n)]


def corrupted(images: Tensor, name: str, severity: int, parameters: str = "cifar") -> Tensor:
    keys = rng.keys(0, ids(len(images)), f"{name}/{severity}")
    return corrupt(images, name=name, severity=severity, keys=keys, parameters=parameters)


def pixels(image: Tensor) -> np.ndarray:
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def test_the_registry_has_the_15_standard_and_the_4_extra_corruptions():
    assert len(STANDARD) == 15
    assert len(EXTRA) == 4
    assert sorted(ALL) == sorted(name for names in FAMILIES.values() for name in names)
    assert set(ALL) == set(PARAMETERS)
    for name in ALL:
        assert all(len(PARAMETERS[name][group]) == len(SEVERITIES) for group in PARAMETER_SETS)
        assert family_of(name) in FAMILIES


@pytest.mark.parametrize("parameters", PARAMETER_SETS)
@pytest.mark.parametrize("name", EXACT)
def test_deterministic_corruptions_equal_the_published_formula(name, parameters):
    for severity in (1, 3, 5):
        numbers = PARAMETERS[name][parameters][severity - 1]
        images = patches(32 if parameters == "cifar" else 48, 4)
        for image, result in zip(
            images, corrupted(images, name, severity, parameters), strict=True
        ):
            expected = getattr(reference, name)(
                pixels(image), *(int(c) if name == "jpeg_compression" else c for c in numbers)
            )
            assert np.abs(pixels(result).astype(float) - expected).mean() < 1, severity


@pytest.mark.parametrize("parameters", PARAMETER_SETS)
@pytest.mark.parametrize("name", RANDOM)
def test_random_corruptions_change_images_as_the_published_formula_does(name, parameters):
    """Mean change and mean absolute change agree over many samples, within their noise."""
    n = 48
    for severity in (2, 5):
        images = patches(32, 2).repeat(n, 1, 1, 1)
        numbers = [int(c) if c == int(c) else c for c in PARAMETERS[name][parameters][severity - 1]]
        generator = np.random.default_rng(severity)
        results = corrupted(images, name, severity, parameters)
        few = n if name != "glass_blur" else 8
        for which in range(2):
            clean = pixels(images[which]).astype(float)
            mine = np.stack([pixels(image) for image in results[which::2]]) - clean
            theirs = [getattr(reference, name)(pixels(images[which]), *numbers, generator) - clean
                      for _ in range(few)]  # fmt: skip
            for measure in (lambda change: change, np.abs, np.square):
                a = measure(mine).mean(axis=(1, 2, 3))
                b = measure(np.stack(theirs)).mean(axis=(1, 2, 3))
                error = np.sqrt(a.var() / len(a) + b.var() / len(b))
                assert abs(a.mean() - b.mean()) < 4 * error + 0.02 * abs(b.mean()) + 0.1, severity


@pytest.mark.parametrize("severity", [4, 5])
def test_mud_changes_images_as_the_published_formula_does(severity):
    images = patches(32, 1).repeat(64, 1, 1, 1)
    numbers = PARAMETERS["spatter"]["cifar"][severity - 1]
    generator = np.random.default_rng(0)
    mine = corrupted(images, "spatter", severity) - images
    covered = (mine.abs().amax(dim=1) > 0.01).float().mean(dim=(1, 2))
    theirs = np.stack([reference.mud(pixels(images[0]), *numbers, generator) for _ in range(64)])
    expected = (np.abs(theirs / 255 - pixels(images[0]) / 255).max(-1) > 0.01).mean(axis=(1, 2))
    error = np.sqrt(float(covered.var()) / 64 + expected.var() / 64)
    assert abs(float(covered.mean()) - expected.mean()) < 4 * error


def test_motion_blur_along_a_given_angle_equals_the_published_formula():
    images = patches(32, 4)
    angles = [-45.0, -10.5, 30.0, -120.0]
    blurred = filters.line_blur(images, torch.tensor(angles), radius=9, sigma=2.5)
    result = filters.imagemagick_levels(blurred)
    for image, mine, angle in zip(images, result, angles, strict=True):
        change = pixels(mine).astype(float)
        change -= 255 * reference.line_blur(pixels(image) / 255, angle, 9, 2.5)
        assert np.abs(change).max() < 1.001
        assert (np.abs(change) < 0.001).mean() > 0.995


def test_motion_blur_is_cut_to_levels_as_imagemagick_does():
    """Compare with MagickMotionBlurImage of ImageMagick 6.9.11, written and read as PNG."""
    y, x = np.mgrid[0:6, 0:8]
    image = torch.from_numpy((y * 37 + x * 91) % 256).expand(1, 3, -1, -1) / 255
    blurred = filters.line_blur(image.float(), torch.tensor([30.0]), radius=6, sigma=1.5)
    result = pixels(filters.imagemagick_levels(blurred)[0])[..., 0]
    assert result.tolist() == [
        [72, 119, 121, 89, 136, 134, 96, 134],
        [65, 156, 143, 82, 173, 171, 133, 171],
        [102, 104, 72, 119, 120, 97, 166, 204],
        [139, 126, 65, 156, 143, 76, 144, 183],
        [175, 163, 102, 106, 72, 112, 95, 26],
        [117, 83, 130, 134, 100, 140, 123, 54],
    ]
    assert (np.round(blurred[0, 0].numpy() * 255) > result).mean() > 0.3  # rounding differs


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
@pytest.mark.parametrize(("radius", "sigma"), [(6, 1), (9, 2.5), (20, 15)])
def test_motion_blur_leaves_one_colour_as_it_is(level, radius, sigma):
    flat = torch.full((1, 3, 32, 32), level / 255)
    blurred = filters.line_blur(flat, torch.tensor([17.0]), radius=radius, sigma=sigma)
    assert torch.equal(filters.imagemagick_levels(blurred), flat)


def test_sums_of_shifted_copies_do_not_depend_on_how_they_are_added():
    """Compare the GPU implementation with that of the CPU."""
    from lpclip.transforms.corruptions.filters import _sum_of_gathered, _sum_of_slices

    padded = patches(48, 4)[..., :44]
    offsets = torch.randint(0, 13, (4, 2, 5), generator=torch.Generator().manual_seed(0))
    offsets[3] = offsets[0]
    given = (offsets, [0.5, 0.25, 0.125, 0.0625, 0.0625], torch.Size([36, 32]))
    expected = _sum_of_slices(padded, *given)
    assert torch.equal(_sum_of_gathered(padded, *given), expected)
    assert not torch.equal(expected[0], expected[1])


def test_glass_blur_follows_chains_of_copied_pixels():
    """The parallel shuffle equals the sequential one with the same random numbers."""
    from lpclip.transforms.corruptions.blur import _neighbours

    reach, side = 3, 17
    stream = rng.Stream(rng.keys(0, ids(2), "glass"))
    count = side - 2 * reach
    dx = stream["x"].integers(count, count, low=-reach, high=reach)
    dy = stream["y"].integers(count, count, low=-reach, high=reach)
    source = _neighbours(torch.Size([side, side]), reach, stream)
    for sample in range(2):
        picture = np.arange(side * side).reshape(side, side)
        for row in range(side - reach, reach, -1):
            for column in range(side - reach, reach, -1):
                at = sample, row - reach - 1, column - reach - 1
                picture[row, column] = picture[row + int(dy[at]), column + int(dx[at])]
        assert np.array_equal(source[sample].reshape(side, side).numpy(), picture)


@pytest.mark.parametrize("name", ALL)
def test_results_do_not_depend_on_the_batch(name):
    images = patches(32, 12)
    for parameters, severity in (("cifar", 2), ("imagenet", 2), ("cifar", 5)):
        keys = rng.keys(0, ids(12), f"{name}/{severity}")
        options = {"name": name, "severity": severity, "parameters": parameters}
        whole = corrupt(images, keys=keys, **options)
        for rows in ([4], [11, 2, 7]):
            assert torch.equal(corrupt(images[rows], keys=keys[rows], **options), whole[rows])


@pytest.mark.parametrize("name", ALL)
def test_whole_levels_come_back_as_such_and_are_those_of_fractions(name):
    images = patches(48, 6)
    levels = (images * 255).round().byte()
    for layout in (levels, levels.contiguous(memory_format=torch.channels_last)):
        result = corrupted(layout, name, 3, "imagenet")
        assert result.dtype == torch.uint8
        assert torch.equal(result.float() / 255, corrupted(images, name, 3, "imagenet"))


@pytest.mark.parametrize("name", ALL)
def test_results_are_8_bit_images_of_the_input_size(name):
    images = patches(48, 3)[:, :, :40]
    for parameters in PARAMETER_SETS:
        for severity in SEVERITIES:
            result = corrupted(images, name, severity, parameters)
            assert result.dtype == torch.float32
            assert result.shape == images.shape
            levels = result * 255
            assert torch.allclose(levels, levels.round(), atol=1e-3)
            assert 0 <= float(result.min()) <= float(result.max()) <= 1


@pytest.mark.parametrize("name", ALL)
def test_a_black_image_gives_numbers(name):
    result = corrupted(torch.zeros(2, 3, 32, 32), name, 3)
    assert not result.isnan().any()


@pytest.mark.parametrize(
    "name", sorted(set(ALL) - {"glass_blur", "elastic_transform", "spatter", "saturate"})
)
def test_images_get_farther_from_clean_with_severity(name):
    images = patches(32, 24)
    for parameters in PARAMETER_SETS:
        distances = [
            float((corrupted(images, name, s, parameters) - images).square().mean().sqrt())
            for s in SEVERITIES
        ]
        rises = [b > 0.97 * a for a, b in pairwise(distances)]
        assert sum(rises) >= (3 if name in ("frost", "snow", "pixelate") else 4), distances
        assert distances[4] > 1.1 * distances[0], distances


@pytest.mark.parametrize("name", ["frost", "snow", "gaussian_noise", "elastic_transform"])
def test_samples_and_severities_draw_different_random_numbers(name):
    image = patches(32, 1).repeat(2, 1, 1, 1)
    result = corrupted(image, name, 3)
    assert not torch.equal(result[0], result[1])


@pytest.mark.parametrize("size", [(48, 48), (37, 53), (5, 300)])
def test_defocus_leaves_one_colour_as_it_is(size):
    colours = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, *size)
    for parameters in PARAMETER_SETS:
        for severity in (1, 2, 3):  # the published discs of 4 and 5 brighten ImageNet's images
            result = corrupted(colours.contiguous(), "defocus_blur", severity, parameters)
            assert torch.equal(result, colours), (parameters, severity)


@pytest.mark.parametrize("size", [(134, 69), (95, 299), (201, 118)])
def test_pixelate_is_pillows_at_sizes_with_ties_too(size):
    images = patches(320, 2)[:, :, : size[0], : size[1]]
    for severity in SEVERITIES:
        for parameters in PARAMETER_SETS:
            (factor,) = PARAMETERS["pixelate"][parameters][severity - 1]
            small = [int(length * factor) for length in size]
            for image, result in zip(
                images, corrupted(images, "pixelate", severity, parameters), strict=True
            ):
                picture = Image.fromarray(pixels(image))
                for height, width in (small, size):
                    picture = picture.resize((width, height), Image.Resampling.BOX)
                assert np.array_equal(pixels(result), np.asarray(picture)), (severity, parameters)


def test_images_that_are_too_small_to_shrink_are_refused():
    with pytest.raises(LpclipError, match="3 x 224 pixels are too small for pixelate"):
        corrupted(torch.zeros(1, 3, 3, 224), "pixelate", 5, "imagenet")


@pytest.mark.parametrize("size", [(48, 48), (37, 53), (7, 90)])
@pytest.mark.parametrize("factor", [0.95, 0.65, 0.5, 0.25])
def test_devices_shrink_images_as_pillow_does(size, factor):
    images = torch.randint(
        256, (4, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    small = tuple(max(int(length * factor), 1) for length in size)
    result = digital.shrink_by_boxes(images, *small)
    for image, mine in zip(images, result, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(picture.resize(small[::-1], Image.Resampling.BOX))
        assert np.array_equal(mine.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("shape", [(40, 1), (1, 40)])
def test_a_line_of_pixels_is_blurred_too(shape):
    line = torch.rand(2, 3, *shape)
    assert corrupted(line, "defocus_blur", 3).shape == line.shape


def test_an_empty_batch_gives_an_empty_batch():
    empty = torch.zeros(0, 3, 32, 32)
    for name in ALL:
        assert corrupted(empty, name, 3).shape == empty.shape


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "gausian_noise"}, "Did you mean 'gaussian_noise'"),
        ({"severity": 6}, "Severity 6 of 'fog' does not exist"),
        ({"severity": 0}, "Severity 0"),
        ({"parameters": "cifa"}, "Did you mean 'cifar'"),
        ({"keys": torch.zeros(3, dtype=torch.int64)}, "keys"),
    ],
)
def test_mistakes_are_named(options, text):
    keys = torch.zeros(1, dtype=torch.int64)
    given = {"name": "fog", "severity": 1, "keys": keys, "parameters": "cifar", **options}
    with pytest.raises(LpclipError, match=text):
        corrupt(torch.zeros(1, 3, 32, 32), **given)
