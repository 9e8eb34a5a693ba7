"""Structure of unlabelled features, compared with scikit-learn and explicit sums."""

import gc
import weakref

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestNeighbors

from lpclip.methods.labelling import structure
from lpclip.methods.labelling.heads import Logits, one_head
from lpclip.methods.labelling.structure import Structure, calibrated_temperature, fit_gaussians
from lpclip.storage.features import normalise
from lpclip.utils import memory


def clusters(n=90, n_views=2, n_classes=3, dim=6, spread=0.25, seed=0):
    """Return unit-length views [V, N, D] of clusters, and the cluster of each sample."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:n_classes]
    labels = rng.integers(n_classes, size=n)
    samples = centres[labels] + spread * rng.normal(size=(n, dim))
    views = samples + 0.05 * rng.normal(size=(n_views, n, dim))
    return normalise(views.astype(np.float32)), labels


def nearest_by_scikit_learn(views, k):
    mean = views.mean(axis=0)
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(mean - mean.mean(axis=0))
    return search.kneighbors(return_distance=False)


@pytest.mark.parametrize("rows", [1, 7, 90, 2048])
def test_neighbours_are_the_nearest_others_by_cosine_after_centring(monkeypatch, rows):
    monkeypatch.setattr(memory, "BLOCK_BYTES", rows * 90 * 12)
    views, _ = clusters()
    rows, nearest = Structure(views).neighbours
    np.testing.assert_array_equal(rows, np.arange(90))
    expected = nearest_by_scikit_learn(views, structure.MOST_NEIGHBOURS)
    np.testing.assert_array_equal(np.sort(nearest), np.sort(expected))
    uncentred = NearestNeighbors(n_neighbors=5, metric="cosine").fit(views.mean(axis=0))
    assert not np.array_equal(
        np.sort(nearest), np.sort(uncentred.kneighbors(return_distance=False))
    )


def test_a_sample_is_no_neighbour_of_itself_even_among_copies():
    views = np.repeat(clusters(n=4)[0], 3, axis=1)
    rows, nearest = Structure(views, images_per_neighbour=0).neighbours
    assert nearest.shape == (12, 5)
    assert not (nearest == rows[:, None]).any()


def test_agreement_counts_pairs_of_neighbours_of_one_class():
    views, labels = clusters(spread=0.5)
    pairs = [
        (i, j) for i, near in enumerate(nearest_by_scikit_learn(views, 5)) for j in near.tolist()
    ]
    expected = sum(labels[i] == labels[j] for i, j in pairs) / len(pairs)
    assert 0.3 < expected < 1
    assert Structure(views).agreement(labels) == pytest.approx(expected)
    assert Structure(views).agreement(np.zeros(90, dtype=int)) == 1
    assert Structure(views).agreement(np.arange(90)) == 0


def test_a_large_set_is_represented_by_a_fixed_part(monkeypatch):
    monkeypatch.setattr(structure, "LARGEST", 30)
    views, labels = clusters()
    rows, nearest = Structure(views).neighbours
    assert len(np.unique(rows)) == 30
    expected = rows[nearest_by_scikit_learn(views[:, rows], 5)]
    np.testing.assert_array_equal(np.sort(nearest), np.sort(expected))
    agreement = np.mean(labels[expected] == labels[rows][:, None])
    assert Structure(views).agreement(labels) == pytest.approx(agreement)
    for again, part in zip(Structure(views).neighbours, (rows, nearest), strict=True):
        np.testing.assert_array_equal(again, part)
    assert not np.array_equal(Structure(views, seed=1).neighbours[0], rows)


def test_halves_are_halves_drawn_by_the_seed():
    views, _ = clusters(n=91)
    halves = Structure(views).halves
    assert halves.sum() == 45
    np.testing.assert_array_equal(Structure(views).halves, halves)
    assert not np.array_equal(Structure(views, seed=1).halves, halves)


def test_gaussian_logits_are_fishers_discriminant_fitted_on_the_other_half():
    views, labels = clusters(n=300, n_views=2)
    found = Structure(views)
    # With labels of this weight the one sample per class at the centre has no effect.
    logits = found.gaussian_logits(1e9 * np.eye(3)[labels])
    assert (logits.shape, logits.dtype) == ((2, 300, 3), np.float32)
    for fitted in (found.halves, ~found.halves):
        # Priors weight the classes' covariances: use the class frequencies here, then remove them.
        priors = np.bincount(labels[fitted]) / fitted.sum()
        fisher = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1, priors=priors)
        fisher.fit(np.concatenate(views[:, fitted].astype(float)), np.tile(labels[fitted], 2))
        for version in range(2):
            expected = fisher.decision_function(views[version, ~fitted]) - np.log(priors)
            np.testing.assert_allclose(
                np.diff(logits[version, ~fitted]), np.diff(expected), rtol=1e-3, atol=1e-3
            )


def test_means_are_as_if_one_sample_of_every_class_lay_at_the_centre():
    views, labels = clusters(n=12, n_views=2, dim=3)
    probabilities = softmax(2 * np.eye(3)[labels], axis=-1)
    centre, weight, distance = fit_gaussians(views, probabilities)
    flat = np.concatenate(views).astype(float)
    expected_centre = sum(flat) / 24
    np.testing.assert_allclose(centre, expected_centre)
    means = np.zeros((3, 3))
    covariance = sum(np.outer(x - expected_centre, x - expected_centre) for x in flat) / 24
    for c in range(3):
        mass = sum(probabilities[:, c])
        pulls = [
            probabilities[n, c] * (views[v, n].astype(float) - expected_centre) / 2
            for v, n in np.ndindex(2, 12)
        ]
        means[c] = sum(pulls) / (mass + 1)
        covariance -= mass / 12 * np.outer(means[c], means[c])
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / 3 * np.eye(3)
    inverse = np.linalg.inv(shrunk)
    np.testing.assert_allclose(weight, means @ inverse, rtol=1e-4)
    np.testing.assert_allclose(distance, [m @ inverse @ m for m in means], rtol=1e-4)


def test_the_label_of_a_sample_says_nothing_of_the_sample_itself():
    views, labels = clusters()
    found = Structure(views)
    probabilities = np.eye(3)[labels]
    before = found.gaussian_logits(probabilities)
    for sample in (np.flatnonzero(found.halves)[0], np.flatnonzero(~found.halves)[0]):
        changed = probabilities.copy()
        changed[sample] = np.roll(changed[sample], 1)
        after = found.gaussian_logits(changed)
        own = found.halves == found.halves[sample]
        np.testing.assert_array_equal(after[:, own], before[:, own])
        assert (after[:, ~own] != before[:, ~own]).any(axis=(0, 2)).all()


def test_a_class_that_nobody_is_in_is_as_far_as_others_in_no_direction():
    views, labels = clusters()
    _, weight, distance = fit_gaussians(views, np.eye(4)[labels])
    assert (weight[3] == 0).all()
    assert distance[3] == pytest.approx(distance[:3].mean())
    # So it wins only where all other classes are farther away than that.
    logits = Structure(views).gaussian_logits(np.eye(4)[labels])
    assert (logits.mean(axis=0).argmax(axis=-1) != 3).mean() > 0.95


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("mass", [0.0, 0.1, 1.0])
def test_few_samples_and_no_labels_give_numbers(n, mass):
    views, labels = clusters(n=n)
    logits = Structure(views).gaussian_logits(mass * np.eye(3)[labels])
    assert logits.shape == (2, n, 3)
    assert np.isfinite(logits).all()
    if mass == 0:
        assert (logits == 0).all()


def test_one_sample_has_no_neighbour_to_agree_with():
    views, labels = clusters(n=1)
    assert np.isnan(Structure(views).agreement(labels))


@pytest.mark.parametrize("accuracy", [0.4, 0.6, 0.95])
def test_at_the_calibrated_temperature_the_mean_confidence_is_the_accuracy(accuracy):
    rng = np.random.default_rng(0)
    logits = 9 * rng.normal(size=(60, 4)) + rng.normal(size=(2, 60, 4))
    temperature = calibrated_temperature([logits], accuracy)
    confidence = softmax(logits / temperature, axis=-1).mean(axis=0).max(axis=-1).mean()
    assert confidence == pytest.approx(accuracy, abs=1e-5)


@pytest.mark.parametrize("factor", [1e-3, 5.0, 100.0])
@pytest.mark.parametrize("accuracy", [0.1, 0.7, 1.0])
def test_the_calibrated_temperature_is_in_units_of_the_logits(factor, accuracy):
    logits = np.random.default_rng(0).normal(size=(1, 60, 4))
    expected = factor * calibrated_temperature([logits], accuracy)
    assert calibrated_temperature([factor * logits], accuracy) == pytest.approx(expected, rel=1e-4)


def test_what_no_temperature_reaches_gets_the_nearest_allowed():
    logits = np.random.default_rng(0).normal(size=(1, 60, 4))
    spread = logits.std()
    assert calibrated_temperature([logits], 1.0) == pytest.approx(1e-3 * spread)
    assert calibrated_temperature([logits], 0.1) == pytest.approx(1e3 * spread)


def test_without_an_accuracy_or_a_difference_the_temperature_is_1():
    assert calibrated_temperature([np.random.default_rng(0).normal(size=(1, 9, 4))], np.nan) == 1
    assert calibrated_temperature([np.full((1, 9, 4), 3.0)], 0.7) == 1


def test_logits_are_freed_with_the_temperature():
    views, _ = clusters()
    logits = Logits(views, one_head(9 * views[0, :3], 0.0, 90), np.arange(90))
    of_logits = weakref.ref(logits)
    gc.disable()
    try:
        assert 0 < calibrated_temperature(logits, 0.7) < np.inf
        del logits
        assert of_logits() is None
    finally:
        gc.enable()
