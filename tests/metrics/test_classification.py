"""Accuracy, proper scores and AURC, compared with scikit-learn, SciPy and slow loops."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    recall_score,
    top_k_accuracy_score,
)
from torchmetrics.functional.classification import multiclass_accuracy

from lpclip.metrics.classification import classification_metrics
from lpclip.metrics.intervals import wilson_interval

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
    found = classification_metrics(probabilities, labels)
    assert found["accuracy"] == accuracy_score(labels, probabilities.argmax(axis=1))
    expected = log_loss(labels, probabilities, labels=classes)
    assert_allclose(found["nll"], expected, rtol=1e-12)
    expected = np.square(probabilities - np.eye(n_classes)[labels]).sum(axis=1).mean()
    assert_allclose(found["brier"], expected, rtol=1e-12)


@pytest.mark.parametrize(("n", "n_classes"), [(1, 7), (100, 6), (899, 10), (300, 100)])
def test_top_5_accuracy_agrees_with_scikit_learn_and_torchmetrics(n, n_classes):
    probabilities, labels = predictions(n, n_classes)
    ours = classification_metrics(probabilities, labels)["top5_accuracy"]
    theirs = top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(n_classes))
    assert ours == pytest.approx(theirs, abs=1e-12)
    theirs = multiclass_accuracy(
        torch.from_numpy(probabilities), torch.from_numpy(labels), n_classes, "micro", top_k=5
    )
    assert ours == pytest.approx(theirs.item(), abs=1e-6)


def test_of_equal_probabilities_the_first_5_count():
    scores = np.random.default_rng(0).integers(1, 4, (300, 7)).astype(float)
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    labels = np.random.default_rng(1).integers(0, 7, 300)
    named = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    expected = np.mean([label in row for label, row in zip(labels, named, strict=True)])
    found = classification_metrics(probabilities, labels)
    assert found["top5_accuracy"] == pytest.approx(expected, abs=1e-12)
    even = classification_metrics(np.full((300, 7), 1 / 7), labels)
    assert even["top5_accuracy"] == np.mean(labels < 5)
    assert even["accuracy"] == np.mean(labels == 0)


@pytest.mark.parametrize(("n", "n_classes"), GRID)
def test_mean_per_class_accuracy_agrees_with_scikit_learn(n, n_classes):
    probabilities, labels = predictions(n, n_classes)
    expected = recall_score(
        labels, probabilities.argmax(axis=1), labels=np.unique(labels), average="macro"
    )
    found = classification_metrics(probabilities, labels)
    assert found["mean_per_class_accuracy"] == pytest.approx(expected, abs=1e-12)


def test_classes_weigh_alike_and_a_missing_one_is_left_out():
    predicted, labels = np.array([0, 0, 0, 2, 1, 1]), np.array([0, 0, 0, 0, 1, 3])
    # 3 of 4 of class 0, 1 of 1 of class 1, 0 of 1 of class 3; class 2 is predicted but empty.
    found = classification_metrics(np.eye(4)[predicted], labels)
    assert found["mean_per_class_accuracy"] == pytest.approx(1.75 / 3)
    assert found["accuracy"] == pytest.approx(4 / 6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [2, 7])
@pytest.mark.parametrize("right", [True, False], ids=["all right", "all wrong"])
def test_certain_predictions_have_extreme_metrics(right, n_classes, dtype):
    labels = np.arange(3 * n_classes) % n_classes
    named = labels if right else (labels + 1) % n_classes
    probabilities = np.eye(n_classes, dtype=dtype)[named]
    found = classification_metrics(probabilities, labels)
    wrong = float(not right)
    for name in ("ece", "adaptive_ece", "aurc"):
        assert found[name] == wrong
    assert found["accuracy"] == found["mean_per_class_accuracy"] == 1 - wrong
    assert found["brier"] == 2 * wrong
    assert found["nll"] == pytest.approx(36.0437 * wrong, abs=1e-3)


def test_top_5_is_given_with_its_interval_where_there_are_more_than_5_classes():
    probabilities, labels = predictions(80, 6)
    found = classification_metrics(probabilities, labels)
    value = found["top5_accuracy"]
    assert 0 < value < 1
    ends = found["top5_accuracy_low"], found["top5_accuracy_high"]
    assert ends == wilson_interval(round(80 * value), 80)
    few = classification_metrics(*predictions(80, 5))
    assert np.isnan([few[f"top5_accuracy{end}"] for end in ("", "_low", "_high")]).all()
    assert few["mean_per_class_accuracy"] > 0


def aurc_by_enumeration(confidence, correct):
    """Compute the error of the k most confident, averaged over k and many orders of the ties."""
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
    assert_allclose(classification_metrics(probabilities, labels)["aurc"], expected, rtol=1e-12)


def test_aurc_of_ties_is_the_expectation_over_their_orders():
    confidence = np.array([0.9, 0.9, 0.9, 0.7, 0.7, 0.6])
    probabilities = np.column_stack([confidence, 1 - confidence])
    labels = np.array([0, 1, 1, 0, 1, 0])
    expected = aurc_by_enumeration(confidence, (labels == 0).astype(float))
    assert_allclose(classification_metrics(probabilities, labels)["aurc"], expected, atol=5e-3)


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
    found = classification_metrics(probabilities, labels)
    assert found["nll"] == pytest.approx(36.0437, abs=1e-3)
    assert_allclose(found["nll"], log_loss([1], [[1.0, 0.0]], labels=[0, 1]))
    assert found["brier"] == 2.0


def test_nothing_measured_is_nan():
    metrics = classification_metrics(np.zeros((0, 10)), np.zeros(0, int))
    assert metrics.pop("n") == 0
    assert len(metrics) == 25
    assert np.isnan(list(metrics.values())).all()


def test_without_labels_only_number_and_confidence_are_known():
    probabilities, labels = predictions(50, 4)
    metrics = classification_metrics(probabilities, None)
    assert metrics.pop("n") == 50
    assert metrics.pop("confidence") == pytest.approx(probabilities.max(axis=1).mean())
    assert all(np.isnan(value) for value in metrics.values())
    assert set(metrics) | {"n", "confidence"} == set(classification_metrics(probabilities, labels))


def test_every_metric_is_followed_by_its_interval():
    probabilities, labels = predictions(50, 4)
    metrics = classification_metrics(probabilities, labels)
    names = (
        "accuracy", "top5_accuracy", "mean_per_class_accuracy", "ece", "adaptive_ece", "nll",
        "brier", "aurc",
    )  # fmt: skip
    with_ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    assert list(metrics) == ["n", *with_ends, "confidence"]
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    assert 0 < low < metrics["accuracy"] < high < 1


def test_half_precision_probabilities_are_probabilities():
    probabilities, labels = predictions(200, 100, sharpness=1.0)
    full, half = (
        classification_metrics(probabilities.astype(dtype), labels)["nll"]
        for dtype in (np.float64, np.float16)
    )
    assert half == pytest.approx(full, rel=1e-2)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([[4.0, -3.0]], id="logits that sum to 1"),
        pytest.param([[0.3, 0.2]], id="cosines"),
        pytest.param([[float("inf"), 0.0]], id="inf"),
    ],
)
def test_what_is_no_distribution_is_refused(values):
    with pytest.raises(ValueError, match="expected probabilities"):
        classification_metrics(np.array(values), np.array([0]))


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
        classification_metrics(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array(labels))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="without nan"):
        classification_metrics(np.array([[0.5, 0.5], [np.nan, 1.0]]), np.array([0, 1]))
