"""The source `pool`: which images of its parts it has, with which labels, and its errors."""

from collections import Counter

import numpy as np
import pytest
import yaml

import lpclip.data.sources.digits
from lpclip.config.check import complete
from lpclip.data.base import UNLABELLED, Sample
from lpclip.data.index import index_samples
from lpclip.data.registry import modules, open_source
from lpclip.errors import LpclipError
from lpclip.utils.code_hash import code_hash

DIGITS = {"kind": "digits", "split": "adapt"}
LETTERS = {"kind": "glyphs", "characters": "letters", "n": 400}
PHOTOS = {"kind": "photo_patches", "n": 30}
SIZES = Counter(sample.label for sample in open_source("digits", {"split": "adapt"}).samples())


def pool(*parts, **settings):
    return open_source("pool", {"parts": list(parts), **settings})


def samples(*parts, **settings):
    return pool(*parts, **settings).samples()


def counts(found):
    return Counter(sample.label for sample in found)


def ids(found):
    return {sample.id for sample in found}


def test_a_pool_of_one_whole_part_is_that_part_but_for_its_paths():
    source = open_source("digits", {"split": "adapt"})
    made = pool({"source": DIGITS})
    assert list(made.class_names) == list(source.class_names)
    assert made.samples() == [s._replace(path=f"0:{s.path}") for s in source.samples()]


def test_ids_of_several_parts_begin_with_the_number_of_the_part():
    found = samples({"source": DIGITS, "n": 2}, {"source": PHOTOS, "n": 1, "ood": True})
    assert [sample.id[:8] for sample in found] == ["0-digit-", "0-digit-", "1-patch-"]
    assert [sample.path[:2] for sample in found] == ["0:", "0:", "1:"]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (0.5, [0.5] * 10),
        ([1, 0, 0.5, 0.5, 0.5, 1, 1, 1, 1, 0.2], [1, 0, 0.5, 0.5, 0.5, 1, 1, 1, 1, 0.2]),
        ({"linear": 0.08}, [1 - 0.08 * c for c in range(10)]),
        ({"long_tail": 10}, [10 ** (-c / 9) for c in range(10)]),
    ],
)
def test_every_class_is_kept_with_its_probability(keep, expected):
    found = counts(samples({"source": DIGITS, "keep": keep}))
    for label, probability in enumerate(expected):
        spread = np.sqrt(SIZES[label] * probability * (1 - probability))
        assert abs(found[label] - SIZES[label] * probability) <= 3.5 * spread


def test_what_is_kept_follows_the_seed_and_is_nested():
    half, more = (samples({"source": DIGITS, "keep": keep}) for keep in (0.5, 0.7))
    assert half == samples({"source": DIGITS, "keep": 0.5})
    assert ids(half) < ids(more)
    assert ids(half) != ids(samples({"source": DIGITS, "keep": 0.5}, seed=1))
    few, many = (ids(samples({"source": DIGITS, "per_class": n})) for n in (5, 20))
    assert few < many
    assert ids(samples({"source": DIGITS, "n": 30})) < ids(samples({"source": DIGITS, "n": 300}))
    assert many != ids(samples({"source": DIGITS, "per_class": 20}, seed=1))


def test_the_choice_in_a_part_depends_on_no_other_part():
    alone = samples({"source": DIGITS, "keep": 0.5})
    mixed = samples({"source": DIGITS, "keep": 0.5}, {"source": PHOTOS, "ood": True})
    assert [sample.path for sample in mixed[: len(alone)]] == [sample.path for sample in alone]


def test_the_order_is_that_of_the_source():
    found = samples({"source": DIGITS, "keep": 0.8, "per_class": 20, "n": 100})
    assert [sample.id for sample in found] == sorted(sample.id for sample in found)
    assert len(found) == 100


def test_per_class_gives_exactly_so_many_of_each_class():
    assert counts(samples({"source": DIGITS, "per_class": 20})) == dict.fromkeys(range(10), 20)
    assert counts(samples({"source": DIGITS, "per_class": 1000})) == SIZES


def test_classes_choose_and_order_the_labels():
    made = pool({"source": DIGITS, "classes": [7, "2"], "keep": [1, 0.5]})
    found = made.samples()
    assert list(made.class_names) == ["7", "2"]
    assert counts(found)[0] == SIZES[7]
    assert 0.3 * SIZES[2] < counts(found)[1] < 0.7 * SIZES[2]


