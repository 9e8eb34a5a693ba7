"""Accuracy, proper scores and AURC against scikit-learn, SciPy and slow loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, log_loss

from lpclip.metrics import (
    accuracy,
    aurc,
    brier_score,
    classification_metrics,
    negative_log_likelihood,
    wilson_interval,
)

GRID = [(1, 2), (2, 3), (7, 10), (100, 2), (899, 10), (300, 100)]


def predictions(n, n_classes, *, sharpness=3.0, seed=0):
    random = np.random.default_rng(seed)
    logits = sharpness * random.normal(size=(n, n_classes))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities, random.integers(0, n_classes, n)


@pytest.mark.parametrize(("n", "n_classes"), GRID)
def test_accuracy_nll_and_brier_agree_with_independent_implementations(n, n_classes):
    probabilities, labels = predictions(n, n_classes)
    classes = np.arange(n_classes)
    assert accuracy(probabilities, labels) == accuracy_score(labels, probabilities.argmax(axis=1))
    assert_allclose(
        negative_log_likelihood(probabilities, labels),
        log_loss(labels, probabilities, labels=classes),
        rtol=1e-12,
    )
    assert_allclose(
        brier_score(probabilities, labels),
        np.square(probabilities - np.eye(n_classes)[labels]).sum(axis=1).mean(),
        rtol=1e-12,
    )


@pytest.mark.parametrize("n", [1, 2, 10, 899])
def test_wilson_interval_agrees_with_scipy_at_every_count(n):
    for successes in {0, 1, n // 3, n // 2, n - 1, n}:
        expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
        assert_allclose(
            wilson_interval(successes, n), (expected.low, expected.high), rtol=1e-12, atol=1e-15
        )


def test_wilson_interval_ends_exactly_at_0_and_1():
    for n in (1, 3, 10, 899, 10_000):
        assert wilson_interval(0, n)[0] == 0.0
        assert wilson_interval(n, n)[1] == 1.0


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_wilson_interval_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)


def aurc_by_enumeration(confidence, correct):
    """Error over the k most confident, averaged over k and over many orders of the ties."""
    random = np.random.default_rng(1)
    values = []
    for _ in range(4000):
        order = np.lexsort((random.random(len(correct)), -confidence))
        risks = [1 - correct[order[:k]].mean() for k in range(1, len(correct) + 1)]
        values.append(np.mean(risks))
    return np.mean(values)


def test_aurc_is_the_mean_error_over_all_coverages():
    probabilities, labels = predictions(200, 5)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidence)
    expected = np.mean([1 - correct[order[:k]].mean() for k in range(1, 201)])
    assert_allclose(aurc(probabilities, labels), expected, rtol=1e-12)


def test_aurc_of_ties_is_the_expectation_over_their_orders():
    confidence = np.array([0.9, 0.9, 0.9, 0.7, 0.7, 0.6])
    probabilities = np.column_stack([confidence, 1 - confidence])
    labels = np.array([0, 1, 1, 0, 1, 0])
    expected = aurc_by_enumeration(confidence, (labels == 0).astype(float))
    assert_allclose(aurc(probabilities, labels), expected, atol=5e-3)


def test_no_metric_depends_on_the_order_of_samples_even_with_ties():
    probabilities = np.repeat([[1.0, 0.0], [0.75, 0.25], [0.25, 0.75]], 20, axis=0)
    labels = np.random.default_rng(2).integers(0, 2, 60)
    shuffled = np.random.default_rng(3).permutation(60)
    first = classification_metrics(probabilities, labels)
    second = classification_metrics(probabilities[shuffled], labels[shuffled])
    assert_allclose(list(first.values()), list(second.values()), rtol=1e-12)


def test_one_class_is_always_right():
    metrics = classification_metrics(np.ones((4, 1)), np.zeros(4, int))
    assert metrics["accuracy"] == metrics["accuracy_high"] == 1.0
    assert [metrics[name] for name in ("ece", "adaptive_ece", "nll", "brier", "aurc")] == [0.0] * 5


def test_a_confident_mistake_costs_finitely_many_nats():
    probabilities, labels = np.array([[1.0, 0.0]]), np.array([1])
    assert negative_log_likelihood(probabilities, labels) == pytest.approx(36.0437, abs=1e-3)
    assert_allclose(
        negative_log_likelihood(probabilities, labels), log_loss([1], [[1.0, 0.0]], labels=[0, 1])
    )
    assert brier_score(probabilities, labels) == 2.0


def test_nothing_measured_is_nan():
    metrics = classification_metrics(np.zeros((0, 10)), np.zeros(0, int))
    assert metrics.pop("n") == 0
    assert len(metrics) == 8
    assert np.isnan(list(metrics.values())).all()
    assert np.isnan(accuracy(np.zeros((0, 10)), np.zeros(0)))


def test_the_block_function_agrees_with_the_single_ones():
    probabilities, labels = predictions(50, 4)
    metrics = classification_metrics(probabilities, labels)
    assert list(metrics) == [
        "n", "accuracy", "accuracy_low", "accuracy_high", "ece", "adaptive_ece", "nll", "brier",
        "aurc",
    ]  # fmt: skip
    assert metrics["nll"] == negative_log_likelihood(probabilities, labels)
    assert metrics["brier"] == brier_score(probabilities, labels)
    assert metrics["aurc"] == aurc(probabilities, labels)
    assert metrics["accuracy"] == accuracy(probabilities, labels)
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    assert 0 < low < metrics["accuracy"] < high < 1


def test_half_precision_probabilities_are_probabilities():
    probabilities, labels = predictions(200, 100, sharpness=1.0)
    half = classification_metrics(probabilities.astype(np.float16), labels)
    assert half["nll"] == pytest.approx(negative_log_likelihood(probabilities, labels), rel=1e-2)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([[4.0, -3.0]], id="logits that sum to 1"),
        pytest.param([[0.3, 0.2]], id="cosines"),
        pytest.param([[float("nan"), 1.0]], id="nan"),
        pytest.param([[float("inf"), 0.0]], id="inf"),
    ],
)
@pytest.mark.parametrize(
    "metric", [classification_metrics, negative_log_likelihood, brier_score, aurc]
)
def test_what_is_no_distribution_is_refused(metric, values):
    with pytest.raises(ValueError, match="expected probabilities"):
        metric(np.array(values), np.array([0]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 2], r"labels in 0\.\.1, got 0\.\.2"),
        ([-1, 0], r"got -1\.\.0"),
        ([0], "expected 2 labels"),
        ([0.0, 1.0], "integers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        accuracy(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array(labels))
