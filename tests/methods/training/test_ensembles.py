"""Ensembles: members are separate heads whose probabilities are averaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lpclip.errors import LpclipError
from lpclip.methods.kinds import batch_ensemble, deep_ensemble, mc_dropout
from lpclip.methods.kinds.batch_ensemble import rank_one
from lpclip.methods.registry import needs, sees_labels
from lpclip.methods.training.labelled import OnLabels
from lpclip.storage import probes
from lpclip.storage.probe import load_probe
from tests.helpers.labelled import SCALE, softmax, world

SHORT = OnLabels(epochs=30, batch_size=32, learning_rate=0.01, patience=3)
KINDS = [deep_ensemble, mc_dropout, batch_ensemble]


def mean_probabilities(fitted, features, seed_index=0):
    members = zip(fitted.member_weight[seed_index], fitted.member_bias[seed_index], strict=True)
    return np.mean([softmax(SCALE * features @ w.T + b) for w, b in members], axis=0)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_the_mean_of_the_members(tmp_path, kind):
    head, inputs, features, labels = world(tmp_path, 3)
    fitted = kind.fit(head, inputs, kind.Settings(members=5, optimisation=SHORT), [0, 1])
    assert fitted.member_weight.shape == (2, 5, *head.weight.shape)
    found = softmax(fitted.logits(features, -1, 1))
    np.testing.assert_allclose(found, mean_probabilities(fitted, features, 1), atol=1e-6)
    assert np.ptp(fitted.member_weight[1], axis=0).max() > 0.01
    np.testing.assert_allclose(fitted.weight[1], fitted.member_weight.mean(axis=1), atol=1e-6)
    assert np.mean(found.argmax(axis=1) == labels) > 0.7


@pytest.mark.parametrize("kind", KINDS)
def test_round_0_is_zero_shot_and_labels_are_counted(tmp_path, kind):
    head, inputs, features, labels = world(tmp_path, 3)
    settings = kind.Settings(members=2, optimisation=SHORT)
    fitted = kind.fit(head, inputs, settings, [0])
    zero = SCALE * features @ head.weight.T
    np.testing.assert_allclose(fitted.logits(features, 0, 0), zero, atol=1e-5)
    assert fitted.n_labels == len(labels)
    some = kind.fit(head, inputs, replace(settings, label_share=0.5), [0])
    assert some.n_labels == len(labels) // 2 == some.labels_seen.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits_alone_or_beside_another(tmp_path, kind):
    head, inputs, _, _ = world(tmp_path, 3)
    settings = kind.Settings(members=2, optimisation=SHORT)
    both, alone = (kind.fit(head, inputs, settings, seeds) for seeds in ([2, 3], [3]))
    np.testing.assert_array_equal(both.member_weight[1], alone.member_weight[0])
    np.testing.assert_array_equal(both.member_bias[1], alone.member_bias[0])
    assert not np.array_equal(both.member_weight[0], both.member_weight[1])


@pytest.mark.parametrize("kind", [deep_ensemble, batch_ensemble])
def test_an_ensemble_of_one_is_one_probe(tmp_path, kind):
    head, inputs, features, _ = world(tmp_path, 3)
    fitted = kind.fit(head, inputs, kind.Settings(members=1, optimisation=SHORT), [0])
    assert fitted.member_weight is None
    linear = SCALE * features @ fitted.weight[1, 0].T + fitted.bias[1, 0]
    np.testing.assert_allclose(fitted.logits(features, -1, 0), linear, atol=1e-5)


def test_a_member_of_a_deep_ensemble_does_not_depend_on_how_many_there_are(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    settings = deep_ensemble.Settings(members=3, optimisation=SHORT)
    three = deep_ensemble.fit(head, inputs, settings, [0])
    one = deep_ensemble.fit(head, inputs, replace(settings, members=1), [0])
    np.testing.assert_array_equal(three.member_weight[:, 0], one.weight[1])


def test_dropout_at_rate_0_is_the_plain_layer(tmp_path):
    head, inputs, features, _ = world(tmp_path, 3)
    settings = mc_dropout.Settings(rate=0.0, members=4, optimisation=SHORT)
    many = mc_dropout.fit(head, inputs, settings, [0])
    plain = mc_dropout.fit(head, inputs, replace(settings, members=1), [0])
    for member in many.member_weight[0]:
        np.testing.assert_array_equal(member, plain.weight[1, 0])
    np.testing.assert_allclose(
        softmax(many.logits(features, -1, 0)), softmax(plain.logits(features, -1, 0)), atol=1e-6
    )


def test_a_sample_of_dropout_leaves_features_out_and_raises_the_others(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    settings = mc_dropout.Settings(rate=0.5, members=200, optimisation=replace(SHORT, epochs=1))
    fitted = mc_dropout.fit(head, inputs, settings, [0])
    left_out = fitted.member_weight[0] == 0
    # A feature is dropped for all classes or for none.
    assert (left_out.all(axis=1) == left_out.any(axis=1)).all()
    assert 0.4 < left_out.mean() < 0.6
    kept = np.where(left_out, np.nan, fitted.member_weight[0])
    np.testing.assert_allclose(np.nanmax(kept, axis=0), np.nanmin(kept, axis=0), rtol=1e-6)


def test_members_of_a_batch_ensemble_differ_by_a_matrix_of_rank_one(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    settings = batch_ensemble.Settings(members=2, optimisation=SHORT)
    fitted = batch_ensemble.fit(head, inputs, settings, [0])
    one, other = fitted.member_weight[0].astype(np.float64)
    singular = np.linalg.svd(one / other, compute_uv=False)
    assert singular[1] < 1e-3 * singular[0]


def test_rank_one_follows_its_formula():
    g = torch.Generator().manual_seed(0)
    shared, out, into, bias = (
        torch.randn(*shape, generator=g) for shape in [(2, 3, 4), (2, 5, 3), (2, 5, 4), (2, 5, 3)]
    )
    weight, biases = rank_one(shared, out, into, bias)
    expected = shared[1] * torch.outer(out[1, 2], into[1, 2])
    assert torch.allclose(weight[7], expected)
    assert torch.equal(biases[7], bias[1, 2])


def test_a_member_is_loaded_and_the_ensemble_as_one_head_is_refused(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    settings = deep_ensemble.Settings(members=3, optimisation=SHORT)
    fitted = deep_ensemble.fit(head, inputs, settings, [0])
    path = tmp_path / "probes.h5"
    probes.write_probes(path, fitted, {"model": "tiny"})
    found, _ = probes.read_probes(path)
    np.testing.assert_array_equal(found.member_weight, fitted.member_weight)
    np.testing.assert_array_equal(found.member_bias, fitted.member_bias)
    member = load_probe(path, member=2)
    np.testing.assert_array_equal(member.weight, fitted.member_weight[0, 2])
    np.testing.assert_array_equal(member.bias, fitted.member_bias[0, 2])
    np.testing.assert_array_equal(load_probe(path, round=0).weight, head.weight)
    with pytest.raises(LpclipError, match=r"is an ensemble.*Choose one: member 0 to 2"):
        load_probe(path)
    with pytest.raises(LpclipError, match="Choose one: member 0 to 2"):
        load_probe(path, member=3)
    with pytest.raises(LpclipError, match="has no member 1"):
        load_probe(path, round=0, member=1)


@pytest.mark.parametrize("kind", ["deep_ensemble", "mc_dropout", "batch_ensemble"])
def test_the_files_that_they_read_say_that_they_see_labels(kind):
    assert sees_labels(kind)
    assert needs(kind) == ("clean", "samples")