def test_a_class_may_be_out_of_distribution():
    made = pool(
        {"source": DIGITS, "classes": list(range(9))},
        {"source": DIGITS, "classes": [9], "ood": True},
    )
    assert list(made.class_names) == list("012345678")
    expected = {**{label: SIZES[label] for label in range(9)}, UNLABELLED: SIZES[9]}
    assert counts(made.samples()) == expected


@pytest.mark.parametrize("share", [0, 0.1, 0.3])
def test_a_share_is_that_of_the_whole_pool(share):
    found = samples({"source": DIGITS}, {"source": LETTERS, "share": share, "ood": True})
    assert abs(counts(found)[UNLABELLED] - share * len(found)) <= 0.5
    assert len(found) - counts(found)[UNLABELLED] == 898


def test_an_ood_part_may_be_thinned_by_its_own_classes():
    found = samples(
        {"source": DIGITS, "n": 1},
        {"source": LETTERS, "classes": ["A", "C"], "per_class": 3, "ood": True},
    )
    assert counts(found)[UNLABELLED] == 6


def test_a_pool_of_ood_images_has_no_classes():
    assert pool({"source": PHOTOS, "ood": True}).class_names is None


def test_a_pool_in_a_pool_keeps_its_ood_images():
    inner = {
        "kind": "pool",
        "parts": [{"source": DIGITS}, {"source": PHOTOS, "ood": True}],
    }
    found = samples({"source": inner, "keep": {"linear": 0.08}, "per_class": 20})
    assert counts(found) == {**dict.fromkeys(range(10), 20), UNLABELLED: 30}
    assert found[-1].path.startswith("0:1:")


def test_images_are_those_of_the_parts_in_any_order():
    painted = {**DIGITS, "paint": "photographs", "seed": 4}
    parts = [{"source": painted, "n": 5}, {"source": LETTERS, "n": 5, "ood": True}]
    found = samples(*parts)
    sources = [
        open_source("digits", {"split": "adapt", "paint": "photographs", "seed": 4}),
        open_source("glyphs", {"characters": "letters", "n": 400}),
    ]
    fresh = pool(*parts)  # reads without listing its samples first
    for sample in reversed(found):
        number, _, path = sample.path.partition(":")
        expected = np.asarray(sources[int(number)].read(path))
        np.testing.assert_array_equal(np.asarray(fresh.read(sample.path)), expected)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"source": DIGITS, "kep": 1}, r"parts\.0 has no setting 'kep'\. Did you mean 'keep'"),
        ({}, r"parts\.0 lacks the setting 'source'"),
        ("digits", r"parts\.0 is 'digits'; allowed: a mapping"),
        ({"source": PHOTOS, "foreign": True}, "parts.0: 'foreign' is now called 'ood'"),
        ({"source": {"split": "adapt"}}, r"parts\.0\.source lacks the setting 'kind'"),
        ({"source": {"kind": "digts"}}, r"parts\.0: Unknown.*Did you mean 'digits'"),
        ({"source": {**DIGITS, "split": "tset"}}, r"parts\.0: .*Did you mean 'test'"),
        ({"source": DIGITS, "keep": [1, 0.5]}, r"keep has 2 probabilities for 10 classes"),
        ({"source": DIGITS, "keep": 1.2}, r"probability 1\.2, outside 0\.\.1"),
        ({"source": DIGITS, "keep": [1] * 9 + [-0.5]}, r"probability -0\.5, outside 0\.\.1"),
        ({"source": DIGITS, "keep": {"linear": 0.2}}, r"parts\.0\.keep .*outside 0\.\.1"),
        ({"source": DIGITS, "keep": {"long_tail": 0.1}}, "long_tail is 0.1"),
        ({"source": DIGITS, "keep": {"longtail": 10}}, "Did you mean 'long_tail'"),
        ({"source": DIGITS, "keep": {"long_tail": 10, "linear": 0.1}}, "needs one profile"),
        ({"source": DIGITS, "keep": "half"}, r"parts\.0: keep is 'half'; allowed: a number"),
        ({"source": DIGITS, "classes": ["ten"]}, r"parts\.0 has no class 'ten'\. Available: 0, 1"),
        ({"source": DIGITS, "classes": [1, 1]}, "each once"),
        ({"source": PHOTOS}, r"parts\.0 has no classes\. Set ood: true"),
        ({"source": PHOTOS, "ood": True, "classes": ["a"]}, "no classes to choose from"),
        ({"source": PHOTOS, "ood": True, "keep": [1]}, "must be one probability"),
        ({"source": PHOTOS, "ood": True, "per_class": 3}, "per_class needs classes"),
        ({"source": DIGITS, "per_class": 0}, "at least 1"),
        ({"source": DIGITS, "n": -1}, "at least 0"),
        ({"source": DIGITS, "share": 1.0}, r"share must be in \[0, 1\)"),
        ({"source": DIGITS, "share": 0.5}, "one part must have no share"),
    ],
)
def test_an_impossible_part_is_refused_with_a_sentence(part, expected):
    with pytest.raises(LpclipError, match=expected):
        pool(part)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], "at least one part"),
        (
            [{"source": DIGITS}, {"source": LETTERS}],
            r"parts\.0 has the classes 0, 1.*parts\.1 a, c",
        ),
        ([{"source": DIGITS}, {"source": LETTERS, "share": 0.5, "n": 3}], "instead of n"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(parts, expected):
    with pytest.raises(LpclipError, match=expected):
        pool(*parts)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{"source": DIGITS, "keep": 0}], "The pool has no images"),
        ([{"source": DIGITS}, {"source": DIGITS, "ood": True}], "both take 'digit-0003'"),
        (
            [{"source": DIGITS}, {"source": PHOTOS, "share": 0.1, "ood": True}],
            r"parts\.1 has 30 images, but a share of 0\.1 next to 898 .* takes 100",
        ),
    ],
)
def test_images_that_are_missing_or_there_twice_are_an_error(parts, expected):
    with pytest.raises(LpclipError, match=expected):
        samples(*parts)


