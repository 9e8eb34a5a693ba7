"""Kinds of method that are label-free adapters: what they read, and what they return."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.methods.adapters.pool import read_view
from lpclip.methods.registry import load_method, needs, used_seeds
from lpclip.storage.features import normalise, write_features
from tests.helpers.clusters import MODEL, SCALE, N, World
from tests.helpers.pools import zero_shot

HEADS = ["gaussian", "inmap", "otter", "stata", "transclip"]
WITH_BOTH = ["stata", "transclip"]
POOL_ALONE = ["lame", "tda", "zlap"]
KINDS = HEADS + POOL_ALONE
SEEDS = [4, 5]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("adapters"))


def fitted(world, kind, **settings):
    module = load_method(kind)
    if kind == "inmap":
        settings = {"steps": 100, **settings}
    return module.fit(world.head, {"adapt": world.adapt}, module.Settings(**settings), SEEDS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_but_the_pool_is_read_and_one_seed_is_enough(kind):
    assert needs(kind) == ("adapt",)
    assert used_seeds(kind, SEEDS) == SEEDS[:1]


@pytest.mark.parametrize("kind", KINDS)
def test_round_0_is_zero_shot(world, kind):
    probes = fitted(world, kind)
    assert probes.seeds == (4,)
    np.testing.assert_array_equal(probes.weight[0, 0], world.head.weight)
    np.testing.assert_array_equal(probes.bias[0], 0)
    assert probes.rounds[["round", "seed"]].to_numpy().tolist() == [[0, 4], [1, 4]]
    assert probes.n_labels == 0


@pytest.mark.parametrize("kind", HEADS)
def test_round_1_is_a_head_that_leans_less_than_zero_shot(world, kind):
    probes = fitted(world, kind)
    assert probes.weight.shape == (2, 1, *world.head.weight.shape)
    assert (probes.pool_probabilities is not None) == (kind in WITH_BOTH)
    assert getattr(load_method(kind), "PREDICTS", "images") == "images"
    before, after = (world.accuracy(probes, round) for round in (0, 1))
    assert after > before + 0.01


@pytest.mark.parametrize("kind", WITH_BOTH + POOL_ALONE)
def test_predictions_of_the_pool_are_one_row_per_image(world, kind):
    probes = fitted(world, kind)
    found = probes.pool_probabilities
    assert found.shape == (1, N, 3)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    predicted = zero_shot(read_view(world.adapt, "weak", world.head)[0], world.head)
    assert np.mean(found[0].argmax(axis=1) == predicted.argmax(axis=1)) > 0.5
    assert np.abs(found[0] - predicted).max() > 0.05


@pytest.mark.parametrize("kind", POOL_ALONE)
def test_what_has_no_head_has_only_that_of_zero_shot(world, kind):
    probes = fitted(world, kind)
    assert probes.weight.shape == (1, 1, *world.head.weight.shape)
    assert load_method(kind).PREDICTS == "pool"


def test_the_weak_view_is_the_mean_over_its_versions(world):
    found = read_view(world.adapt, "weak", world.head)
    np.testing.assert_allclose(found[0], normalise(world.weak.mean(axis=0)), atol=1e-6)


def test_a_view_without_versions_is_read_as_it_is(world, tmp_path):
    clean = tmp_path / "clean.h5"
    write_clean(clean, world)
    found = read_view(clean, "clean", world.head)
    assert found.shape == (1, *world.clean.shape)
    np.testing.assert_allclose(found[0], world.clean, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_view_is_a_setting(world, tmp_path, kind):
    clean = tmp_path / "clean.h5"
    write_clean(clean, world)
    module = load_method(kind)
    probes = module.fit(world.head, {"adapt": clean}, module.Settings(view="clean"), SEEDS)
    assert len(probes.rounds) == 2
    with pytest.raises(LpclipError, match="has no view 'weak'"):
        module.fit(world.head, {"adapt": clean}, module.Settings(), SEEDS)


def write_clean(path, world):
    samples = pd.DataFrame({"id": [f"s{i}" for i in range(N)], "path": ["x"] * N})
    write_features(
        path,
        samples=samples,
        versions={"clean": 0},
        parts=[world.clean[None].astype(np.float16)],
        provenance={**MODEL, "dataset": "adapt", "index": world.index},
    )


def test_a_cache_of_another_model_is_refused(world):
    other = replace(world.head, expected={**MODEL, "weights": "77c1"})
    with pytest.raises(LpclipError, match="was made with weights '3f9a', not '77c1'"):
        read_view(world.adapt, "weak", other)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_is_that_of_the_model(world, kind):
    assert fitted(world, kind).scale == SCALE


def test_kinds_import_neither_scipys_sparse_matrices_nor_torch():
    code = (
        "import sys; from lpclip.methods.registry import load_method;"
        f"[load_method(kind) for kind in {KINDS}];"
        "print({'torch', 'sklearn', 'scipy.sparse', 'scipy.optimize'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
