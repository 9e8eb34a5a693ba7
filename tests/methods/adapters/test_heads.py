"""InMaP, OTTER and the Gaussian discriminant, against their formulas written out."""

import numpy as np
import pytest
from scipy.optimize import linprog

from lpclip.methods.adapters import inmap
from lpclip.methods.adapters.gaussian import gaussian_head
from lpclip.methods.adapters.inmap import inmap_head
from lpclip.methods.adapters.otter import class_potentials, otter_head
from lpclip.methods.adapters.stata import stata_head
from lpclip.methods.adapters.transclip import transclip_head
from lpclip.methods.labelling.priors import estimated_frequencies
from lpclip.utils import memory
from tests.helpers.pools import pool, softmax, zero_shot


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(memory, "BLOCK_BYTES", 160)


def naive_inmap(features, head, *, sinkhorn, threshold, steps):
    x, proxies = features.astype(np.float64), head.weight.astype(np.float64)
    n, n_classes = len(x), len(proxies)
    labels = np.array([softmax(proxies @ row / 0.01) for row in x])
    for _ in range(20 if sinkhorn else 0):
        for c in range(n_classes):
            labels[:, c] *= n / n_classes / labels[:, c].sum()
        for i in range(n):
            labels[i] /= labels[i].sum()
    for i in range(n):
        if labels[i].max() > threshold:
            labels[i] = np.eye(n_classes)[labels[i].argmax()]
    rate, before = 10.0, np.inf
    for _ in range(steps):
        gradient = np.zeros_like(proxies)
        for i in range(n):
            wrong = softmax(proxies @ x[i] / 0.04) - labels[i]
            gradient += np.outer(wrong, x[i]) / 0.04 / n
        size = np.linalg.norm(gradient)
        if size > before:
            rate /= 2
        before = size
        proxies = proxies - rate * gradient
        proxies /= np.linalg.norm(proxies, axis=1, keepdims=True)
    return proxies, labels


@pytest.mark.parametrize("prior", ["none", "sinkhorn"])
@pytest.mark.parametrize("threshold", [0.6, 1.0])
def test_inmap_is_that_of_its_formulas(prior, threshold):
    features, _, head = pool()
    proxies, labels = naive_inmap(
        features, head, sinkhorn=prior == "sinkhorn", threshold=threshold, steps=30
    )
    found = inmap.pseudo_labels(features, head.weight, prior=prior, threshold=threshold)
    np.testing.assert_allclose(found, labels, atol=1e-4)
    weight, bias = inmap_head(features[None], head, prior=prior, threshold=threshold, steps=30)
    np.testing.assert_allclose(weight * head.scale * 0.04, proxies, atol=2e-3)
    np.testing.assert_array_equal(bias, 0)


def test_proxies_stop_when_the_rate_has_become_too_small_to_matter(monkeypatch):
    features, _, head = pool()
    calls = []

    def spy(*arguments):
        calls.append(1)
        return gradient(*arguments)

    gradient = inmap._gradient
    monkeypatch.setattr(inmap, "_gradient", spy)
    labels = np.full((len(features), len(head.weight)), 0.25, dtype=np.float32)
    inmap.learn_proxies(features, labels, head.weight, steps=20_000)
    assert len(calls) < 20_000


def transport(logits, frequencies):
    """Solve optimal transport as a linear programme; return the plan ``[N, C]``."""
    n, n_classes = logits.shape
    equal = np.zeros((n + n_classes, n * n_classes))
    for i in range(n):
        equal[i, i * n_classes : (i + 1) * n_classes] = 1
    for c in range(n_classes):
        equal[n + c, c::n_classes] = 1
    mass = np.concatenate([np.full(n, 1 / n), frequencies])
    return linprog(-logits.ravel(), A_eq=equal, b_eq=mass).x.reshape(n, n_classes)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_otter_assigns_images_as_optimal_transport_does(seed):
    features, _, head = pool(seed=seed, n=60)
    logits = np.log(zero_shot(features, head))
    frequencies = np.array([0.4, 0.3, 0.2, 0.1])
    potentials = class_potentials(logits.astype(np.float32), frequencies)
    plan = transport(logits, frequencies)
    moved = (logits + potentials).argmax(axis=1)
    # Images that the plan splits between classes, and those between which a smooth plan hesitates.
    assert np.mean(moved == plan.argmax(axis=1)) >= 0.93
    assert np.mean(logits.argmax(axis=1) == plan.argmax(axis=1)) < 0.93
    shares = np.bincount(moved, minlength=4) / len(moved)
    assert np.abs(shares - frequencies).max() < 0.06


