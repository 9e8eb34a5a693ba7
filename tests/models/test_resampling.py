"""Resampling on a device, compared with Pillow's in open_clip's preprocessing."""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from lpclip.models.resampling import _height_first, resampling_of

PREPROCESSINGS = {
    "short side": {},
    "short side, bilinear": {"interpolation": "bilinear"},
    "both sides": {"resize_mode": "squash"},
    "both sides, bilinear": {"resize_mode": "squash", "interpolation": "bilinear"},
}
SIZES = [(375, 500), (500, 333), (64, 64), (40, 47), (31, 30), (65, 64), (300, 301), (807, 135)]


def steps_of(size=64, **settings):
    *steps, _ = open_clip.image_transform(size, is_train=False, **settings).transforms
    return steps


@pytest.mark.parametrize("settings", PREPROCESSINGS.values(), ids=PREPROCESSINGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_those_of_pillow(settings, size):
    steps = steps_of(**settings)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    for step in steps[:-1]:
        image = step(image)
    resample = resampling_of(steps)
    made = resample(torch.from_numpy(noise).permute(2, 0, 1)[None])
    assert (made.shape, made.dtype) == ((1, 3, 64, 64), torch.uint8)
    difference = np.abs(np.asarray(image).astype(int) - made[0].permute(1, 2, 0).numpy())
    # A sum at a half may be rounded either way.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_an_image_is_resized_as_if_alone():
    resample = resampling_of(steps_of())
    images = torch.randint(0, 256, (5, 3, 90, 120), dtype=torch.uint8)
    together = resample(images)
    alone = torch.cat([resample(image[None]) for image in images])
    assert (together.int() - alone.int()).abs().max() <= 1
    assert (together != alone).float().mean() < 1e-3


def test_the_order_of_the_passes_matters_and_is_asked_for():
    resample = resampling_of(steps_of(resize_mode="squash"))
    image = torch.randint(0, 256, (1, 3, 200, 90), dtype=torch.uint8)
    either = [resample.in_order(image, height_first=first) for first in (False, True)]
    assert (either[0].int() - either[1].int()).abs().max() > 1
    assert torch.equal(resample(image), either[_height_first(resample, 200, 90)])


def test_an_image_of_the_model_s_size_is_left_alone():
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert torch.equal(resampling_of(steps_of())(image), image)


@pytest.mark.parametrize("settings", [{"resize_mode": "longest"}, {"size": (64, 48)}])
def test_other_preprocessings_are_pillow_s(settings):
    assert resampling_of(steps_of(**settings)) is None
