"""Coloured and photographic backgrounds of digits and glyphs; rotation and inversion of glyphs."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from lpclip.data.paint import LEAST_CONTRAST, contrast, paint, random_colours
from lpclip.data.registry import open_source
from lpclip.data.sources.digits import enlarge
from lpclip.errors import LpclipError

DIGITS = ("digits", {"split": "test"})
GLYPHS = ("glyphs", {"characters": "digits", "n": 12})
PAINTED = [
    (kind, {**settings, "paint": name})
    for kind, settings in (DIGITS, GLYPHS)
    for name in ("colours", "photographs")
]
PATCHES = ["china.jpg@604,239,33", "flower.jpg@260,136,102", "china.jpg@324,105,38"]


def images(kind, settings, n=12):
    source = open_source(kind, settings)
    return np.stack([np.asarray(source.read(sample.path)) for sample in source.samples()[:n]])


def test_without_paint_a_digit_is_the_enlarged_one():
    source, levels = open_source("digits", {"split": "all"}), load_digits().images.astype(int)
    for row, sample in enumerate(source.samples()[:50]):
        np.testing.assert_array_equal(np.asarray(source.read(sample.path)), enlarge(levels[row]))


def test_places_of_patches_are_fixed_by_the_seed_for_good():
    found = open_source("photo_patches", {"n": 3, "seed": 2}).samples()
    assert [sample.path for sample in found] == PATCHES


@pytest.mark.parametrize(("kind", "settings"), PAINTED)
def test_paint_changes_pixels_and_neither_ids_nor_paths_nor_labels(kind, settings):
    plain = {key: value for key, value in settings.items() if key != "paint"}
    painted, before = open_source(kind, settings), open_source(kind, plain)
    assert painted.samples() == before.samples()
    assert not np.array_equal(images(kind, settings), images(kind, plain))


@pytest.mark.parametrize(("kind", "settings"), PAINTED)
def test_paint_depends_on_seed_and_id_and_not_on_the_order_of_reading(kind, settings):
    one, two = open_source(kind, settings), open_source(kind, settings)
    samples = one.samples()[:8]
    forward = [np.asarray(one.read(sample.path)) for sample in samples]
    backward = [np.asarray(two.read(sample.path)) for sample in reversed(samples)][::-1]
    np.testing.assert_array_equal(forward, backward)
    other = images(kind, {**settings, "seed": 1}, n=8)
    assert not any(np.array_equal(a, b) for a, b in zip(forward, other, strict=True))


def test_the_colours_of_a_digit_have_the_least_contrast():
    rng = np.random.default_rng(0)
    drawn = [contrast(*random_colours(rng)) for _ in range(500)]
    assert LEAST_CONTRAST == 0.35
    assert LEAST_CONTRAST <= min(drawn) < 0.4
    mask = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("RGB")
    polarities = set()
    for i in range(100):
        back, front = np.asarray(paint(mask, "colours", seed=0, identifier=str(i)))[0].astype(int)
        assert contrast(front, back) >= LEAST_CONTRAST
        polarities.add(front.sum() > back.sum())
    assert polarities == {True, False}


def test_the_grey_value_is_the_opacity():
    mask = Image.fromarray(np.array([[0, 51, 102, 255]], dtype=np.uint8)).convert("RGB")
    row = np.asarray(paint(mask, "colours", seed=0, identifier="a"))[0].astype(float)
    np.testing.assert_allclose(row[1], row[0] + 0.2 * (row[3] - row[0]), atol=0.51)
    np.testing.assert_allclose(row[2], row[0] + 0.4 * (row[3] - row[0]), atol=0.51)


def test_a_photograph_shows_where_there_is_no_ink_and_differs_for_each_id():
    black = Image.new("RGB", (32, 32))
    white = Image.new("RGB", (32, 32), (255, 255, 255))
    behind = [
        np.asarray(paint(black, "photographs", seed=0, identifier=f"digit-{i}")) for i in range(20)
    ]
    assert len({image.tobytes() for image in behind}) == 20
    assert all(np.ptp(image) > 0 for image in behind)
    assert np.asarray(paint(white, "photographs", seed=0, identifier="digit-0")).min() == 255


def test_rotation_turns_all_glyphs_alike_as_pillow_does():
    kind, settings = GLYPHS
    straight = images(kind, settings)
    expected = [
        np.asarray(Image.fromarray(image).rotate(35, resample=Image.Resampling.BICUBIC))
        for image in straight
    ]
    np.testing.assert_array_equal(images(kind, {**settings, "rotation": 35}), expected)


def test_inverted_glyphs_are_black_on_white():
    kind, settings = GLYPHS
    turned = {**settings, "rotation": 35}
    inverted = images(kind, {**turned, "inverted": True})
    np.testing.assert_array_equal(inverted, 255 - images(kind, turned))
    assert (inverted[:, 0, 0] == 255).all()


def test_capitals_are_the_whole_alphabet():
    source = open_source("glyphs", {"characters": "capitals", "n": 52})
    assert "".join(source.class_names) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert sorted(sample.label for sample in source.samples()) == sorted([*range(26)] * 2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"paint": "colors"}, "Did you mean 'colours'"),
        ({"paint": "colours", "inverted": True}, "takes no paint"),
        ({"style": "varied", "paint": "colours"}, "has colours of its own"),
        ({"style": "varied", "rotation": 3}, "low_resolution"),
        ({"style": "varied", "inverted": True}, "low_resolution"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, expected):
    with pytest.raises(LpclipError, match=expected):
        open_source("glyphs", {"characters": "digits", "n": 1, **settings})
    if set(settings) == {"paint"}:
        with pytest.raises(LpclipError, match=expected):
            open_source("digits", {"split": "all", **settings})
