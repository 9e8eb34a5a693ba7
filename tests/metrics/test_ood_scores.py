"""OOD scores, compared with SciPy's softmax, log-sum-exp and entropy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp, softmax
from scipy.stats import entropy as shannon_entropy

from lpclip.metrics.ood_scores import energy, entropy, max_logit, mcm, msp


@pytest.fixture(params=[0.1, 22.0, 1000.0])
def logits(request):
    return request.param * np.random.default_rng(0).uniform(-1, 1, size=(50, 7))


def test_scores_agree_with_scipy_and_do_not_overflow(logits):
    assert_allclose(msp(logits), softmax(logits, axis=1).max(axis=1), rtol=1e-12)
    assert_allclose(max_logit(logits), np.amax(logits, axis=1))
    assert_allclose(
        entropy(logits), -shannon_entropy(softmax(logits, axis=1), axis=1), rtol=1e-9, atol=1e-12
    )
    for temperature in (0.5, 1.0, 10.0):
        expected = temperature * logsumexp(logits / temperature, axis=1)
        assert_allclose(energy(logits, temperature=temperature), expected, rtol=1e-12)


@pytest.mark.parametrize("tau", [0.01, 1.0])
def test_mcm_is_the_largest_softmax_of_cosines(tau):
    cosines = np.random.default_rng(1).uniform(-1, 1, size=(50, 7)).astype(np.float32)
    expected = softmax(cosines.astype(np.float64) / tau, axis=1).max(axis=1)
    assert_allclose(mcm(cosines, tau=tau), expected, rtol=1e-12)


def test_every_score_is_higher_for_the_clearer_image():
    clear, unclear = np.array([[0.9, 0.1, 0.1]]), np.array([[0.4, 0.3, 0.4]])
    for score in (msp, max_logit, energy, entropy, mcm):
        assert score(clear) > score(unclear)


def test_mcm_refuses_scaled_logits():
    with pytest.raises(ValueError, match="cosines"):
        mcm(np.array([[22.0, 3.0]]))


def test_one_class_and_no_images_are_defined():
    assert entropy(np.array([[5.0]])) == 0.0
    assert msp(np.array([[5.0]])) == 1.0
    for score in (msp, max_logit, energy, entropy, mcm):
        assert score(np.zeros((0, 4))).shape == (0,)
        with pytest.raises(ValueError, match=r"shape \[N, C\]"):
            score(np.zeros(4))


def test_temperatures_must_be_positive():
    with pytest.raises(ValueError, match="temperature > 0"):
        energy(np.zeros((1, 2)), temperature=0.0)
    with pytest.raises(ValueError, match="tau > 0"):
        mcm(np.zeros((1, 2)), tau=-1.0)


@pytest.mark.parametrize("score", [msp, max_logit, energy, entropy, mcm])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(score, bad):
    with pytest.raises(ValueError, match="finite"):
        score(np.array([[0.1, 0.2], [bad, 0.3]]))


@pytest.mark.parametrize("score", [msp, max_logit, energy, entropy, mcm])
def test_half_precision_is_computed_in_full(score):
    values = np.random.default_rng(0).uniform(-1, 1, (40, 5)).astype(np.float16)
    assert score(values).dtype == np.float64
    assert_allclose(score(values), score(values.astype(np.float64)), rtol=1e-12)


def test_two_equal_logits_have_closed_forms():
    values = np.full((3, 2), 0.25)
    assert_allclose(msp(values), 0.5)
    assert_allclose(mcm(values, tau=0.01), 0.5)
    assert_allclose(entropy(values), -np.log(2))
    assert_allclose(energy(values, temperature=3.0), 0.25 + 3 * np.log(2))
