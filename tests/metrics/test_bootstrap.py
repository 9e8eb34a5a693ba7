"""Bootstrap intervals against the metrics of rows that are really repeated, and against SciPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import bootstrap

from lpclip.metrics import (
    adaptive_calibration_error,
    aurc,
    bootstrap_intervals,
    brier_score,
    expected_calibration_error,
    mean_per_class_accuracy,
    negative_log_likelihood,
)
from lpclip.metrics.bootstrap import _counts

METRICS = {
    "mean_per_class_accuracy": mean_per_class_accuracy,
    "ece": expected_calibration_error,
    "adaptive_ece": adaptive_calibration_error,
    "nll": negative_log_likelihood,
    "brier": brier_score,
    "aurc": aurc,
}


def predictions(n, n_classes, seed=0, levels=None):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(n_classes, 0.4), size=n)
    if levels:  # few confidences, so that many are tied; some are exactly 1
        probabilities = np.round(probabilities * levels)
        probabilities[probabilities.sum(axis=1) == 0, 0] = 1
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    guesses = random.integers(0, n_classes, n)
    return probabilities, np.where(random.random(n) < 0.6, probabilities.argmax(axis=1), guesses)


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize(
    ("n", "n_classes"), [(1, 2), (2, 2), (12, 6), (14, 3), (47, 10), (300, 10)]
)
def test_intervals_are_those_of_rows_that_are_repeated(n, n_classes, levels):
    probabilities, labels = predictions(n, n_classes, levels=levels)
    intervals = bootstrap_intervals(probabilities, labels, resamples=60, seed=3)
    for name, metric in METRICS.items():
        values = []
        for counts in np.concatenate(list(_counts(n, 60, 3))).astype(int):
            rows = np.repeat(np.arange(n), counts)
            values.append(metric(probabilities[rows], labels[rows]))
        ends = 2 * metric(probabilities, labels) - np.quantile(values, [0.975, 0.025])
        expected = np.clip(ends, 0, {"nll": None, "brier": 2}.get(name, 1))
        ours = [intervals[f"{name}_low"], intervals[f"{name}_high"]]
        assert_allclose(ours, expected, atol=1e-9, err_msg=name)


def test_every_resample_draws_n_samples_and_all_samples_are_drawn():
    counts = np.concatenate(list(_counts(1000, 700, 0)))
    assert counts.shape == (700, 1000)  # more than are drawn at once
    assert (counts.sum(axis=1) == 1000).all()
    assert_allclose(counts.mean(axis=0), 1, atol=0.2)
    assert_allclose((counts == 0).mean(), np.exp(-1), atol=0.005)


def test_intervals_of_means_agree_with_scipy():
    probabilities, labels = predictions(400, 5)
    losses = -np.log(probabilities[np.arange(400), labels])
    expected = bootstrap(
        (losses,), np.mean, n_resamples=20_000, method="basic", rng=np.random.default_rng(5)
    ).confidence_interval
    ours = bootstrap_intervals(probabilities, labels, resamples=20_000)
    width = expected.high - expected.low
    assert_allclose(
        [ours["nll_low"], ours["nll_high"]], [expected.low, expected.high], atol=0.03 * width
    )


def test_the_same_seed_gives_the_same_intervals_and_another_seed_does_not():
    values = predictions(50, 4)
    assert bootstrap_intervals(*values, seed=1) == bootstrap_intervals(*values, seed=1)
    assert bootstrap_intervals(*values, seed=1) != bootstrap_intervals(*values, seed=2)


def test_more_samples_give_narrower_intervals():
    few, many = (bootstrap_intervals(*predictions(n, 4), resamples=300) for n in (100, 2000))
    for name in METRICS:
        widths = [found[f"{name}_high"] - found[f"{name}_low"] for found in (few, many)]
        assert widths[0] > 2 * widths[1] > 0


@pytest.mark.parametrize("right", [True, False])
def test_a_head_that_is_always_sure_has_no_spread(right):
    labels = np.zeros(20, int) if right else np.ones(20, int)
    intervals = bootstrap_intervals(np.eye(2)[np.zeros(20, int)], labels)
    worst = {"nll": 36.0437, "brier": 2.0, "mean_per_class_accuracy": 0.0}
    for name in METRICS:
        expected = worst.get(name, 1.0)
        if right:
            expected = float(name == "mean_per_class_accuracy")
        assert_allclose([intervals[f"{name}_low"], intervals[f"{name}_high"]], expected, atol=1e-4)


def test_nothing_measured_is_nan():
    intervals = bootstrap_intervals(np.zeros((0, 3)), np.zeros(0, int))
    assert list(intervals) == [f"{name}_{end}" for name in METRICS for end in ("low", "high")]
    assert np.isnan(list(intervals.values())).all()


def test_impossible_arguments_are_refused():
    probabilities, labels = predictions(5, 2)
    with pytest.raises(ValueError, match="at least one resample"):
        bootstrap_intervals(probabilities, labels, resamples=0)
    with pytest.raises(ValueError, match="expected probabilities"):
        bootstrap_intervals(np.log(probabilities), labels)
