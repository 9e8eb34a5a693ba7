"""Intervals of metrics, compared with repeated sampling and with a known true value."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import bootstrap

from lpclip.metrics.classification import classification_metrics

METRICS = ("mean_per_class_accuracy", "ece", "adaptive_ece", "nll", "brier", "aurc")


def predictions(n, n_classes, seed=0, levels=None):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(n_classes, 0.4), size=n)
    if levels:  # few distinct confidences, so many ties; some are exactly 1
        probabilities = np.round(probabilities * levels)
        probabilities[probabilities.sum(axis=1) == 0, 0] = 1
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    guesses = random.integers(0, n_classes, n)
    return probabilities, np.where(random.random(n) < 0.6, probabilities.argmax(axis=1), guesses)


def ends(metrics, name):
    return metrics[f"{name}_low"], metrics[f"{name}_high"]


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize(("n", "n_classes"), [(300, 4), (899, 10)])
def test_intervals_are_nearly_those_of_samples_that_are_drawn_anew(n, n_classes, levels):
    probabilities, labels = predictions(n, n_classes, levels=levels)
    random = np.random.default_rng(1)
    found = classification_metrics(probabilities, labels)
    drawn = [
        classification_metrics(probabilities[rows], labels[rows])
        for rows in random.integers(0, n, (1000, n))
    ]
    for name in ("mean_per_class_accuracy", "nll", "brier", "aurc"):
        quantiles = np.quantile([metrics[name] for metrics in drawn], [0.975, 0.025])
        low, high = 2 * found[name] - quantiles
        assert_allclose(ends(found, name), (low, high), atol=0.2 * (high - low))


def test_intervals_of_means_agree_with_scipy():
    probabilities, labels = predictions(400, 5)
    losses = -np.log(probabilities[np.arange(400), labels])
    expected = bootstrap(
        (losses,), np.mean, n_resamples=20_000, method="basic", rng=np.random.default_rng(5)
    ).confidence_interval
    found = ends(classification_metrics(probabilities, labels), "nll")
    assert_allclose(found, expected, atol=0.03 * (expected.high - expected.low))


def test_more_samples_give_narrower_intervals():
    few, many = (classification_metrics(*predictions(n, 4)) for n in (100, 2000))
    for name in METRICS:
        widths = [np.diff(ends(found, name))[0] for found in (few, many)]
        assert widths[0] > 2 * widths[1] > 0


@pytest.mark.parametrize("n", [1, 2, 5, 15, 16, 30, 1000])
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("confidence", [1.0, 0.6])
def test_samples_that_are_all_alike_might_have_been_others(n, right, confidence):
    labels = np.zeros(n, int) if right else np.ones(n, int)
    metrics = classification_metrics(np.tile([confidence, 1 - confidence], (n, 1)), labels)
    for name in METRICS:
        low, high = ends(metrics, name)
        assert low <= metrics[name] <= high
        assert high - low > 1e-4
    assert ends(metrics, "mean_per_class_accuracy") == ends(metrics, "accuracy")
    if confidence == 1 and right:
        # Two of n + 4 would have been wrong, each with a loss of 36 nats.
        assert metrics["nll_high"] > 2 * 36 / (n + 4)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_intervals_of_few_samples_hold_the_value_and_stay_in_range(n):
    for seed in range(20):
        metrics = classification_metrics(*predictions(n, 3, seed=seed))
        for name in METRICS:
            low, high = ends(metrics, name)
            assert high > low
            assert 0 <= low <= metrics[name] + 1e-12
            assert metrics[name] - 1e-12 <= high <= {"nll": 37, "brier": 2}.get(name, 1)


@pytest.mark.parametrize("n", [10, 14, 100, 903])
def test_intervals_of_calibration_errors_hold_an_error_that_is_all_noise(n):
    random = np.random.default_rng(n)
    outside = 0
    for _ in range(20):
        # As often correct as predicted: 1 in 10.
        metrics = classification_metrics(np.full((n, 10), 0.1), random.integers(0, 10, n))
        for name in ("ece", "adaptive_ece"):
            low, high = ends(metrics, name)
            outside += not low - 1e-12 <= metrics[name] <= high + 1e-12
    assert outside == 0


def test_the_mean_over_classes_is_as_sure_as_its_smallest_class_lets_it_be():
    probabilities, labels = predictions(900, 3, seed=4)
    even = np.concatenate([np.flatnonzero(labels == c)[:200] for c in range(3)])
    uneven = np.concatenate([np.flatnonzero(labels == c)[: 200 if c else 10] for c in range(3)])
    widths = [
        np.diff(ends(classification_metrics(probabilities[rows], labels[rows]), name))[0]
        for rows in (even, uneven)
        for name in ("accuracy", "mean_per_class_accuracy")
    ]
    assert_allclose(widths[1], widths[0], rtol=1e-9)
    assert widths[3] > 1.5 * widths[2]


def test_order_of_samples_does_not_matter_where_confidences_are_equal():
    probabilities, labels = predictions(200, 4, levels=3)
    order = np.random.default_rng(0).permutation(200)
    one = classification_metrics(probabilities, labels)
    other = classification_metrics(probabilities[order], labels[order])
    assert_allclose(list(one.values()), list(other.values()), atol=1e-12)
