"""Priors compared with plain loops, and maximum-entropy frequencies with a numerical optimiser."""

from typing import get_args

import numpy as np
import pytest
from scipy.optimize import minimize

from lpclip.methods.labelling.priors import apply_prior, estimated_frequencies, most_even
from lpclip.methods.labelling.settings import Prior


def predictions(n=40, c=4, seed=0, tilt=2.0, sharpness=2.0):
    """Return distributions [N, C] that favour the first classes."""
    logits = np.random.default_rng(seed).normal(size=(n, c)) * sharpness - tilt * np.arange(c) / c
    exponent = np.exp(logits)
    return exponent / exponent.sum(axis=1, keepdims=True)


def scale_once(p):
    """Divide columns by their mean, then rows by their sum, element by element."""
    n, c = p.shape
    share = [sum(p[i, j] for i in range(n)) / n for j in range(c)]
    out = np.zeros_like(p)
    for i in range(n):
        row = [p[i, j] / share[j] for j in range(c)]
        out[i] = [value / sum(row) for value in row]
    return out


def entropy(p):
    return float(-(p * np.log(np.maximum(p, 1e-300))).sum())


def variation(p, q):
    return np.abs(p - q).sum() / 2


def test_align_divides_by_the_mean_prediction_of_each_class():
    p = predictions()
    np.testing.assert_allclose(apply_prior(p, "align"), scale_once(p), rtol=1e-12)


def test_sinkhorn_repeats_it_until_every_class_has_the_same_share():
    p = predictions()
    expected = p
    for _ in range(100):
        expected = scale_once(expected)
    balanced = apply_prior(p, "sinkhorn")
    np.testing.assert_allclose(balanced, expected, rtol=1e-9)
    np.testing.assert_allclose(balanced.mean(axis=0), 1 / 4, atol=1e-9)
    np.testing.assert_allclose(balanced.sum(axis=1), 1)
    assert np.ptp(p.mean(axis=0)) > 0.1
    assert np.ptp(apply_prior(p, "align").mean(axis=0)) > 1e-3


def test_without_a_prior_nothing_changes():
    p = predictions()
    np.testing.assert_array_equal(apply_prior(p, "none"), p)


def test_auto_multiplies_by_estimated_over_predicted_frequencies():
    p = predictions()
    ratio = estimated_frequencies(p, radius=0.2) / p.mean(axis=0)
    expected = np.array([row * ratio / (row * ratio).sum() for row in p])
    np.testing.assert_allclose(apply_prior(p, "auto", radius=0.2), expected)
    for other in ("none", "align"):
        assert np.abs(expected - apply_prior(p, other)).max() > 0.01


def test_auto_is_align_where_the_model_is_unsure():
    p = predictions(sharpness=0.3, tilt=0.5)
    np.testing.assert_allclose(apply_prior(p, "auto"), apply_prior(p, "align"), rtol=1e-12)
    assert np.abs(apply_prior(p, "align") - p).max() > 0.05


def test_auto_leaves_a_sure_model_alone():
    p = np.eye(4)[np.arange(40) ** 2 % 7 % 4]
    np.testing.assert_allclose(apply_prior(p, "auto"), p)
    p = predictions(sharpness=300)
    assert np.abs(apply_prior(p, "auto") - p).max() < 0.01 < np.ptp(p.mean(axis=0))


def test_a_class_that_nobody_is_in_gives_no_nan():
    p = predictions()
    p[:, 2] = 0
    p /= p.sum(axis=1, keepdims=True)
    for prior in ("align", "sinkhorn", "auto"):
        corrected = apply_prior(p, prior)
        assert np.isfinite(corrected).all()
        assert (corrected[:, 2] == 0).all()


@pytest.mark.parametrize("prior", get_args(Prior))
def test_leading_axes_are_independent(prior):
    stack = np.stack([predictions(seed=seed, tilt=seed) for seed in range(6)])
    together = apply_prior(stack.reshape(2, 3, 40, 4), prior)
    for position, alone in zip(np.ndindex(2, 3), stack, strict=True):
        np.testing.assert_allclose(together[position], apply_prior(alone, prior), rtol=1e-12)


def test_frequencies_are_the_most_even_within_the_share_of_errors_times_the_radius():
    p = predictions()
    share, errors = p.mean(axis=0), 1 - p.max(axis=1).mean()
    assert 0.1 < errors < 0.5
    for radius in (0.1, 0.3):
        estimated = estimated_frequencies(p, radius=radius)
        np.testing.assert_allclose(estimated, most_even(share, radius * errors))
        assert variation(estimated, share) == pytest.approx(radius * errors)


def test_frequencies_of_a_sure_model_stay_and_of_an_unsure_one_are_evened_out():
    sure, unsure = np.eye(3)[[0, 0, 0, 0, 1, 2]], predictions(c=3, sharpness=0.1, tilt=0.4)
    np.testing.assert_allclose(estimated_frequencies(sure), [2 / 3, 1 / 6, 1 / 6])
    np.testing.assert_allclose(estimated_frequencies(unsure), 1 / 3)
    assert np.ptp(unsure.mean(axis=0)) > 0.05


def most_even_by_an_optimiser(p, distance):
    """Optimise increases u and decreases v, so that the distance is a linear constraint."""
    c = len(p)

    def moved(uv):
        return p + uv[:c] - uv[c:]

    def loss(uv):
        return -entropy(moved(uv))

    def slope(uv):
        by_p = np.log(moved(uv)) + 1
        return np.concatenate([by_p, -by_p])

    up, down = np.repeat([1.0, 0.0], c), np.repeat([0.0, 1.0], c)
    found = minimize(
        loss,
        np.zeros(2 * c),
        jac=slope,
        method="SLSQP",
        bounds=[(0, 1)] * c + [(0, value * 0.999) for value in p],
        constraints=[
            {"type": "eq", "fun": lambda uv: (up - down) @ uv, "jac": lambda _: up - down},
            {"type": "ineq", "fun": lambda uv: distance - up @ uv, "jac": lambda _: -up},
        ],
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert found.success, found.message
    return moved(found.x)


@pytest.mark.parametrize("distance", [0.02, 0.1, 0.25])
@pytest.mark.parametrize("seed", range(4))
def test_most_even_has_the_largest_entropy_within_the_distance(distance, seed):
    p = np.random.default_rng(seed).dirichlet(np.full(3 + seed, 0.8))
    even = most_even(p, distance)
    assert even.sum() == pytest.approx(1)
    assert variation(even, p) <= distance + 1e-12
    np.testing.assert_allclose(even, most_even_by_an_optimiser(p, distance), atol=2e-4)


def test_no_distance_changes_nothing_and_a_large_one_gives_even_frequencies():
    p = np.random.default_rng(0).dirichlet(np.ones(6))
    np.testing.assert_allclose(most_even(p, 0.0), p, rtol=1e-12)
    to_even = variation(p, np.full(6, 1 / 6))
    np.testing.assert_allclose(most_even(p, to_even), 1 / 6)
    np.testing.assert_allclose(most_even(p, 1.0), 1 / 6)
    assert np.ptp(most_even(p, to_even - 1e-3)) > 0
    np.testing.assert_allclose(most_even(np.eye(4)[1], 0.0), np.eye(4)[1])


def test_equal_frequencies_move_together():
    np.testing.assert_allclose(
        most_even(np.array([0.4, 0.4, 0.1, 0.1, 0.0]), 0.1), [0.35, 0.35, 0.1, 0.1, 0.1]
    )
