"""Probes: the file, and loading one probe from it."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

import lpclip
from lpclip.errors import LpclipError
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.probe import load_probe
from lpclip.storage.probes import Probes, read_probes, write_probes

R, S, C, D, N = 3, 2, 4, 6, 7
NAMES = ("zero", "eins", "двa", "三")


def sample_probes(**more):
    rng = np.random.default_rng(0)
    return Probes(
        weight=rng.normal(size=(R, S, C, D)).astype(np.float32),
        bias=rng.normal(size=(R, S, C)).astype(np.float32),
        scale=12.5,
        class_names=NAMES,
        seeds=(3, 8),
        rounds=rounds_table([Round(r, s, coverage=r / 4) for r in range(R) for s in (3, 8)]),
        **more,
    )


@pytest.fixture
def path(tmp_path):
    write_probes(tmp_path / "probes.h5", sample_probes(), {"model": "tiny", "method": "lp_clip"})
    return tmp_path / "probes.h5"


def test_probes_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(1)
    written = sample_probes(
        pseudo_labels=rng.integers(0, C, (R, S, N)).astype(np.int32),
        selected=rng.random((R, S, N)) < 0.5,
        n_labels=9,
        labels_seen=rng.random((S, N)) < 0.5,
        strong_policy="disjoint",
        student_view="strong",
    )
    write_probes(tmp_path / "p.h5", written, {"model": "tiny"})
    found, provenance = read_probes(tmp_path / "p.h5")
    for name in ("weight", "bias", "pseudo_labels", "selected", "labels_seen"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
        assert getattr(found, name).dtype == getattr(written, name).dtype
    for name in ("scale", "class_names", "seeds", "n_labels", "strong_policy", "student_view"):
        assert getattr(found, name) == getattr(written, name)
    assert found.rounds["coverage"].tolist() == written.rounds["coverage"].tolist()
    assert found.rounds["status"].tolist() == ["ok"] * (R * S)
    assert provenance["model"] == "tiny"


def test_a_method_without_pseudo_labels_has_none_in_its_file(path):
    found, _ = read_probes(path)
    assert found.pseudo_labels is None
    assert found.selected is None
    assert found.labels_seen is None
    assert found.n_labels == 0


@pytest.mark.parametrize(("number", "row"), [(0, 0), (2, 2), (-1, 2), (-3, 0)])
@pytest.mark.parametrize(("seed", "seed_index"), [(3, 0), (8, 1)])
def test_one_probe_is_that_of_its_round_and_seed(path, number, row, seed, seed_index):
    probe = load_probe(path, round=number, seed=seed)
    written = sample_probes()
    np.testing.assert_array_equal(probe.weight, written.weight[row, seed_index])
    np.testing.assert_array_equal(probe.bias, written.bias[row, seed_index])
    assert (probe.class_names, probe.scale) == (NAMES, 12.5)
    assert probe.provenance["method"] == "lp_clip"


def test_a_seed_or_round_that_is_not_there_is_refused_with_those_that_are(path):
    with pytest.raises(LpclipError, match=r"has no seed 0\. Seeds: 3, 8\."):
        load_probe(path)
    with pytest.raises(LpclipError, match=r"has no round 3\. Rounds: 0 to 2\."):
        load_probe(path, round=3, seed=3)
    with pytest.raises(LpclipError, match="has no round -4"):
        load_probe(path, round=-4, seed=3)


def test_a_file_that_is_no_probes_file_is_refused(tmp_path):
    with pytest.raises(LpclipError, match=r"no\.h5 does not exist"):
        load_probe(tmp_path / "no.h5")


def test_logits_are_scaled_cosines_plus_the_bias(path):
    probe = load_probe(str(path), seed=8)
    features = np.random.default_rng(2).normal(size=(5, D)) * 40
    expected = [
        [
            12.5 * row @ weight / np.linalg.norm(row) + bias
            for weight, bias in zip(probe.weight, probe.bias, strict=True)
        ]
        for row in features
    ]
    np.testing.assert_allclose(probe.logits(features), expected, rtol=1e-4, atol=1e-5)


def test_the_layer_gives_the_same_logits(path):
    probe = load_probe(path, seed=3)
    features = np.random.default_rng(2).normal(size=(5, D)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    linear = probe.to_linear()
    assert not linear.weight.requires_grad
    found = linear(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(found, probe.logits(features), rtol=1e-5, atol=1e-5)


def test_the_package_offers_it_by_name():
    assert lpclip.load_probe is load_probe
    with pytest.raises(AttributeError, match="no attribute 'load_prob'"):
        _ = lpclip.load_prob


def pool_probabilities(n=N):
    return np.random.default_rng(4).dirichlet(np.ones(C), size=(S, n))


def test_predictions_for_the_pool_come_back_as_float16_whose_rows_sum_to_1(tmp_path):
    written = sample_probes(pool_probabilities=pool_probabilities())
    write_probes(tmp_path / "p.h5", written, {"model": "tiny"})
    found, provenance = read_probes(tmp_path / "p.h5")
    np.testing.assert_allclose(found.pool_probabilities, written.pool_probabilities, rtol=2e-3)
    assert found.pool_probabilities.dtype == np.float32
    np.testing.assert_allclose(found.pool_probabilities.sum(axis=-1), 1, atol=1e-6)
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["pool_probabilities"].dtype == np.float16
    # A method that predicts other images, too, is used like any other.
    assert (found.predicts_pool_alone, found.n_rounds, provenance["predicts"]) == (
        False,
        R,
        "images",
    )
    np.testing.assert_array_equal(found.last()[0][:, 0], written.weight[-1])


def test_a_last_round_without_a_head_is_read_only_where_that_is_expected(tmp_path):
    path, whole = tmp_path / "p.h5", sample_probes(pool_probabilities=pool_probabilities())
    alone = replace(whole, weight=whole.weight[:1], bias=whole.bias[:1])
    write_probes(path, alone, {"model": "tiny"})
    with pytest.raises(LpclipError, match=r"p\.h5 predicts only the images of its pool"):
        read_probes(path)
    found, provenance = read_probes(path, pool_alone=True)
    assert (found.predicts_pool_alone, found.n_rounds, provenance["predicts"]) == (True, 2, "pool")
    features = np.eye(3, D, dtype=np.float32)
    expected = 12.5 * features @ whole.weight[0, 1].T + whole.bias[0, 1]
    np.testing.assert_allclose(found.logits(features, 0, 1), expected, rtol=1e-5)
    for use in (
        found.last,
        lambda: found.logits(features, -1, 0),
        lambda: load_probe(path, seed=3),
    ):
        with pytest.raises(LpclipError, match="predicts only the images of its pool"):
            use()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (pool_probabilities() * 1.1, "do not sum to 1"),
        (np.zeros((S, N, C)), "do not sum to 1"),
        (np.full((S, N, C), np.nan), "do not sum to 1"),
        (pool_probabilities(N + 1), "'pool_probabilities' has shape"),
        (pool_probabilities()[:1], "'pool_probabilities' has shape"),
    ],
)
def test_predictions_that_are_none_or_do_not_fit_are_refused(tmp_path, values, sentence):
    seen = np.zeros((S, N), bool)
    probes = sample_probes(pool_probabilities=values, labels_seen=seen)
    write_probes(tmp_path / "p.h5", probes, {"model": "tiny"})
    with pytest.raises(LpclipError, match=sentence):
        read_probes(tmp_path / "p.h5")
