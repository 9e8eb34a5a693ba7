"""Paired comparisons, checked against the published formula and SciPy's bootstrap."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import bootstrap

from lpclip.metrics.comparison import paired_comparison


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


def adjusted_wald(ours, theirs):
    """Compute Bonett & Price (2012), equation 4, from the counts of pairs."""
    n = len(ours) + 2
    p12, p21 = ((np.sum(a & ~b) + 1) / n for a, b in ((ours, theirs), (theirs, ours)))
    half = 1.959963985 * np.sqrt((p12 + p21 - (p12 - p21) ** 2) / n)
    return max(-1, p12 - p21 - half), min(1, p12 - p21 + half)


@pytest.mark.parametrize("shape", [(1,), (7,), (30,), (899,)])
@pytest.mark.parametrize("better", [0.0, 0.02, 0.4])
def test_of_single_views_the_interval_is_that_of_bonett_and_price(shape, better):
    ours, theirs = correctness(shape, seed=4, better=better)
    result = paired_comparison(ours, theirs)
    found = result["difference_low"], result["difference_high"]
    assert_allclose(found, adjusted_wald(ours, theirs), atol=1e-9)
    assert found[0] <= result["difference"] <= found[1]


@pytest.mark.parametrize("shape", [(899,), (15, 900)])
def test_where_many_images_differ_the_interval_is_nearly_that_of_scipy_s_bootstrap(shape):
    ours, theirs = correctness(shape, seed=1)
    gains = np.atleast_2d(ours.astype(float) - theirs).mean(axis=0)
    expected = bootstrap(
        (gains,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    result = paired_comparison(ours, theirs)
    width = expected.high - expected.low
    assert_allclose(
        [result["difference_low"], result["difference_high"]],
        [expected.low, expected.high],
        atol=0.06 * width,
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


def test_the_order_of_images_does_not_matter():
    ours, theirs = correctness((3, 900), seed=7)
    order = np.random.default_rng(0).permutation(900)
    first, other = (
        paired_comparison(ours[:, rows], theirs[:, rows]) for rows in (slice(None), order)
    )
    assert_allclose(list(first.values()), list(other.values()), rtol=1e-12)


def test_swapping_the_methods_turns_the_difference_round():
    ours, theirs = correctness((300,), seed=9)
    there, back = paired_comparison(ours, theirs), paired_comparison(theirs, ours)
    assert back["difference"] == -there["difference"]
    assert back["only_method"] == there["only_baseline"]
    assert_allclose(back["difference_low"], -there["difference_high"], atol=1e-12)


def test_one_head_differs_from_itself_by_exactly_nothing():
    ours, _ = correctness((120,))
    assert list(paired_comparison(ours, ours, same=True).values()) == [120, 0.0, 0.0, 0.0, 0, 0]


@pytest.mark.parametrize("n", [1, 2, 9, 120, 10_000])
def test_other_heads_that_do_not_differ_on_these_images_might_on_others(n):
    ours, _ = correctness((n,))
    result = paired_comparison(ours, ours)
    assert result["difference"] == 0
    assert result["difference_high"] == -result["difference_low"] > 0


def test_heads_that_are_told_to_be_the_same_and_differ_have_an_interval():
    ours, theirs = correctness((120,))
    assert paired_comparison(ours, theirs, same=True) == paired_comparison(ours, theirs)


def test_all_right_against_all_wrong_is_not_certain_for_other_images():
    result = paired_comparison(np.ones(9, bool), np.zeros(9, bool))
    assert result["difference"] == result["difference_high"] == 1
    assert 0.4 < result["difference_low"] < 0.6


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
