"""Scores from features, compared with scikit-learn's neighbours and Ledoit-Wolf covariance."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.ood_features import mahalanobis, members_of, nearest_neighbours

SCORES = [nearest_neighbours, mahalanobis]


def features(n, d, seed=0, centre=0.5):
    return np.random.default_rng(seed).normal(centre, 1, (n, d))


def unit(values):
    values = np.asarray(values, np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 2, 50])
@pytest.mark.parametrize(("n", "m", "d"), [(1, 60, 2), (40, 90, 16), (300, 50, 64)])
def test_neighbours_agree_with_scikit_learn_and_brute_force(n, m, d, k):
    test, adapt = features(n, d, seed=1), features(m, d, seed=2)
    distances, _ = NearestNeighbors(n_neighbors=k).fit(unit(adapt)).kneighbors(unit(test))
    assert_allclose(nearest_neighbours(test, adapt, k=k), -distances[:, -1], atol=1e-9)
    brute = np.sort(cdist(unit(test), unit(adapt)), axis=1)[:, k - 1]
    assert_allclose(nearest_neighbours(test, adapt, k=k), -brute, atol=1e-9)


@pytest.mark.parametrize(("m", "d"), [(3, 2), (20, 64), (500, 16), (3000, 8)])
def test_mahalanobis_agrees_with_scikit_learn(m, d):
    test, adapt = features(30, d, seed=3), features(m, d, seed=4)
    expected = -LedoitWolf().fit(unit(adapt)).mahalanobis(unit(test))
    assert_allclose(mahalanobis(test, adapt), expected, rtol=1e-6)


@pytest.mark.parametrize("score", SCORES)
def test_blocks_change_nothing(score, monkeypatch):
    test, adapt = features(50, 8, seed=5), features(130, 8, seed=6)
    whole = score(test, adapt)
    monkeypatch.setattr("lpclip.metrics.ood_features._ROWS", 7)
    assert_allclose(score(test, adapt), whole, rtol=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_memory_does_not_grow_with_the_adapt_set(score):
    test, peaks = features(500, 8, seed=18), []
    for m in (4096, 40_960):
        adapt = features(m, 8, seed=19).astype(np.float16)
        tracemalloc.start()
        score(test, adapt)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("score", SCORES)
def test_half_precision_features_are_computed_in_full(score):
    test, adapt = (features(n, 32, n).astype(np.float16) for n in (20, 200))
    exact = score(test.astype(np.float64), adapt.astype(np.float64))
    assert_allclose(score(test, adapt), exact, rtol=1e-12)
    assert score(test, adapt).dtype == np.float64


@pytest.mark.parametrize("score", SCORES)
def test_the_length_of_features_does_not_matter(score):
    test, adapt = features(20, 6, seed=7), features(60, 6, seed=8)
    lengths = np.random.default_rng(9).uniform(0.1, 30, (60, 1))
    assert_allclose(score(5 * test, lengths * adapt), score(test, adapt), rtol=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_foreign_features_score_lower(score):
    adapt, inside = features(400, 16, seed=10, centre=1), features(200, 16, seed=11, centre=1)
    foreign = features(200, 16, seed=12, centre=-0.5)
    auroc = detection_metrics(score(inside, adapt), score(foreign, adapt))["auroc"]
    assert auroc > 0.95


def test_neighbours_are_exact_for_copies_and_bounded_for_opposites():
    adapt = features(80, 512, seed=13)
    assert_allclose(nearest_neighbours(adapt, adapt, k=1), 0, atol=1e-7)
    assert_allclose(nearest_neighbours(-adapt[:1], adapt[:1], k=1), -2)


def test_with_fewer_adapt_features_than_k_the_farthest_counts():
    test, adapt = features(10, 4, seed=14), features(5, 4, seed=15)
    expected = -cdist(unit(test), unit(adapt)).max(axis=1)
    assert_allclose(nearest_neighbours(test, adapt, k=50), expected, atol=1e-9)


def test_two_adapt_features_in_many_dimensions_still_give_finite_scores():
    scores = mahalanobis(features(10, 32, seed=16), features(2, 32, seed=17))
    assert np.isfinite(scores).all()
    assert (scores < 0).all()


@pytest.mark.parametrize("score", SCORES)
def test_no_images_have_no_scores(score):
    assert score(np.zeros((0, 4)), features(9, 4)).shape == (0,)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_features_without_a_direction_are_refused(score, bad):
    good, row = features(9, 4), np.full((1, 4), bad)
    with pytest.raises(ValueError, match="finite features"):
        score(good, np.vstack([good, row]))
    with pytest.raises(ValueError, match="finite features"):
        score(row, good)


@pytest.mark.parametrize("score", SCORES)
def test_shapes_that_do_not_fit_are_refused(score):
    with pytest.raises(ValueError, match=r"got shapes \[3, 4\] and \[9, 5\]"):
        score(np.ones((3, 4)), features(9, 5))
    with pytest.raises(ValueError, match=r"got shapes \[4\] and \[9, 4\]"):
        score(np.ones(4), features(9, 4))
    with pytest.raises(ValueError, match="at least one adapt feature"):
        score(np.ones((3, 4)), np.zeros((0, 4)))


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="k >= 1"):
        nearest_neighbours(features(3, 4), features(9, 4), k=0)
    with pytest.raises(ValueError, match="differ from each other"):
        mahalanobis(features(3, 4), np.tile(features(1, 4), (9, 1)))


@pytest.mark.parametrize("k", [1, 3, 80])
def test_a_member_s_neighbours_are_those_without_itself(k):
    adapt, others = features(60, 8, seed=20), features(30, 8, seed=21)
    members = np.repeat([True, False], [60, 30])
    found = nearest_neighbours(np.concatenate([adapt, others]), adapt, k=k, members=members)
    alone = [
        nearest_neighbours(adapt[[row]], np.delete(adapt, row, axis=0), k=k)[0] for row in range(60)
    ]
    assert_allclose(found[:60], alone, atol=1e-7)
    assert_allclose(found[60:], nearest_neighbours(others, adapt, k=k), atol=1e-12)


@pytest.mark.parametrize(("m", "d"), [(300, 4), (60, 30), (400, 64)])
def test_a_member_s_gaussian_is_that_without_itself_but_for_the_shrinkage(m, d):
    adapt = features(m, d, seed=22)
    found = mahalanobis(adapt, adapt, members=np.ones(m, bool))
    alone = [mahalanobis(adapt[[row]], np.delete(adapt, row, axis=0))[0] for row in range(m)]
    assert_allclose(found, alone, rtol=0.015)
    errors = [
        np.median(np.abs(scores / alone - 1)) for scores in (mahalanobis(adapt, adapt), found)
    ]
    assert errors[0] > 8 * errors[1]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(("m", "d"), [(200, 256), (600, 32)])
def test_noise_that_is_the_adapt_set_looks_like_any_other_noise(score, m, d):
    adapt, others = features(m, d, seed=23, centre=0), features(m, d, seed=24, centre=0)
    members = np.repeat([True, False], m)
    found = score(np.concatenate([adapt, others]), adapt, members=members)
    # 4 standard errors of an AUROC of half.
    tolerance = 4 * np.sqrt((2 * m + 1) / (12 * m * m))
    assert detection_metrics(found[:m], found[m:])["auroc"] == pytest.approx(0.5, abs=tolerance)
    naive = score(np.concatenate([adapt, others]), adapt)
    if score is mahalanobis:
        assert detection_metrics(naive[:m], naive[m:])["auroc"] > 0.5 + tolerance


@pytest.mark.parametrize("d", [3, 64])
def test_members_are_found_whatever_their_length_and_rounding(d):
    adapt, others = features(400, d, seed=25, centre=0), features(50, d, seed=26, centre=0)
    again = (3 * adapt[::2]).astype(np.float16)
    found = members_of(adapt, np.concatenate([others, again]))
    assert found[50:].all()
    distances = cdist(unit(others), unit(adapt)).min(axis=1)
    assert_allclose(found[:50], distances <= 2e-3)


@pytest.mark.parametrize("score", SCORES)
def test_members_are_told_for_every_feature(score):
    values = features(5, 3)
    with pytest.raises(ValueError, match="expected 5 booleans as members, got bool"):
        score(values, values, members=np.ones(4, bool))
    with pytest.raises(ValueError, match="expected 5 booleans as members, got int64"):
        score(values, values, members=np.ones(5, np.int64))
