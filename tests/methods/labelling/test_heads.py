"""Linear heads by blocks, compared with arrays of all logits."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from lpclip.methods.labelling import heads, structure
from lpclip.methods.labelling.heads import (
    Heads,
    Logits,
    logits_by_block,
    mean_softmax,
    mean_view,
    most_probable,
    one_head,
    repeated_logits,
)
from lpclip.methods.labelling.priors import apply_prior
from lpclip.methods.labelling.pseudo_labels import label, label_views, structure_weight
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.labelling.structure import Structure, fit_gaussians, mean_confidence
from lpclip.storage.features import normalise
from lpclip.utils import memory

N, C, D = 61, 5, 7


def random_heads(n_heads=2, seed=0):
    rng = np.random.default_rng(seed)
    return Heads(
        weight=20 * rng.normal(size=(n_heads, C, D)),
        bias=rng.normal(size=(n_heads, C)),
        centre=rng.normal(size=(n_heads, D)) / 3,
        of=rng.integers(n_heads, size=N),
    )


def random_views(n_views=8, seed=1):
    views = np.random.default_rng(seed).normal(size=(n_views, N, D)) + np.eye(D)[0]
    return normalise(views.astype(np.float32))


def dense(views, found):
    """Logits [V, N, C], sample by sample."""
    logits = np.empty((len(views), N, C))
    for v, n in np.ndindex(len(views), N):
        own = found.of[n]
        logits[v, n] = found.weight[own] @ (views[v, n] - found.centre[own]) + found.bias[own]
    return logits


@pytest.fixture(params=[1, 8])
def views(request):
    return random_views(request.param)


@pytest.fixture(params=[1, 4, 1000], autouse=True)
def small_blocks(request, monkeypatch):
    """One row, four rows (of samples that four does not divide) and all of them at once."""
    monkeypatch.setattr(memory, "BLOCK_BYTES", request.param * 8 * C * 4)
    return request.param


def test_every_sample_is_predicted_once_by_its_own_head(views, small_blocks):
    found = random_heads()
    expected = dense(views, found)
    seen = []
    for rows, logits in logits_by_block(views, found):
        assert logits.dtype == np.float32
        assert logits.nbytes <= 8 * C * 4 * small_blocks
        np.testing.assert_allclose(logits, expected[:, rows], rtol=1e-4, atol=1e-4)
        seen.extend(rows.tolist())
    assert sorted(seen) == list(range(N))


def test_some_samples_are_predicted_alone(views):
    found, some = random_heads(), np.array([3, 4, 17, 60])
    blocks = list(logits_by_block(views, found, some))
    assert sorted(np.concatenate([rows for rows, _ in blocks])) == some.tolist()
    for rows, logits in blocks:
        np.testing.assert_allclose(logits, dense(views, found)[:, rows], rtol=1e-4, atol=1e-4)


def test_probabilities_are_the_mean_over_views(views):
    found = random_heads()
    mean = mean_softmax(views, found)
    np.testing.assert_allclose(mean, softmax(dense(views, found), axis=-1).mean(axis=0), atol=1e-5)
    assert mean.dtype == np.float32


def test_the_most_probable_class_is_that_of_the_mean_logits(views):
    found = random_heads()
    expected = dense(views, found).mean(axis=0).argmax(axis=-1)
    np.testing.assert_array_equal(most_probable(views, found), expected)
    some = np.array([1, 5, 60])
    of_some = most_probable(views, found, some)
    np.testing.assert_array_equal(of_some[some], expected[some])
    assert of_some.sum() == expected[some].sum()


def test_logits_add_up_and_scale(views):
    found, other = random_heads(), random_heads(n_heads=1, seed=5)
    weight, bias = other.weight[0], other.bias[0]
    together = found.scaled(0.5).plus(weight, bias)
    alone = one_head(weight, bias, N)
    expected = 0.5 * dense(views, found) + dense(views, alone)
    np.testing.assert_allclose(dense(views, together), expected, rtol=1e-9, atol=1e-9)


def test_one_head_has_one_bias_or_one_per_class(views):
    weight = random_heads().weight[0]
    expected = views @ weight.T
    np.testing.assert_allclose(dense(views, one_head(weight, 3.0, N)), expected + 3, atol=1e-5)
    per_class = np.arange(C)
    np.testing.assert_allclose(
        dense(views, one_head(weight, per_class, N)), expected + per_class, atol=1e-5
    )


def test_logits_that_are_not_held_are_computed_again(views, monkeypatch):
    found, rows = random_heads(), np.arange(0, N, 3)
    held = repeated_logits(views, found, rows)
    assert isinstance(held, list)
    monkeypatch.setattr(heads, "HELD_BYTES", 0)
    again = repeated_logits(views, found, rows)
    assert isinstance(again, Logits)
    for _ in range(2):
        for one, other in zip(held, again, strict=True):
            np.testing.assert_array_equal(one, other)
    expected = softmax(dense(views, found)[:, rows] / 2.5, axis=-1).mean(axis=0).max(axis=-1).mean()
    assert mean_confidence(again, 2.5) == pytest.approx(expected, abs=1e-6)
    assert mean_confidence(held, 2.5) == mean_confidence(again, 2.5)


def test_the_mean_view_is_that_of_the_samples(views):
    some = np.array([2, 0, 9])
    np.testing.assert_allclose(mean_view(views, some), views[:, some].mean(axis=0), rtol=1e-6)
    before = views.copy()
    mean_view(views, np.arange(N))
    np.testing.assert_array_equal(views, before)


@pytest.mark.parametrize(
    "labelling", [Labelling(), Labelling(temperature=1.5, prior="sinkhorn"), Labelling(structure=0)]
)
def test_labels_by_blocks_are_those_of_whole_arrays(views, labelling, monkeypatch):
    weight, bias = 3 * random_heads().weight[0] / 20, np.linspace(0, 0.3, C)
    made = label_views(weight, bias, labelling, Structure(views))
    monkeypatch.setattr(memory, "BLOCK_BYTES", 64 << 20)
    expected = labels_of_whole_arrays(views, weight, bias, labelling)
    np.testing.assert_array_equal(made.class_index, expected.class_index)
    np.testing.assert_array_equal(made.selected, expected.selected)
    np.testing.assert_allclose(made.probabilities, expected.probabilities, atol=1e-5)
    assert 0 < made.selected.sum() < N or labelling.prior == "sinkhorn"


def labels_of_whole_arrays(views, weight, bias, labelling):
    """``label_views`` with an array of all logits and Gaussians of all samples of a half."""
    found = Structure(views)

    def cooled(logits):
        if labelling.temperature != "auto":
            return logits / labelling.temperature
        agreement = found.agreement(logits.mean(axis=0).argmax(axis=-1))
        return logits / structure.calibrated_temperature([logits], agreement)

    logits = cooled(views.astype(np.float64) @ weight.T + bias)
    if labelling.structure:
        predicted = softmax(logits, axis=-1).mean(axis=0)
        corrected = apply_prior(predicted, labelling.prior, radius=labelling.prior_radius)
        gaussian = np.empty_like(logits)
        for half in (found.halves, ~found.halves):
            centre, weights, distance = fit_gaussians(views[:, half], corrected[half])
            gaussian[:, ~half] = (views[:, ~half] - centre) @ weights.T - distance / 2
        logits = logits + structure_weight(labelling.structure, N, C) * gaussian
        if labelling.temperature == "auto":
            logits = cooled(logits)
    return label(softmax(logits, axis=-1).mean(axis=0), labelling)


def test_gaussians_by_blocks_are_those_of_all_samples(views):
    rng = np.random.default_rng(2)
    probabilities, rows = rng.dirichlet(np.ones(C), size=N), np.flatnonzero(rng.random(N) < 0.6)
    centre, weight, distance = fit_gaussians(views, probabilities, rows)
    flat = views[:, rows].reshape(-1, D).astype(np.float64)
    mass = probabilities[rows].sum(axis=0)
    np.testing.assert_allclose(centre, flat.mean(axis=0), atol=1e-7)
    of_view = np.einsum("nc,vnd->cd", probabilities[rows], views[:, rows] - flat.mean(axis=0))
    means = of_view / len(views) / (mass[:, None] + 1)
    within = np.cov(flat.T, bias=True) - (mass[:, None] / mass.sum() * means).T @ means
    within = 0.9 * within + 0.1 * np.trace(within) / D * np.eye(D)
    inverse = np.linalg.inv(within)
    np.testing.assert_allclose(weight, means @ inverse, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(distance, np.diag(means @ inverse @ means.T), rtol=1e-4)


def test_heads_of_no_change_are_the_same():
    found = random_heads()
    same = found.scaled(1.0).plus(np.zeros((C, D)), np.zeros(C))
    for name in ("weight", "bias", "centre", "of"):
        np.testing.assert_array_equal(getattr(same, name), getattr(found, name))
    other = replace(found, of=1 - found.of)
    views = random_views()
    assert not np.array_equal(mean_softmax(views, other), mean_softmax(views, found))
