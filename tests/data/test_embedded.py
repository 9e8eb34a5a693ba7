from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits

from lpclip.data.base import UNLABELLED
from lpclip.data.registry import kinds, open_source
from lpclip.data.sources.digits import enlarge
from lpclip.data.sources.glyphs import CHARACTERS, DIGIT_LIKE
from lpclip.errors import LpclipError

ADAPT_STARTS_WITH = ["digit-0003", "digit-0004", "digit-0006", "digit-0007"]
SETTINGS = [
    ("digits", {"split": "adapt"}),
    ("glyphs", {"characters": "digits", "n": 25}),
    ("glyphs", {"characters": "letters_and_symbols", "n": 25, "style": "varied", "seed": 3}),
    ("photo_patches", {"n": 25}),
]


def pixels(source, sample):
    return np.asarray(source.read(sample.path))


def test_the_embedded_kinds_are_found():
    assert {"digits", "glyphs", "photo_patches"} <= set(kinds())


@pytest.mark.parametrize(("kind", "settings"), SETTINGS)
def test_images_are_rgb_of_32_pixels_and_ids_unique(kind, settings):
    source = open_source(kind, settings)
    samples = source.samples()
    assert len({sample.id for sample in samples}) == len(samples)
    for sample in samples[:5]:
        image = source.read(sample.path)
        assert (image.mode, image.size) == ("RGB", (32, 32))
        assert np.ptp(np.asarray(image)) > 0


@pytest.mark.parametrize(("kind", "settings"), SETTINGS)
def test_an_image_depends_neither_on_the_order_of_reading_nor_on_the_object(kind, settings):
    one, two = open_source(kind, settings), open_source(kind, settings)
    samples = one.samples()[:12]
    assert samples == two.samples()[:12]
    forward = [pixels(one, sample) for sample in samples]
    backward = [pixels(two, sample) for sample in reversed(samples)][::-1]
    np.testing.assert_array_equal(forward, backward)


@pytest.mark.parametrize(("kind", "settings"), SETTINGS[1:])
def test_another_seed_gives_other_images(kind, settings):
    one = open_source(kind, {**settings, "seed": 0})
    two = open_source(kind, {**settings, "seed": 1})
    same = [
        np.array_equal(pixels(one, a), pixels(two, b))
        for a, b in zip(one.samples()[:8], two.samples()[:8], strict=True)
    ]
    assert not any(same)


def test_the_split_of_the_digits_is_disjoint_whole_and_stratified():
    adapt, test, both = (
        open_source("digits", {"split": split}).samples() for split in ("adapt", "test", "all")
    )
    assert (len(adapt), len(test), len(both)) == (898, 899, 1797)
    assert not {s.id for s in adapt} & {s.id for s in test}
    assert {s.id for s in adapt} | {s.id for s in test} == {s.id for s in both}
    a, t = Counter(s.label for s in adapt), Counter(s.label for s in test)
    assert all(abs(a[label] - t[label]) <= 1 for label in range(10))


def test_the_split_of_the_digits_is_that_of_the_published_figures():
    adapt = [sample.id for sample in open_source("digits", {"split": "adapt"}).samples()]
    assert adapt[:4] == ADAPT_STARTS_WITH


def test_digits_have_the_labels_and_pixels_of_their_id():
    source, data = open_source("digits", {"split": "test"}), load_digits()
    for sample in source.samples()[:20]:
        row = int(sample.id.removeprefix("digit-"))
        assert sample.label == data.target[row]
        small = source.read(sample.path).convert("L").resize((8, 8))
        assert np.corrcoef(np.asarray(small).ravel(), data.images[row].ravel())[0, 1] > 0.9


def test_enlarge_keeps_black_and_white():
    assert np.asarray(enlarge(np.zeros((8, 8), dtype=int))).max() == 0
    assert np.asarray(enlarge(np.full((8, 8), 16))).min() == 255


def test_glyphs_are_balanced_and_labelled_by_their_character():
    source = open_source("glyphs", {"characters": "letters", "n": 100})
    samples = source.samples()
    counts = Counter(sample.label for sample in samples)
    assert len(samples) == 100
    assert set(counts) == set(range(len(source.class_names)))
    assert max(counts.values()) - min(counts.values()) <= 1
    for sample in samples:
        code = int(sample.path.partition("@U+")[2], 16)
        assert chr(code) == source.class_names[sample.label]


def test_a_longer_set_of_glyphs_begins_with_the_shorter_one():
    short, long = (
        open_source("glyphs", {"characters": "symbols", "n": n}).samples() for n in (20, 60)
    )
    assert long[:20] == short


def test_letters_and_symbols_leave_out_what_looks_like_a_digit():
    for name in ("letters", "symbols", "letters_and_symbols"):
        assert not set(CHARACTERS[name]) & set("".join(DIGIT_LIKE.values()) + "0123456789")
        assert len(CHARACTERS[name]) >= 10


def test_low_resolution_glyphs_are_grey_and_follow_the_distortion():
    straight, bent = (
        open_source("glyphs", {"characters": "digits", "n": 10, "distortion": distortion})
        for distortion in (0.0, 2.0)
    )
    for sample in straight.samples():
        image = pixels(straight, sample)
        np.testing.assert_array_equal(image[..., 0], image[..., 2])
        assert not np.array_equal(image, pixels(bent, sample))


def test_patches_lie_inside_their_photograph_in_many_sizes():
    source = open_source("photo_patches", {"n": 60})
    assert source.class_names is None
    sizes = set()
    for sample in source.samples():
        assert sample.label == UNLABELLED
        name, _, place = sample.path.partition("@")
        left, top, size = map(int, place.split(","))
        assert name in {"china.jpg", "flower.jpg"}
        assert 32 <= size <= 427
        assert left + size <= 640
        assert top + size <= 427
        sizes.add(size)
    assert min(sizes) < 64 < 200 < max(sizes)


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("digits", {"split": "tset"}, "Did you mean 'test'"),
        ("glyphs", {"characters": "leters", "n": 1}, "Did you mean 'letters'"),
        ("glyphs", {"characters": "digits", "n": 1, "style": "vared"}, "Did you mean 'varied'"),
        ("glyphs", {"characters": "digits", "n": 0}, "at least 1"),
        ("glyphs", {"characters": "digits", "n": 1, "distortion": -1}, "at least 0"),
        ("glyphs", {"characters": "digits", "n": 1, "style": "varied", "distortion": 2}, "varied"),
        ("photo_patches", {"n": 0}, "at least 1"),
        ("photo_patches", {"n": 1, "sede": 1}, "Did you mean 'seed'"),
    ],
)
def test_wrong_settings_are_refused_with_a_sentence(kind, settings, expected):
    with pytest.raises(LpclipError, match=expected):
        open_source(kind, settings)


@pytest.mark.parametrize(
    ("kind", "settings", "path"),
    [
        ("digits", {"split": "all"}, "digits.csv@1797"),
        ("digits", {"split": "all"}, "12"),
        ("glyphs", {"characters": "digits", "n": 1}, "glyph-00000@U+4E2D"),
        ("glyphs", {"characters": "digits", "n": 1}, "glyph-00000"),
        ("photo_patches", {"n": 1}, "china.jpg@600,0,64"),
        ("photo_patches", {"n": 1}, "dog.jpg@0,0,64"),
    ],
)
def test_a_path_of_nothing_is_refused_with_a_sentence(kind, settings, path):
    with pytest.raises(LpclipError, match=r"no (image|glyph|patch)"):
        open_source(kind, settings).read(path)
