"""Tests of lpclip.methods.labelling.pool_description: pools made with each trait in degrees."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import roc_auc_score

from lpclip.methods.labelling.pool_description import describe_pool
from lpclip.methods.pool import images_per_class
from tests.helpers.gaussian_pools import Gaussians, head_of, unit

GENUINE = os.environ.get("LPCLIP_GENUINE_FEATURES", "")
SETS = ("clip-vit-b32-food24", "clip-vit-b32-caltech65", "georsclip-vit-l14-whurs19")


def distance(counts):
    """Return the total variation of frequencies from equal ones."""
    return np.abs(counts / counts.sum() - 1 / len(counts)).sum() / 2


def presence_auroc(n, seeds=3):
    """Return the mean AUROC of presence where half of the classes have n images each."""
    found = []
    for seed in range(seeds):
        world = Gaussians(seed=seed)
        present = np.random.default_rng(seed).permutation(len(world.head.weight)) % 2 == 0
        described = describe_pool(world.pool(np.where(present, n, 0))[0], world.head)
        found.append(roc_auc_score(present, described.presence))
    return np.mean(found)


@pytest.mark.parametrize(("n", "least"), [(3, 0.85), (10, 0.95), (30, 0.95)])
def test_classes_that_have_images_are_more_probably_present(n, least):
    assert presence_auroc(n) >= least


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5])
def test_the_share_of_ood_images(share):
    world = Gaussians(n_classes=40, seed=1)
    views, labels = world.pool(np.full(40, 12), round(480 * share / (1 - share)))
    described = describe_pool(views, world.head)
    assert described.ood_share == pytest.approx(share, abs=0.1)
    assert described.ood_low - 0.02 <= share <= described.ood_high + 0.02
    if share:
        assert roc_auc_score(labels >= 0, described.in_distribution) > 0.9


FREQUENCIES = {
    "even": np.full(40, 12),
    "linear": np.linspace(25, 7, 40).round().astype(int),
    "10:1": (40 * 10.0 ** -np.linspace(0, 1, 40)).round().astype(int),
    "half of the classes": np.arange(40) % 2 * 25,
    "5 classes": (np.arange(40) % 8 == 0) * 40,
}


@pytest.mark.parametrize("counts", FREQUENCIES.values(), ids=FREQUENCIES)
def test_balance_is_the_distance_from_equal_frequencies(counts):
    world = Gaussians(n_classes=40, seed=2)
    described = describe_pool(world.pool(counts)[0], world.head)
    assert described.balance == pytest.approx(distance(counts), abs=0.1)
    inside = (described.expected_low <= counts) & (counts <= described.expected_high)
    assert inside.mean() >= 0.8


@pytest.mark.parametrize("n", [4, 16, 60])
def test_images_per_class(n):
    world = Gaussians(seed=3)
    described = describe_pool(world.pool(np.full(20, n))[0], world.head)
    assert images_per_class(described, 20) == pytest.approx(n, rel=0.3)


def test_more_classes_than_images_is_a_case():
    world = Gaussians(n_classes=200)
    counts = (np.random.default_rng(0).random(200) < 0.4).astype(int)
    described = describe_pool(world.pool(counts)[0], world.head)
    assert described.expected_images.sum() == pytest.approx(counts.sum(), rel=0.2)
    assert np.isfinite(described.presence).all()


@pytest.mark.parametrize("change", ["scale", "order of the images", "order of the classes"])
def test_what_means_nothing_changes_nothing(change):
    world = Gaussians()
    views, _ = world.pool(np.full(20, 10))
    one = describe_pool(views, world.head)
    images, classes = np.arange(views.shape[1]), np.arange(20)
    if change == "scale":
        other = describe_pool(views, replace(world.head, scale=20.0))
    elif change == "order of the images":
        images = images[::-1]
        other = describe_pool(views[:, images], world.head)
    else:
        classes = classes[::-1]
        other = describe_pool(views, replace(world.head, weight=world.head.weight[classes]))
    assert_allclose(other.presence, one.presence[classes], atol=1e-3)
    assert_allclose(other.in_distribution, one.in_distribution[images], atol=1e-3)
    assert other.balance == pytest.approx(one.balance, abs=1e-3)


def test_the_same_pool_gives_the_same_description():
    world = Gaussians()
    views, _ = world.pool(np.full(20, 10))
    one, other = (describe_pool(views, world.head) for _ in range(2))
    for name, value in vars(one).items():
        assert_array_equal(getattr(other, name), value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, w: (v, np.repeat(w[:1], len(w), axis=0)), "texts"),
        (lambda v, w: (np.repeat(v[:, :1], 9, axis=1), w), "images have the same"),
        (lambda v, w: (v, w[:1]), "one class"),
        (lambda v, w: (v[:, :1], w), "1 image"),
        (lambda v, w: (v[:, :0], w), "0 images"),
        (lambda v, w: (unit(w[:1] + 0.1 * v[0])[None], w), "one class for every image"),
    ],
)
def test_a_pool_on_which_zero_shot_distinguishes_nothing_is_named(change, words):
    world = Gaussians()
    views, _ = world.pool(np.full(20, 5))
    assert describe_pool(views, world.head).separable
    views, text = change(views, world.head.weight)
    described = describe_pool(views, head_of(text))
    assert not described.separable
    assert words in described.reason


@pytest.fixture(scope="module", params=SETS)
def genuine(request):
    path = Path(GENUINE) / f"{request.param}.npz"
    if not GENUINE or not path.is_file():
        pytest.skip("LPCLIP_GENUINE_FEATURES names no folder with genuine features")
    with np.load(path, allow_pickle=False) as file:
        values, labels = np.float32(file["adapt"]), file["adapt_labels"]
        return unit(values), labels, head_of(unit(file["text"]))


def test_a_genuine_pool_that_is_tidy(genuine):
    values, labels, head = genuine
    described = describe_pool(values[None], head)
    counts = np.bincount(labels, minlength=len(head.weight))
    assert described.ood_share <= 0.1
    assert described.balance == pytest.approx(distance(counts), abs=0.1)


def test_a_genuine_pool_that_lacks_classes(genuine):
    values, labels, head = genuine
    n_classes = len(head.weight)
    aurocs = []
    for seed in range(3):
        present = np.random.default_rng(seed).permutation(n_classes) < n_classes // 2
        described = describe_pool(values[None, present[labels]], head)
        aurocs.append(roc_auc_score(present, described.presence))
    assert np.mean(aurocs) >= 0.95


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_genuine_pool_with_textures_in_it(genuine, share):
    values, _, head = genuine
    with np.load(Path(GENUINE) / "clip-vit-b32-caltech65.npz", allow_pickle=False) as file:
        textures = unit(np.float32(file["ood_textures"]))
    if textures.shape[1:] != values.shape[1:]:
        pytest.skip("the textures were embedded by another model")
    n = min(len(values), round(len(textures) * (1 - share) / share))
    order = np.random.default_rng(0).permutation(len(values))[:n]
    views = np.concatenate([values[order], textures[: round(n * share / (1 - share))]])[None]
    assert describe_pool(views, head).ood_share == pytest.approx(share, abs=0.1)
