"""Paired comparisons against SciPy's bootstrap and every possible resample of small sets."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import bootstrap

from lpclip.metrics import paired_comparison


def correctness(shape, seed=0, better=0.1):
    random = np.random.default_rng(seed)
    difficulty = random.random(shape)
    noise = random.normal(0, 0.2, (2, *shape))
    return difficulty + noise[0] < 0.6 + better, difficulty + noise[1] < 0.6


def difference_of(ours, theirs):
    return ours.astype(float).mean() - theirs.astype(float).mean()


@pytest.mark.parametrize("shape", [(1,), (7,), (899,), (5, 60), (1, 30)])
def test_differences_and_counts_are_those_of_a_loop(shape):
    ours, theirs = correctness(shape)
    result = paired_comparison(ours, theirs)
    pairs = list(zip(ours.ravel(), theirs.ravel(), strict=True))
    assert result["n"] == shape[-1]
    assert result["only_method"] == sum(a and not b for a, b in pairs)
    assert result["only_baseline"] == sum(b and not a for a, b in pairs)
    assert result["difference"] == pytest.approx(difference_of(ours, theirs), abs=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([1, 1, 0, 1, 1], [1, 0, 0, 0, 0]),
        ([1, 1, 0, 0, 1], [1, 0, 1, 0, 0]),
        ([[1, 1, 0, 1, 1], [1, 1, 0, 0, 1]], [[0, 0, 1, 0, 1], [0, 0, 1, 0, 1]]),
    ],
)
def test_the_interval_is_that_of_all_possible_resamples(ours, theirs):
    ours, theirs = np.array(ours, bool), np.array(theirs, bool)
    gains = np.atleast_2d(ours.astype(float) - theirs).mean(axis=0)
    n = len(gains)
    means = np.array([gains[list(drawn)].mean() for drawn in product(range(n), repeat=n)])
    expected = np.quantile(means, [0.025, 0.975])
    result = paired_comparison(ours, theirs, resamples=200_000)
    assert_allclose([result["difference_low"], result["difference_high"]], expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(899,), (15, 300)])
def test_the_interval_agrees_with_scipy(shape):
    ours, theirs = correctness(shape, seed=1)
    gains = np.atleast_2d(ours.astype(float) - theirs).mean(axis=0)
    expected = bootstrap(
        (gains,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    result = paired_comparison(ours, theirs, resamples=20_000)
    width = expected.high - expected.low
    assert_allclose(
        [result["difference_low"], result["difference_high"]],
        [expected.low, expected.high],
        atol=0.04 * width,
    )


def test_views_of_one_image_are_no_independent_evidence():
    ours, theirs = correctness((400,), seed=3)
    once = paired_comparison(ours, theirs)
    copied = paired_comparison(np.tile(ours, (75, 1)), np.tile(theirs, (75, 1)))
    for name in ("n", "difference", "difference_low", "difference_high"):
        assert copied[name] == pytest.approx(once[name], abs=1e-12)
    assert copied["only_method"] == 75 * once["only_method"]
    as_if_independent = paired_comparison(np.tile(ours, 75), np.tile(theirs, 75))
    assert as_if_independent["difference_low"] > once["difference_low"] + 0.005


def test_the_order_of_images_does_not_matter_but_the_seed_does():
    ours, theirs = correctness((3, 900), seed=7)
    order = np.random.default_rng(0).permutation(900)
    first = paired_comparison(ours, theirs)
    assert first == paired_comparison(ours[:, order], theirs[:, order])
    assert first != paired_comparison(ours, theirs, seed=1)


def test_swapping_the_methods_turns_the_difference_round():
    ours, theirs = correctness((300,), seed=9)
    there, back = paired_comparison(ours, theirs), paired_comparison(theirs, ours)
    assert back["difference"] == -there["difference"]
    assert back["only_method"] == there["only_baseline"]
    assert_allclose(back["difference_low"], -there["difference_high"], atol=0.005)


def test_equal_methods_differ_by_exactly_nothing():
    ours, _ = correctness((120,))
    result = paired_comparison(ours, ours)
    assert list(result.values()) == [120, 0.0, 0.0, 0.0, 0, 0]


def test_all_right_against_all_wrong_is_certain():
    result = paired_comparison(np.ones(9, bool), np.zeros(9, bool))
    assert list(result.values()) == [9, 1.0, 1.0, 1.0, 9, 0]


def test_many_distinct_gains_are_drawn_in_parts(monkeypatch):
    ours, theirs = correctness((15, 200))
    whole = paired_comparison(ours, theirs, resamples=1000)
    monkeypatch.setattr("lpclip.metrics.comparison._NUMBERS_AT_ONCE", 100)
    assert paired_comparison(ours, theirs, resamples=1000) == whole


def test_nothing_compared_is_nan():
    result = paired_comparison(np.zeros(0, bool), np.zeros(0, bool))
    assert result["n"] == result["only_method"] == result["only_baseline"] == 0
    assert np.isnan([result[f"difference{end}"] for end in ("", "_low", "_high")]).all()


def test_what_cannot_be_compared_is_refused():
    four, five = np.ones(4, bool), np.ones(5, bool)
    with pytest.raises(ValueError, match="one shape"):
        paired_comparison(four, five)
    with pytest.raises(ValueError, match="booleans, got float64"):
        paired_comparison(np.ones(4), four)
    with pytest.raises(ValueError, match="at least one resample"):
        paired_comparison(four, four, resamples=0)
