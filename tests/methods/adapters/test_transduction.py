"""TransCLIP and StatA, against their formulas written out image by image."""

import numpy as np
import pytest

from lpclip.methods.adapters.stata import stata, stata_head
from lpclip.methods.adapters.transclip import transclip, transclip_head
from lpclip.utils import memory
from tests.helpers.pools import pool, softmax, zero_shot

K = 3


def unit(vector):
    return vector / np.linalg.norm(vector)


def naive(features, head, start, fit, iterations=10, sweeps=5):
    """Assign images to Gaussians with dense matrices and loops, float64."""
    x, text = features.astype(np.float64), zero_shot(features, head)
    n, n_classes = text.shape
    weights = np.zeros((n, n))
    for i in range(n):
        cosines = x @ x[i]
        cosines[i] = -np.inf
        for j in np.argsort(-cosines)[:K]:
            weights[i, j] = max(cosines[j], 0)
    assigned = text.copy()
    means, variance = start
    for _ in range(iterations):
        for _ in range(sweeps):
            drawn = (weights + weights.T) @ assigned / (2 * K)
            assigned = np.array(
                [
                    softmax(
                        [
                            np.log(text[i, c])
                            - np.sum((x[i] - means[c]) ** 2 / variance) / 2 / 50
                            + drawn[i, c]
                            for c in range(n_classes)
                        ]
                    )
                    for i in range(n)
                ]
            )
        means, variance = fit(x, assigned)
    return means, variance, assigned


def scatter(x, assigned, means):
    n, n_classes = assigned.shape
    return sum(assigned[i, c] * (x[i] - means[c]) ** 2 for i in range(n) for c in range(n_classes))


def naive_transclip(features, head, surest=8):
    text = zero_shot(features, head)
    dim = features.shape[1]
    means = []
    for c in range(text.shape[1]):
        top = np.argsort(-text[:, c])[:surest]
        means.append(unit(sum(text[i, c] * features[i].astype(np.float64) for i in top)))

    def fit(x, assigned):
        means = np.array([unit(assigned[:, c] @ x) for c in range(assigned.shape[1])])
        return means, scatter(x, assigned, means) / len(x)

    return naive(features, head, (np.array(means), np.full(dim, 1 / dim)), fit)


def naive_stata(features, head, alpha):
    dim = features.shape[1]
    text = head.weight.astype(np.float64)

    def fit(x, assigned):
        means = []
        for c in range(len(text)):
            count = assigned[:, c].sum()
            beta = count / (count + alpha)
            own = assigned[:, c] @ x / count
            means.append(beta * own + (1 - beta) * text[c])
        total = scatter(x, assigned, means) + alpha * len(text) / dim
        return np.array(means), total / (len(x) + alpha * len(text))

    return naive(features, head, (text, np.full(dim, 1 / dim)), fit)


@pytest.fixture(params=[0, 1])
def scene(request, monkeypatch):
    monkeypatch.setattr(memory, "BLOCK_BYTES", 160)
    features, _, head = pool(seed=request.param)
    return features, head


def test_transclip_is_that_of_its_formulas(scene):
    features, head = scene
    means, variance, assigned = naive_transclip(features, head)
    gaussians, found = transclip(features[None], head)
    np.testing.assert_allclose(found, assigned, atol=2e-4)
    np.testing.assert_allclose(gaussians.means, means, atol=2e-4)
    np.testing.assert_allclose(gaussians.variance, variance, rtol=2e-3)
    assert np.abs(assigned - zero_shot(features, head)).max() > 0.1


@pytest.mark.parametrize("anchor", [0.5, 1.0])
def test_stata_is_that_of_its_formulas(scene, anchor):
    features, head = scene
    means, variance, assigned = naive_stata(features, head, anchor)
    gaussians, found = stata(features[None], head, anchor=anchor)
    np.testing.assert_allclose(found, assigned, atol=2e-4)
    np.testing.assert_allclose(gaussians.means, means, atol=2e-4)
    np.testing.assert_allclose(gaussians.variance, variance, rtol=2e-3)


@pytest.mark.parametrize(("fit", "heads"), [(transclip, transclip_head), (stata, stata_head)])
def test_the_head_is_the_likelihood_with_the_text(scene, fit, heads):
    features, head = scene
    gaussians, _ = fit(features[None], head)
    other, _, _ = pool(seed=7)
    weight, bias = heads(features[None], head)
    assert weight.dtype == bias.dtype == np.float32
    for x, prediction in zip(other, zero_shot(other, head), strict=True):
        distance = ((x - gaussians.means) ** 2 / gaussians.variance).sum(axis=1)
        expected = softmax(np.log(prediction) - distance / 2 / 50)
        np.testing.assert_allclose(softmax(head.scale * weight @ x + bias), expected, atol=1e-4)


def test_a_strong_anchor_leaves_gaussians_at_the_text(scene):
    features, head = scene
    gaussians, _ = stata(features[None], head, anchor=1e6)
    np.testing.assert_allclose(gaussians.means, head.weight, atol=1e-3)
    np.testing.assert_allclose(gaussians.variance, 1 / features.shape[1], rtol=1e-3)
