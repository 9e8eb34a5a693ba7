"""Calibration errors, compared with torchmetrics and slow loops, with edge cases of binning."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torchmetrics.functional.classification import multiclass_calibration_error

from lpclip.metrics.calibration import expected_calibration_error
from lpclip.metrics.classification import classification_metrics


def adaptive_calibration_error(probabilities, labels):
    return classification_metrics(probabilities, labels)["adaptive_ece"]


def predictions(n, n_classes, seed=0):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(n_classes, 0.4), size=n)
    return probabilities, random.integers(0, n_classes, n)


def two_classes(confidence, correct):
    """Return probabilities and labels with exactly this confidence (> 0.5) and correctness."""
    confidence = np.array(confidence)
    labels = 1 - np.array(correct, int)
    return np.column_stack([confidence, 1 - confidence]), labels


def error_by_loop(probabilities, labels, n_bins):
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    total = 0.0
    for b in range(n_bins):
        inside = (confidence > b / n_bins) & (confidence <= (b + 1) / n_bins)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("n_bins", [1, 2, 10, 15, 100])
@pytest.mark.parametrize(("n", "n_classes"), [(1, 2), (30, 3), (899, 10)])
def test_ece_agrees_with_torchmetrics_and_a_loop(n, n_classes, n_bins):
    probabilities, labels = predictions(n, n_classes)
    ours = expected_calibration_error(probabilities, labels, n_bins=n_bins)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), n_classes, n_bins=n_bins
    )
    assert_allclose(ours, theirs.item(), atol=1e-6)
    assert_allclose(ours, error_by_loop(probabilities, labels, n_bins), atol=1e-12)


def test_a_confidence_of_1_shares_the_last_bin():
    # In separate bins the error is 0.03 / 2 + 0.5; in one bin the gaps partly cancel.
    probabilities, labels = two_classes([1.0, 0.97], [False, True])
    assert_allclose(expected_calibration_error(probabilities, labels), (1.97 - 1) / 2)


def test_bins_are_closed_on_the_right():
    # 0.6 = 9/15 ends the bin of 0.55 and is not in that of 0.65: gaps |2 - 1.15| and 0.65.
    probabilities, labels = two_classes([0.55, 0.6, 0.65], [True, True, False])
    assert_allclose(expected_calibration_error(probabilities, labels), (0.85 + 0.65) / 3)


def test_ece_is_order_free_and_bounded():
    probabilities, labels = predictions(200, 5, seed=4)
    order = np.random.default_rng(0).permutation(200)
    for metric in (expected_calibration_error, adaptive_calibration_error):
        value = metric(probabilities, labels)
        assert 0 < value < 1
        assert_allclose(value, metric(probabilities[order], labels[order]), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 7, 15, 16, 100, 899])
def test_adaptive_ece_agrees_with_a_loop_over_equal_parts(n):
    probabilities, labels = predictions(n, 10)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(confidence), 15)
    expected = sum(
        len(part) / n * abs(correct[part].mean() - confidence[part].mean())
        for part in parts
        if len(part)
    )
    assert_allclose(adaptive_calibration_error(probabilities, labels), expected, atol=1e-12)


def test_adaptive_ece_spreads_ties_evenly_over_the_bins():
    # Thirty samples of confidence 0.8, 24 of them right: perfectly calibrated, in any order.
    probabilities, labels = two_classes([0.8] * 30, [True] * 24 + [False] * 6)
    assert_allclose(adaptive_calibration_error(probabilities, labels), 0, atol=1e-12)
    probabilities, labels = two_classes([0.8] * 30, [True] * 9 + [False] * 21)
    assert_allclose(adaptive_calibration_error(probabilities, labels), 0.5)


@pytest.mark.parametrize("metric", [expected_calibration_error, adaptive_calibration_error])
def test_edge_cases_are_defined(metric):
    assert np.isnan(metric(np.zeros((0, 3)), np.zeros(0, int)))
    assert_allclose(metric(np.array([[0.7, 0.3]]), np.array([0])), 0.3)
    assert metric(np.ones((5, 1)), np.zeros(5, int)) == 0.0
    with pytest.raises(ValueError, match="expected probabilities"):
        metric(np.array([[0.31, 0.27]]), np.array([0]))


def test_a_calibration_error_needs_a_bin():
    with pytest.raises(ValueError, match="at least one bin"):
        expected_calibration_error(np.array([[0.7, 0.3]]), np.array([0]), n_bins=0)


@pytest.mark.parametrize("n_bins", [1, 2, 15])
@pytest.mark.parametrize("levels", [1, 2, 8])
@pytest.mark.parametrize("highest", [0.96875, 1.0])
def test_ece_of_ties_agrees_with_a_loop_and_below_1_with_torchmetrics(highest, levels, n_bins):
    random = np.random.default_rng(levels)
    # Numbers that are exact in float32, in which torchmetrics sums.
    confidence = random.choice(np.linspace(highest, highest - 0.4375, levels), 200)
    probabilities, labels = two_classes(confidence, random.random(200) < 0.7)
    ours = expected_calibration_error(probabilities, labels, n_bins=n_bins)
    assert_allclose(ours, error_by_loop(probabilities, labels, n_bins), atol=1e-12)
    if highest < 1:  # torchmetrics has an additional bin for a confidence of exactly 1
        theirs = multiclass_calibration_error(
            torch.from_numpy(probabilities), torch.from_numpy(labels), 2, n_bins=n_bins
        )
        assert_allclose(ours, theirs.item(), atol=1e-6)


@pytest.mark.parametrize("metric", [expected_calibration_error, adaptive_calibration_error])
def test_half_precision_is_computed_in_full_and_nan_refused(metric):
    probabilities, labels = predictions(300, 4)
    half = probabilities.astype(np.float16)
    assert metric(half, labels) == metric(half.astype(np.float64), labels)
    half[7, 1] = np.nan
    with pytest.raises(ValueError, match="without nan"):
        metric(half, labels)