def test_a_source_that_repeats_an_id_is_an_error(monkeypatch):
    twice = [Sample("a", "x", 0), Sample("a", "y", 1)]
    monkeypatch.setattr(lpclip.data.sources.digits.Source, "samples", lambda _: twice)
    with pytest.raises(
        LpclipError, match=r"parts\.0: its source has two images with the id 'a': x and y"
    ):
        samples({"source": DIGITS})


@pytest.mark.parametrize("path", ["digits.csv@1", "7:digits.csv@1", "x:digits.csv@1"])
def test_a_path_of_no_part_is_refused(path):
    with pytest.raises(LpclipError, match=rf"no image '{path}'"):
        pool({"source": DIGITS}).read(path)


def test_a_pool_is_indexed_like_any_dataset(tmp_path):
    source = {"kind": "pool", "parts": [{"source": DIGITS, "per_class": 2}]}
    index_samples(output=tmp_path / "samples.h5", dataset="few", source=source)
    frame = lpclip.read_frame(tmp_path / "samples.h5")
    assert frame["label"].value_counts().to_dict() == dict.fromkeys(range(10), 2)


def test_the_code_of_a_pool_is_that_of_its_parts_at_any_depth():
    inner = {"kind": "pool", "parts": [{"source": LETTERS}]}
    source = {"kind": "pool", "parts": [{"source": DIGITS}, {"source": inner, "ood": True}]}
    names = modules(source)
    assert names == [
        "lpclip.data.sources.digits",
        "lpclip.data.sources.glyphs",
        "lpclip.data.sources.pool",
    ]
    assert modules(PHOTOS) == ["lpclip.data.sources.photo_patches"]
    assert code_hash(*names) != code_hash("lpclip.data.sources.pool")


def test_the_check_of_the_configuration_opens_the_parts(pytestconfig):
    config = yaml.safe_load((pytestconfig.rootpath / "config.yaml").read_text())
    parts = [{"source": DIGITS}, {"source": {"kind": "glyfs"}, "ood": True}]
    config["datasets"]["digits-adapt"] = {"source": {"kind": "pool", "parts": parts}}
    with pytest.raises(LpclipError, match=r"datasets\.digits-adapt: parts\.1: .*mean 'glyphs'"):
        complete(config)
    parts[1]["source"] = LETTERS
    assert complete(config).datasets["digits-adapt"].source["parts"] == parts
