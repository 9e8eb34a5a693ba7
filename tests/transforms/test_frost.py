"""Frost: the user's photographs as in the published script, and procedural pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

import tests.helpers.published_corruptions as reference
from lpclip.errors import LpclipError
from lpclip.transforms.corruptions import crystals, weather
from lpclip.transforms.corruptions.registry import corrupt
from lpclip.utils import rng

# Of the published pictures: two are taller than 336 pixels and two are not.
SIZES = ((900, 600), (560, 315), (560, 315), (527, 350), (660, 495), (485, 323))

# Signal-to-noise ratio and high-frequency power (`measured`) of the images of `clean` with the
# published pictures, from the package imagecorruptions 1.1.2, as `frost_images`; by severity.
PUBLISHED = {
    32: {
        1: (18.8, 12.65),
        2: (15.3, 28.33),
        3: (14.41, 54.87),
        4: (14.37, 50.63),
        5: (14.66, 76.16),
    },
    224: {1: (13.79, 24.94), 3: (10.59, 82.47), 5: (9.66, 98.26)},
}


@pytest.fixture(scope="module")
def published_like(tmp_path_factory):
    """Write six pictures with the names and sizes of the published ones, other content."""
    folder = tmp_path_factory.mktemp("frost")
    for number, (width, height) in enumerate(SIZES, start=1):
        picture = Image.fromarray(load_sample_images().images[number % 2])
        picture = picture.crop((5 * number, 0, 5 * number + 500, 400)).resize((width, height))
        picture.save(folder / f"frost{number}.png")
    return folder


def clean(side: int, n: int) -> Tensor:
    """Return crops of two photographs: uint8 [n, 3, side, side]."""
    crops = []
    for number in range(n):
        picture = Image.fromarray(load_sample_images().images[number % 2])
        left = 20 * (number // 2 % 10)
        crop = picture.crop((left, 0, left + 427, 427))
        crops.append(np.asarray(crop.resize((side, side))))
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()


def measured(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Return mean signal-to-noise ratio in decibels and mean high-frequency power."""
    change = after.numpy().astype(float) - before.numpy()
    ratio = 10 * np.log10(255**2 / (change**2).mean(axis=(1, 2, 3)))
    side = change.shape[-1]
    window = np.outer(np.hanning(side + 1)[:-1], np.hanning(side + 1)[:-1])
    spectrum = np.abs(np.fft.fft2(change * window)) ** 2 / (side**2 * (window**2).sum())
    frequency = np.fft.fftfreq(side)
    high = np.hypot(frequency[:, None], frequency) > 0.25
    return ratio.mean(), spectrum[..., high].sum(axis=-1).mean()


def frosted(images: Tensor, severity: int, parameters: str, folder=None) -> Tensor:
    return corrupt(
        images,
        name="frost",
        severity=severity,
        keys=keys(len(images), severity),
        parameters=parameters,
        frost_images=folder,
    )


def keys(n: int, severity: int) -> Tensor:
    return rng.keys(0, [f"photo-{i}" for i in range(n)], f"frost/{severity}")


@pytest.mark.parametrize(
    ("side", "parameters"), [(32, "cifar"), (224, "imagenet"), (336, "imagenet")]
)
def test_frost_of_photographs_equals_the_published_formula(published_like, side, parameters):
    severity = 3
    images = clean(side, 10)
    result = frosted(images, severity, parameters, published_like)
    stream = rng.Stream(keys(len(images), severity))
    which = stream["texture"].integers(high=5).tolist()
    place = stream["place"].uniform(2).double().tolist()
    image_weight, frost_weight, scale = weather.PARAMETERS["frost"][parameters][severity - 1]
    paths = sorted(published_like.iterdir())
    for image, mine, number, at in zip(images, result, which, place, strict=True):
        picture = np.asarray(Image.open(paths[number]))
        expected = reference.frost(
            image.permute(1, 2, 0).numpy(), image_weight, frost_weight, picture, scale, *at
        )
        difference = np.abs(mine.permute(1, 2, 0).numpy().astype(int) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


def test_of_the_six_published_pictures_five_are_used(tmp_path):
    for number in range(1, 7):
        Image.new("RGB", (300, 300), (40 * number,) * 3).save(tmp_path / f"frost{number}.png")
    black = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    levels = frosted(black, 1, "cifar", tmp_path).amax(dim=(1, 2, 3))
    assert sorted(set(levels.tolist())) == [8 * number for number in range(1, 6)]


def test_all_pictures_of_another_folder_are_used(tmp_path):
    for number in range(6):
        Image.new("RGB", (300, 300), (40 * number + 40,) * 3).save(tmp_path / f"ice-{number}.jpg")
    black = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
    assert len(set(frosted(black, 1, "cifar", tmp_path).amax(dim=(1, 2, 3)).tolist())) == 6


def test_pictures_that_are_too_small_are_enlarged_as_little_as_covers_the_images(tmp_path):
    Image.new("RGB", (300, 260), (255, 0, 0)).save(tmp_path / "a.png")
    for side, parameters in ((64, "cifar"), (400, "imagenet")):
        black = torch.zeros(2, 3, side, side)
        result = frosted(black, 1, parameters, tmp_path)
        weight = weather.PARAMETERS["frost"][parameters][0][1]
        assert torch.allclose(result[:, 0], torch.tensor(weight))
        assert float(result[:, 1:].max()) == 0


def test_unusable_photographs_are_named(tmp_path):
    black = torch.zeros(1, 3, 32, 32)
    with pytest.raises(LpclipError, match="missing has no pictures of frost"):
        frosted(black, 1, "cifar", tmp_path / "missing")
    for folder in ("deep", "broken"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.zeros((300, 300), np.uint16)).save(tmp_path / "deep/a.png")
    with pytest.raises(LpclipError, match=r"a\.png has more than 8 bits"):
        frosted(black, 1, "cifar", tmp_path / "deep")
    (tmp_path / "broken/b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with pytest.raises(LpclipError, match=r"b\.png cannot be read"):
        frosted(black, 1, "cifar", tmp_path / "broken")


@pytest.mark.parametrize("side", [32, 224])
def test_procedural_frost_does_to_images_what_the_published_pictures_do(side):
    """Within 1 dB of the signal-to-noise ratio and 25 % of the high-frequency power."""
    images = clean(side, 100 if side == 32 else 20)
    for severity, (ratio, power) in PUBLISHED[side].items():
        result = frosted(images, severity, "cifar" if side == 32 else "imagenet")
        mine = measured(images, result)
        assert mine[0] == pytest.approx(ratio, abs=1), severity
        assert mine[1] == pytest.approx(power, rel=0.25), severity


def test_procedural_pictures_are_bright_bluish_and_always_the_same():
    crystals.crystals.cache_clear()
    first = [crystals.crystals(number) for number in range(5)]
    crystals.crystals.cache_clear()
    for number, (picture, look) in enumerate(zip(first, crystals.LOOKS, strict=True)):
        assert np.array_equal(picture, crystals.crystals(number))
        mean = picture.mean(axis=(0, 1))
        assert np.abs(mean - look.colour).max() < 3
        assert mean[2] > mean[0] + 10
        quantiles = np.quantile(picture.mean(axis=2), [0.05, 0.5, 0.95])
        assert np.abs(quantiles - np.array(look.levels)[[2, 4, 6]]).max() < 6
