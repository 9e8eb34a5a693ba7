"""The guarded method trains candidates and ships what the guard decides."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.methods.kinds.guarded import Settings, fit
from lpclip.methods.labelling.part import learned_part
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.registry import needs
from lpclip.methods.training import guard
from lpclip.methods.training.candidates import HEADS, operations
from lpclip.methods.training.guard import Worth
from lpclip.methods.training.pool import read_pool
from lpclip.methods.training.self_training import self_train
from lpclip.methods.training.self_training_settings import Collapse
from lpclip.storage.features import normalise, write_features
from lpclip.storage.probes import between, write_probes
from lpclip.storage.samples import fingerprint
from tests.helpers.clusters import MODEL, SETTINGS, World
from tests.helpers.gaussian_pools import Gaussians

OWN = replace(SETTINGS, rounds=2)
# Labels that cannot be learned from: the balance of the classes is never kept.
COLLAPSING = replace(OWN, collapse=Collapse(agreement=1.0))
SEEDS = (0, 1)
AGAINST_ALL = Worth(-1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("guarded"))


def settings_of(*, trained=None, **settings):
    """Return settings whose candidates are sorted by name, as in the JSON text of a stage."""
    trained = trained or {"own": OWN}
    ordered = dict(sorted(trained.items()))
    return Settings(candidates=tuple(trained), trained=ordered, **settings)


def guarded_fit(world, seeds=SEEDS, head=None, **settings):
    settings = settings_of(**settings)
    return fit(head or world.head, {"adapt": world.adapt}, settings, list(seeds))


@pytest.fixture(scope="module")
def shipped(world):
    return guarded_fit(world)


@pytest.fixture(scope="module")
def own(world):
    """What the candidate gives alone, on the part that is learned."""
    pool = read_pool(world.head, world.adapt, OWN)
    part = learned_part(world.head, pool.teacher, Labelling())
    return self_train(world.head, pool, OWN, SEEDS, part=part)


def test_a_head_that_separates_clusters_is_shipped_most_of_the_way(world, shipped, own):
    assert set(shipped.guard["decision"]) == {"adapted"}
    assert set(shipped.guard["chosen_candidate"]) == {"own"}
    assert set(shipped.guard["chosen_strength"]) == {0.75}
    np.testing.assert_allclose(shipped.weight, between(own.weight[:1], own.weight, 0.75), atol=1e-6)
    np.testing.assert_allclose(shipped.bias, between(own.bias[:1], own.bias, 0.75), atol=1e-5)
    np.testing.assert_array_equal(shipped.weight[0], [world.head.weight] * 2)
    for seed_index in range(len(SEEDS)):
        gain = world.accuracy(shipped, -1, seed_index) - world.accuracy(shipped, 0, seed_index)
        assert gain > 0.05


def test_the_gain_that_is_estimated_is_not_more_than_what_changes(shipped):
    guard = shipped.guard
    assert (guard["estimated_gain"] <= guard["change"]).all()
    assert (guard["gain_high"] <= guard["change"]).all()
    assert guard["change"].between(0, 0.5).all()
    assert (guard["change"] > 0.05).any()


def test_every_candidate_has_evidence_at_every_strength(shipped):
    names = [(name, s) for name in ("own", "stata", "transclip") for s in guard.STRENGTHS]
    found = list(zip(shipped.guard["candidate"], shipped.guard["strength"], strict=True))
    assert found == names


def test_what_the_rounds_learned_is_recorded_as_the_candidate_records_it(shipped, own):
    np.testing.assert_array_equal(shipped.pseudo_labels, own.pseudo_labels)
    np.testing.assert_array_equal(shipped.selected, own.selected)
    pd.testing.assert_frame_equal(shipped.rounds, own.rounds)
    assert shipped.n_labels == 0


def test_a_second_run_writes_the_same_bytes(world, shipped, tmp_path):
    paths = [tmp_path / "one.h5", tmp_path / "two.h5"]
    provenance = {**MODEL, "benchmark": "blobs", "method": "guarded"}
    for path, probes in zip(paths, (shipped, guarded_fit(world)), strict=True):
        write_probes(path, probes, provenance)
    first, second = (path.read_bytes() for path in paths)
    assert first == second


def test_zero_shots_weights_are_shipped_exactly_where_it_is_kept(world, monkeypatch):
    monkeypatch.setattr(guard, "WORTH", AGAINST_ALL)
    kept = guarded_fit(world, adapters=())
    assert_zero_shot(kept, world.head, "no estimated gain is sure enough")
    assert kept.weight.shape[:2] == (3, 2)


def assert_zero_shot(probes, head, reason):
    for weight in probes.weight.reshape(-1, *head.weight.shape):
        np.testing.assert_array_equal(weight, head.weight)
    np.testing.assert_array_equal(probes.bias, np.full_like(probes.bias, head.bias))
    assert set(probes.guard["decision"]) == {"zero_shot"}
    assert set(probes.guard["chosen_strength"]) == {0.0}
    assert set(probes.guard["reason"]) == {reason}


def cache(path, views):
    """Write views ``[V, N, D]`` as an adapt set, the weak and the strong ones alike."""
    names = [f"s{i}" for i in range(views.shape[1])]
    samples = pd.DataFrame({"id": names, "path": ["x"] * len(names)})
    write_features(
        path,
        samples=samples,
        versions={"weak": len(views), "strong": len(views)},
        parts=[np.concatenate([views, views]).astype(np.float16)],
        provenance={
            **MODEL,
            "dataset": "adapt",
            "index": fingerprint(samples),
            "views": '{"strong": {"policy": "disjoint"}, "weak": {}}',
        },
    )
    return path


def fit_on(path, head, **settings):
    settings = settings_of(**settings)
    return fit(head, {"adapt": path}, settings, [0])


def test_texts_that_are_all_alike_are_left_as_they_are(world):
    weight = np.repeat(world.head.weight[:1], 3, axis=0)
    head = replace(world.head, weight=weight)
    reason = "the texts of all classes have the same features"
    assert_zero_shot(guarded_fit(world, head=head), head, reason)


def test_one_class_for_every_image_is_left_as_it_is(world, tmp_path):
    one, other = np.eye(world.weak.shape[-1], dtype=np.float32)[:2]
    path = cache(tmp_path / "narrow.h5", normalise(world.weak + 3 * one))
    head = replace(world.head, weight=normalise(np.stack([one, -one, other - one])))
    assert_zero_shot(fit_on(path, head), head, "zero-shot predicts one class for every image")


def test_one_class_alone_is_left_as_it_is(world):
    head = world.head.of(np.array([0]))
    assert_zero_shot(guarded_fit(world, head=head), head, "there is one class")


@pytest.mark.parametrize(
    ("n", "reason"),
    [
        (1, "the unlabelled set has 1 image"),
        (2, "there are 2 images to learn from, fewer than 30"),
        (29, "there are 29 images to learn from, fewer than 30"),
    ],
)
def test_too_few_images_leave_zero_shot(world, tmp_path, n, reason):
    path = cache(tmp_path / "few.h5", world.weak[:, :n])
    assert_zero_shot(fit_on(path, world.head), world.head, reason)


def test_images_of_one_class_leave_zero_shot(tmp_path):
    gaussians = Gaussians()
    views, _ = gaussians.pool([60] + [0] * 19)
    head = replace(gaussians.head, expected=dict(MODEL))
    found = fit_on(cache(tmp_path / "one.h5", views), head)
    assert_zero_shot(found, head, found.guard["reason"].iloc[0])
    assert found.guard["reason"].iloc[0] in (
        "zero-shot predicts one class for every image",
        "images of 1 class are confirmed by their neighbours, fewer than 3",
    )


def test_a_pool_of_half_of_the_classes_moves_the_head_less_and_the_other_classes_not(tmp_path):
    gaussians = Gaussians()
    views, _ = gaussians.pool([30] * 10 + [0] * 10)
    noise = np.random.default_rng(0).normal(size=views.shape, scale=0.03)
    views = normalise((views + noise).astype(np.float32))
    head = replace(gaussians.head, expected=dict(MODEL))
    found = fit_on(cache(tmp_path / "half.h5", views), head)
    assert set(found.guard["support"]) == {0.5}
    assert set(found.guard["chosen_strength"]) <= {0.0, 0.5}
    for weight in found.weight.reshape(-1, *head.weight.shape):
        np.testing.assert_allclose(weight[10:], head.weight[10:], atol=1e-7)


def test_a_collapsed_candidate_is_not_shipped(world, own):
    both = guarded_fit(world, trained={"collapsing": COLLAPSING, "own": OWN})
    assert set(both.guard["chosen_candidate"]) == {"own"}
    np.testing.assert_allclose(both.weight, between(own.weight[:1], own.weight, 0.75), atol=1e-6)
    alone = guarded_fit(world, trained={"collapsing": COLLAPSING}, adapters=())
    assert_zero_shot(alone, world.head, "the training of every candidate collapsed")


def test_the_first_candidate_that_is_sure_to_gain_is_shipped(world):
    again = replace(OWN, rounds=1)
    for trained in ({"own": OWN, "again": again}, {"again": again, "own": OWN}):
        found = guarded_fit(world, trained=trained, adapters=())
        assert set(found.guard["chosen_candidate"]) == {next(iter(trained))}


def test_candidates_over_the_time_budget_are_left_out_and_named(world, caplog):
    long = replace(OWN, rounds=40)
    took = operations(read_pool(world.head, world.adapt, OWN), OWN, 3) * len(SEEDS)
    hours = 2 * took / 3.6e13
    with caplog.at_level(logging.WARNING):
        found = guarded_fit(world, trained={"long": long, "own": OWN}, adapters=(), hours=hours)
    assert set(found.guard["candidate"]) == {"own"}
    assert "'long' is left out: its training takes about" in caplog.text
    assert "'own' is left out" not in caplog.text


def test_a_budget_that_no_candidate_keeps_is_refused(world):
    with pytest.raises(LpclipError, match=r"every candidate takes more than 1e-12 hours"):
        guarded_fit(world, hours=1e-12)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_every_adapter_may_be_a_candidate(world, name):
    found = guarded_fit(world, adapters=(name,))
    assert set(found.guard["candidate"]) == {"own", name}
    assert np.isfinite(found.guard["estimated_gain"]).all()


def test_candidates_learn_the_part_whatever_their_labelling_takes_for_granted(tmp_path):
    gaussians = Gaussians()
    views, labels = gaussians.pool([20] * 20, n_ood=100)
    head = replace(gaussians.head, expected=dict(MODEL))
    everything = replace(OWN, labelling=Labelling(classes="all", images="all"))
    found = fit_on(cache(tmp_path / "ood.h5", views), head, trained={"all": everything})
    assert not found.selected[:, :, labels < 0].all(axis=(0, 1)).any()
    assert found.selected[1:, :, labels < 0].mean() < 0.15
    assert found.selected[1:, :, labels >= 0].mean() > 0.5


def test_no_file_with_labels_is_among_its_inputs():
    assert tuple(needs("guarded")) == ("adapt",)
    assert "samples" in needs("supervised")
