"""The guarded method ships what the guard decides."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.methods.kinds.guarded import Settings, fit
from lpclip.methods.labelling.structure import Structure
from lpclip.methods.registry import needs
from lpclip.methods.training import examine, guard
from lpclip.methods.training.guard import Worth
from lpclip.methods.training.pool import read_pool
from lpclip.storage.probes import between, write_probes
from tests.helpers.clusters import MODEL, SETTINGS, World

TRAINING = replace(SETTINGS, rounds=2)
SEEDS = (0, 1)
ALWAYS, NEVER = Worth(1.0, 0.0, 0.0, 0.0), Worth(-1.0, 0.0, 0.0, 0.0)
# The estimated gain equals the evidence, and is zero without any.
BY_EVIDENCE = Worth(0.0, 1.0, 1.0, 0.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("guarded"))


@pytest.fixture(scope="module")
def base(world):
    """Write the probes of the guarded method to a file."""
    probes = world.fit(TRAINING, SEEDS)
    provenance = {**MODEL, "benchmark": "blobs", "method": "base", "settings": repr(TRAINING)}
    write_probes(world.adapt.with_name("probes.h5"), probes, provenance)
    return probes


def guarded_fit(world, method="base", seeds=SEEDS):
    inputs = {"adapt": world.adapt, "probes": world.adapt.with_name("probes.h5")}
    return fit(world.head, inputs, Settings(method, TRAINING), list(seeds))


def set_worth(monkeypatch, worth):
    monkeypatch.setattr(guard, "WORTH", worth)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_head_that_leans_over_clusters_is_adapted(world, base, monkeypatch, strength):
    set_worth(monkeypatch, {0.25: NEVER, strength: BY_EVIDENCE})
    shipped = guarded_fit(world)
    assert shipped.guard is not None
    assert set(shipped.guard["decision"]) == {"adapted"}
    assert set(shipped.guard["chosen_strength"]) == {strength}
    assert (shipped.guard["gaussian"] > 0).all()
    assert (shipped.guard["halves"] > 0).all()
    np.testing.assert_array_equal(shipped.weight, between(base.weight[:1], base.weight, strength))
    for seed_index in range(len(SEEDS)):
        assert (
            world.accuracy(shipped, -1, seed_index) > world.accuracy(shipped, 0, seed_index) + 0.05
        )


def test_at_strength_1_the_probes_of_the_guarded_method_are_shipped(world, base, monkeypatch):
    set_worth(monkeypatch, {0.5: NEVER, 1.0: ALWAYS})
    shipped = guarded_fit(world)
    np.testing.assert_array_equal(shipped.weight, base.weight)
    np.testing.assert_array_equal(shipped.bias, base.bias)
    assert not np.array_equal(shipped.weight[0], shipped.weight[-1])


def test_a_guard_that_says_no_ships_zero_shot_in_every_round(world, base, monkeypatch):
    set_worth(monkeypatch, {0.5: NEVER, 1.0: NEVER})
    shipped = guarded_fit(world)
    assert shipped.weight.shape == base.weight.shape
    for number in range(len(base.weight)):
        np.testing.assert_array_equal(shipped.weight[number], base.weight[0])
        np.testing.assert_array_equal(shipped.bias[number], base.bias[0])
    assert shipped.guard is not None
    assert shipped.guard["decision"].tolist() == ["zero_shot"] * 2
    assert shipped.guard["chosen_strength"].tolist() == [0.0] * 2


def test_half_way_is_the_mean_of_zero_shot_and_the_probe(world, base, monkeypatch):
    set_worth(monkeypatch, {0.5: ALWAYS, 1.0: NEVER})
    shipped = guarded_fit(world)
    np.testing.assert_allclose(shipped.weight, (base.weight[0] + base.weight) / 2, atol=1e-6)
    np.testing.assert_allclose(shipped.bias, (base.bias[0] + base.bias) / 2, atol=1e-6)


def test_what_the_rounds_learned_is_told_as_the_guarded_method_tells_it(world, base):
    shipped = guarded_fit(world)
    np.testing.assert_array_equal(shipped.pseudo_labels, base.pseudo_labels)
    pd.testing.assert_frame_equal(shipped.rounds, base.rounds)
    assert shipped.strong_policy == base.strong_policy == "disjoint"
    assert shipped.n_labels == 0


@pytest.mark.usefixtures("base")
def test_the_same_probes_give_the_same_decision(world):
    first, second = guarded_fit(world), guarded_fit(world)
    pd.testing.assert_frame_equal(first.guard, second.guard, check_exact=True)
    np.testing.assert_array_equal(first.weight, second.weight)


def test_the_heads_of_the_halves_learn_one_half_each(world, base, monkeypatch):
    learned = []

    def spy(head, pool, *arguments, **more):
        learned.append(pool)
        return self_train(head, pool, *arguments, **more)

    self_train = examine.self_train
    monkeypatch.setattr(examine, "self_train", spy)
    pool = read_pool(world.head, world.adapt, TRAINING)
    examine.examine(world.head, pool, base, TRAINING)
    halves = Structure(pool.teacher).halves
    assert len(learned) == 2
    for part, half in zip(learned, (halves, ~halves), strict=True):
        np.testing.assert_array_equal(part.teacher, pool.teacher[:, half])
        np.testing.assert_array_equal(part.student, pool.student[:, half])


def test_evidence_is_of_the_last_rounds_once_per_seed_whatever_the_strengths(
    world, base, monkeypatch
):
    set_worth(monkeypatch, {0.25: NEVER, 0.75: NEVER, 1.0: ALWAYS})
    halves, looked_at = [], []

    def keep(*arguments, **more):
        halves.append(self_train(*arguments, **more))
        return halves[-1]

    def spy(structure, **logits):
        looked_at.append(logits)
        return gather(structure, **logits)

    self_train, gather = examine.self_train, examine.gather
    monkeypatch.setattr(examine, "self_train", keep)
    monkeypatch.setattr(examine, "gather", spy)
    pool = read_pool(world.head, world.adapt, TRAINING)
    # Large biases; students of clusters have hardly any.
    biased = replace(base, bias=base.bias + np.arange(3, dtype=np.float32) * (base.bias != 0))
    examine.examine(world.head, pool, biased, TRAINING)
    heads = {
        "head": (1.0, biased),
        "first_half": (1.0, halves[0]),
        "second_half": (1.0, halves[1]),
    }
    for seed_index, logits in zip(range(len(SEEDS)), looked_at, strict=True):
        assert set(logits) == {"zero_shot", *heads}
        zero = world.head.scale * pool.teacher @ world.head.weight.T
        np.testing.assert_allclose(logits["zero_shot"], zero, atol=1e-4)
        for name, (strength, probes) in heads.items():
            all_the_way = (
                world.head.scale * pool.teacher @ probes.weight[-1, seed_index].T
                + probes.bias[-1, seed_index]
            )
            expected = (1 - strength) * zero + strength * all_the_way
            np.testing.assert_allclose(logits[name], expected, atol=1e-4)


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"method": "other"}, r"was made with method 'base', not 'other'"),
        ({"seeds": (0,)}, r"was made with seeds \[0, 1\], not \[0\]"),
        ({"seeds": (1, 0)}, r"was made with seeds \[0, 1\], not \[1, 0\]"),
    ],
)
def test_probes_of_another_method_or_other_seeds_are_refused(world, other, sentence):
    with pytest.raises(LpclipError, match=sentence):
        guarded_fit(world, **other)


def test_no_file_with_labels_is_among_its_inputs():
    assert set(needs("guarded")) == {"adapt", "probes"}
    assert "samples" in needs("supervised")
