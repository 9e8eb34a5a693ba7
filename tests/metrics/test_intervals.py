"""Intervals of proportions against SciPy and against the tests that they invert."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom, binomtest

from lpclip.metrics import clopper_pearson_interval, wilson_interval

METHODS = {"wilson": wilson_interval, "exact": clopper_pearson_interval}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 10, 899, 50_000])
def test_intervals_agree_with_scipy_at_every_kind_of_count(n, method):
    for successes in {0, 1, n // 3, n // 2, n - 1, n}:
        expected = binomtest(successes, n).proportion_ci(0.95, method=method)
        assert_allclose(
            METHODS[method](successes, n),
            (expected.low, expected.high),
            atol=1e-9,  # SciPy searches
        )


def test_the_exact_interval_ends_where_a_one_sided_test_rejects():
    for successes in range(1, 12):
        low, high = clopper_pearson_interval(successes, 12)
        assert_allclose(binom.sf(successes - 1, 12, low), 0.025, rtol=1e-9)
        if successes < 12:
            assert_allclose(binom.cdf(successes, 12, high), 0.025, rtol=1e-9)


def test_the_exact_interval_covers_at_least_95_percent_and_wilson_about_as_much():
    n, counts = 40, np.arange(41)
    for truth in np.linspace(0.05, 0.95, 19):
        chances = binom.pmf(counts, n, truth)
        covered = {
            name: sum(
                chance
                for k, chance in zip(counts, chances, strict=True)
                if interval(int(k), n)[0] <= truth <= interval(int(k), n)[1]
            )
            for name, interval in METHODS.items()
        }
        assert covered["exact"] >= 0.95
        assert 0.90 < covered["wilson"] <= covered["exact"] + 1e-12


@pytest.mark.parametrize("interval", METHODS.values())
def test_intervals_end_exactly_at_0_and_1(interval):
    for n in (1, 3, 10, 899, 10_000):
        assert interval(0, n)[0] == 0.0
        assert interval(n, n)[1] == 1.0


@pytest.mark.parametrize("interval", METHODS.values())
def test_an_interval_of_nothing_is_nan(interval):
    assert np.isnan(interval(0, 0)).all()


@pytest.mark.parametrize("interval", METHODS.values())
@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_impossible_counts_are_refused(successes, n, interval):
    with pytest.raises(ValueError, match="successes"):
        interval(successes, n)