def test_otter_is_zero_shot_with_a_bias_for_the_estimated_frequencies():
    features, _, head = pool(n=400, scale=10.0)
    weight, bias = otter_head(features[None], head)
    np.testing.assert_array_equal(weight, head.weight)
    before = zero_shot(features, head)
    after = (np.log(before) + bias).argmax(axis=1)
    # Nearer to what is most even within the errors of the predictions.
    even = estimated_frequencies(before)
    shares = [np.bincount(found, minlength=4) / 400 for found in (before.argmax(axis=1), after)]
    assert np.ptp(shares[1]) < np.ptp(shares[0])
    assert np.ptp(even) < np.ptp(shares[0])


def test_a_class_of_no_expected_image_has_a_finite_bias():
    features, _, head = pool(n=30)
    logits = np.log(zero_shot(features, head)).astype(np.float32)
    potentials = class_potentials(logits, np.array([0.5, 0.5, 0.0, 0.0]))
    assert np.isfinite(potentials).all()
    assert np.bincount((logits + potentials).argmax(axis=1), minlength=4)[2:].max() <= 1


def naive_discriminant(features, probabilities):
    """Return means, each as if one image lay at the centre, and the shrunk covariance."""
    x = features.astype(np.float64)
    dim, counts = x.shape[1], probabilities.sum(axis=0)
    centre = x.mean(axis=0)
    means = np.array(
        [
            sum(p * (row - centre) for p, row in zip(column, x, strict=True)) / (column.sum() + 1)
            for column in probabilities.T
        ]
    )
    total = sum(np.outer(row - centre, row - centre) for row in x) / len(x)
    between = sum(
        share * np.outer(mean, mean)
        for share, mean in zip(counts / counts.sum(), means, strict=True)
    )
    within = total - between
    within = 0.9 * within + 0.1 * np.trace(within) / dim * np.eye(dim)
    return centre, means, within + 1e-9 * np.eye(dim)


@pytest.mark.parametrize("iterations", [1, 4])
def test_the_discriminant_is_that_of_its_formulas(iterations):
    features, _, head = pool()
    predicted = zero_shot(features, head)
    for _ in range(iterations):
        centre, means, covariance = naive_discriminant(features, predicted)
        inverse = np.linalg.inv(covariance)
        predicted = np.array(
            [
                softmax([-((x - centre - m) @ inverse @ (x - centre - m)) / 2 for m in means])
                for x in features.astype(np.float64)
            ]
        )
    weight, bias = gaussian_head(features[None], head, iterations=iterations)
    found = np.array([softmax(head.scale * weight @ x + bias) for x in features])
    np.testing.assert_allclose(found, predicted, atol=1e-3)


HEADS = [transclip_head, stata_head, inmap_head, otter_head, gaussian_head]


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize(("n", "n_classes"), [(1, 4), (2, 1), (3, 6)])
def test_few_images_give_finite_heads(heads, n, n_classes):
    features, _, head = pool(n=n, n_classes=n_classes)
    weight, bias = heads(features[None], head)
    assert (weight.shape, bias.shape) == (head.weight.shape, (n_classes,))
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()


@pytest.mark.parametrize("heads", HEADS)
def test_heads_do_not_depend_on_the_order_of_the_images(heads):
    features, _, head = pool(n=60)
    options = {"steps": 50} if heads is inmap_head else {}
    forwards = heads(features[None], head, **options)
    backwards = heads(features[None, ::-1], head, **options)
    for one, other in zip(forwards, backwards, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
        assert one.dtype == np.float32
