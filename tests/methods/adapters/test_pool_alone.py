"""Adapters that predict their pool alone, against their formulas written out."""

from dataclasses import replace

import numpy as np
import pytest

from lpclip.methods.adapters import zlap
from lpclip.methods.adapters.lame import lame_probabilities
from lpclip.methods.adapters.tda import tda_probabilities
from lpclip.methods.adapters.zlap import zlap_probabilities
from lpclip.utils import memory
from tests.helpers.pools import pool, softmax, zero_shot

ALL = [zlap_probabilities, lame_probabilities, tda_probabilities]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(memory, "BLOCK_BYTES", 160)
    monkeypatch.setattr(zlap, "_CLASSES", 3)


def nearest_others(x, rows, own, k):
    order = [j for j in np.argsort(-(rows @ x)) if j != own]
    return order[:k]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("k", "power", "alpha"), [(5, 5.0, 0.3), (2, 1.0, 0.8)])
def test_zlap_inverts_the_laplacian_of_images_and_texts(seed, k, power, alpha):
    features, _, head = pool(seed=seed)
    n, n_classes = len(features), len(head.weight)
    links = np.zeros((n + n_classes, n + n_classes))
    for i, x in enumerate(features):
        for j in nearest_others(x, features, i, k):
            links[i, j] = max(x @ features[j], 0) ** power
        for c in nearest_others(x, head.weight, None, k):
            links[i, n + c] = max(x @ head.weight[c], 0) ** power
    links = links + links.T
    degree = links.sum(axis=1)
    normalised = links / np.sqrt(np.outer(degree, degree))
    spread = np.linalg.inv(np.eye(n + n_classes) - alpha * normalised)[:n, n:]
    spread /= spread.sum(axis=1, keepdims=True)
    for tolerance, off in ((1e-10, 1e-6), (1e-6, 1e-4)):
        found = zlap_probabilities(
            features[None], head, neighbours=k, power=power, alpha=alpha, tolerance=tolerance
        )
        np.testing.assert_allclose(found, spread, atol=off)


def test_an_image_that_no_text_reaches_is_of_every_class_alike():
    _, _, head = pool()
    opposite = replace(head, weight=np.abs(head.weight))
    found = zlap_probabilities(-opposite.weight[None, :1], opposite)
    np.testing.assert_allclose(found, 1 / len(head.weight))


@pytest.mark.parametrize("seed", [0, 1])
def test_lame_is_that_of_its_formulas(seed):
    features, _, head = pool(seed=seed)
    own = zero_shot(features, head)
    assigned = own.copy()
    for _ in range(100):
        assigned = np.array(
            [
                softmax(
                    np.log(own[i] + 1e-10)
                    + sum(assigned[j] for j in nearest_others(x, features, i, 5))
                )
                for i, x in enumerate(features)
            ]
        )
    found = lame_probabilities(features[None], head)
    np.testing.assert_allclose(found, assigned, atol=1e-4)
    assert (found.argmax(axis=1) != own.argmax(axis=1)).any()


def naive_tda(features, head):
    """Caches as lists that are sorted by entropy; every sum written out."""
    positive, negative, found = {}, {}, []
    for x in features.astype(np.float64):
        logits = head.scale * head.weight.astype(np.float64) @ x + head.bias
        probabilities = softmax(logits)
        entropy = -sum(p * np.log(p) for p in probabilities if p > 0)
        predicted = int(np.argmax(logits))
        kept = sorted([*positive.get(predicted, []), (entropy, tuple(x))])[:3]
        positive[predicted] = kept
        if 0.2 < entropy / np.log2(len(logits)) < 0.5:
            mask = tuple(probabilities > 0.03)
            negative[predicted] = sorted([*negative.get(predicted, []), (entropy, tuple(x), mask)])[
                :2
            ]
        changed = logits.copy()
        for c, cached in positive.items():
            for _, key in cached:
                changed[c] += 2 * np.exp(-5 * (1 - x @ np.array(key)))
        for cached in negative.values():
            for _, key, mask in cached:
                changed -= 0.117 * np.exp(-(1 - x @ np.array(key))) * np.array(mask)
        found.append(softmax(changed))
    return np.array(found), positive, negative


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tda_is_that_of_its_formulas(seed):
    features, _, head = pool(seed=seed, n=80, scale=8.0)
    expected, positive, negative = naive_tda(features, head)
    np.testing.assert_allclose(tda_probabilities(features[None], head), expected, atol=1e-4)
    # The caches were filled, and something fell out again.
    assert max(map(len, positive.values())) == 3
    assert max(map(len, negative.values())) == 2


def test_tda_depends_on_the_order_of_the_stream():
    features, _, head = pool(n=80, scale=8.0)
    forwards = tda_probabilities(features[None], head)
    backwards = tda_probabilities(features[None, ::-1], head)[::-1]
    assert np.abs(forwards - backwards).max() > 0.01


@pytest.mark.parametrize("predict", ALL)
@pytest.mark.parametrize(("n", "n_classes"), [(1, 3), (2, 6), (12, 1)])
def test_probabilities_sum_to_1_however_few_images_there_are(predict, n, n_classes):
    features, _, head = pool(n=n, n_classes=n_classes)
    found = predict(features[None], head)
    assert found.shape == (n, n_classes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("predict", ALL)
def test_versions_of_a_view_are_averaged(predict):
    features, _, head = pool()
    twice = predict(np.stack([features, features]), head)
    np.testing.assert_allclose(twice, predict(features[None], head), atol=1e-4)
