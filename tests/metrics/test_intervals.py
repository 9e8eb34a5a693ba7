"""Wilson's interval, compared with SciPy and with its nominal coverage."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom, binomtest

from lpclip.metrics.intervals import wilson_interval


@pytest.mark.parametrize("n", [1, 2, 10, 899, 50_000])
def test_the_interval_agrees_with_scipy_at_every_kind_of_count(n):
    for successes in {0, 1, n // 3, n // 2, n - 1, n}:
        expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
        assert_allclose(wilson_interval(successes, n), (expected.low, expected.high), atol=1e-9)


def test_the_interval_covers_about_95_percent():
    n, counts = 40, np.arange(41)
    ends = np.array([wilson_interval(int(k), n) for k in counts])
    for truth in np.linspace(0.05, 0.95, 19):
        covers = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        assert 0.90 < binom.pmf(counts, n, truth)[covers].sum() < 0.99


def test_the_interval_ends_exactly_at_0_and_1():
    for n in (1, 3, 10, 899, 10_000):
        assert wilson_interval(0, n)[0] == 0.0
        assert wilson_interval(n, n)[1] == 1.0


def test_an_interval_of_nothing_is_nan():
    assert np.isnan(wilson_interval(0, 0)).all()


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)
