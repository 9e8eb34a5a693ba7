"""Which classes an unlabelled set has images of."""

from dataclasses import replace

import numpy as np
import pytest

from lpclip.methods.labelling.support import class_support, supported_classes
from lpclip.utils import memory
from tests.helpers.gaussian_pools import Gaussians
from tests.helpers.pools import pool, softmax


@pytest.mark.parametrize("absent", [1, 5, 10, 15, 18])
def test_classes_without_images_are_not_supported_and_the_others_are(absent):
    counts = [20] * (20 - absent) + [0] * absent
    gaussians = Gaussians(seed=absent)
    views, _ = gaussians.pool(counts)
    np.testing.assert_array_equal(supported_classes(views, gaussians.head), np.array(counts) > 0)


@pytest.mark.parametrize(
    "counts",
    [[20] * 20, [4] * 20, [100] * 10 + [10] * 10, [*range(100, 5, -5), 10]],
    ids=["balanced", "4 images", "10:1", "linear"],
)
def test_rare_classes_are_supported_where_all_have_images(counts):
    gaussians = Gaussians()
    views, _ = gaussians.pool(counts)
    assert supported_classes(views, gaussians.head).all()


def test_images_of_other_kinds_support_no_class():
    gaussians = Gaussians()
    views, _ = gaussians.pool([20] * 10 + [0] * 10, n_ood=60)
    supported = supported_classes(views, gaussians.head)
    assert supported[:10].all()
    assert supported[10:].sum() <= 2


@pytest.mark.parametrize("seed", range(3))
def test_support_is_the_probability_of_a_class_times_that_for_neighbours(seed):
    features, _, head = pool(seed, n=50, n_classes=3)
    second, _, _ = pool(seed + 100, n=50, n_classes=3)
    views = np.stack([features, 0.9 * features + 0.1 * second])
    views /= np.linalg.norm(views, axis=-1, keepdims=True)
    np.testing.assert_allclose(class_support(views, head), naive_support(views, head), rtol=2e-3)


def naive_support(views, head):
    """The same from the definition, image by image."""
    n_images, n_classes = views.shape[1], len(head.weight)
    mean = views.mean(axis=0, dtype=float)
    centred = [x - mean.mean(axis=0) for x in mean]
    centred = [x / np.linalg.norm(x) for x in centred]
    k = min(round(n_images / n_classes / 3), 5)
    nearest = []
    for i, own in enumerate(centred):
        others = [j for j in range(n_images) if j != i]
        nearest.append(sorted(others, key=lambda j: -(own @ centred[j]))[:k])
    logits = [[head.scale * head.weight @ x + head.bias for x in view] for view in views]

    def probabilities(temperature):
        return np.mean([[softmax(z / temperature) for z in view] for view in logits], axis=0)

    predicted = np.mean(logits, axis=0).argmax(axis=1)
    agreement = np.mean([predicted[j] == predicted[i] for i in range(n_images) for j in nearest[i]])
    low, high = 1e-3, 1e3
    for _ in range(60):
        middle = np.sqrt(low * high)
        sure = probabilities(middle).max(axis=1).mean() > agreement
        low, high = (middle, high) if sure else (low, middle)
    found = probabilities(low)
    support = np.zeros(n_classes)
    for i in range(n_images):
        for c in range(n_classes):
            support[c] += found[i, c] * np.mean([found[j, c] for j in nearest[i]])
    return support


@pytest.mark.parametrize("rows", [1, 7])
def test_support_by_blocks_is_that_of_the_whole(rows, monkeypatch):
    gaussians = Gaussians()
    views, _ = gaussians.pool([6] * 20)
    whole = class_support(views, gaussians.head)
    monkeypatch.setattr(memory, "BLOCK_BYTES", rows * 8 * 20 * 6)
    np.testing.assert_allclose(class_support(views, gaussians.head), whole, rtol=1e-4)


def test_support_does_not_depend_on_the_scale_of_the_model():
    gaussians = Gaussians()
    views, _ = gaussians.pool([20] * 10 + [0] * 10)
    first, second = (
        class_support(views, replace(gaussians.head, scale=scale, bias=bias))
        for scale, bias in ((20.0, 0.0), (100.0, -7.0))
    )
    np.testing.assert_allclose(first, second, rtol=1e-3)


def test_a_single_image_supports_nothing():
    gaussians = Gaussians()
    views, _ = gaussians.pool([1] + [0] * 19)
    np.testing.assert_array_equal(class_support(views, gaussians.head), np.zeros(20))
    assert not supported_classes(views, gaussians.head).any()
