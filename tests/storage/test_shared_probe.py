"""A shared probe comes back as it was; damaged files and those of others are refused."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from lpclip.errors import LpclipError
from lpclip.storage.probes import Probes
from lpclip.storage.shared_probe import read_shared_probe, shared_probe

RNG = np.random.default_rng(0)
ABOUT = {"model": "m", "weights": "abc", "force_image_size": 0}


def probes(members=None):
    rounds = pd.DataFrame(
        {"round": [0, 0, 1, 1, 2, 2], "seed": [3, 8] * 3, "coverage": [np.nan, 0.1] * 3}
    )
    guard = pd.DataFrame({"candidate": ["a", "ü"], "strength": [0.25, 1 / 3]})
    return Probes(
        weight=RNG.normal(size=(3, 2, 4, 5)).astype(np.float32),
        bias=RNG.normal(size=(3, 2, 4)).astype(np.float32),
        scale=21.3,
        class_names=("a", "b", "ç", "d"),
        seeds=(3, 8),
        rounds=rounds,
        guard=guard,
        member_weight=members and RNG.normal(size=(2, members, 4, 5)).astype(np.float32),
        member_bias=members and RNG.normal(size=(2, members, 4)).astype(np.float32),
    )


def back(tmp_path, content):
    path = tmp_path / "probe.safetensors"
    path.write_bytes(content)
    return read_shared_probe(path)


@pytest.mark.parametrize("members", [None, 3])
def test_a_probe_comes_back_as_it_was(tmp_path, members):
    whole = probes(members)
    content = shared_probe(whole, ABOUT, round=2, seed_index=1)
    assert content == shared_probe(whole, ABOUT, round=2, seed_index=1)
    found, provenance = back(tmp_path, content)
    assert provenance == ABOUT
    np.testing.assert_array_equal(found.weight, whole.weight[[0, 2], 1:])
    np.testing.assert_array_equal(found.bias, whole.bias[[0, 2], 1:])
    assert (found.scale, found.class_names, found.seeds) == (21.3, whole.class_names, (8,))
    pd.testing.assert_frame_equal(found.guard, whole.guard)
    assert list(found.rounds["round"]) == [0, 1]
    features = RNG.normal(size=(6, 5)).astype(np.float32)
    np.testing.assert_array_equal(found.logits(features, -1, 0), whole.logits(features, 2, 1))


def test_zero_shot_is_one_round_without_a_guard(tmp_path):
    found, _ = back(tmp_path, shared_probe(probes(), ABOUT, round=0, seed_index=0))
    assert found.n_rounds == 1
    assert found.guard is None


def rewritten(tmp_path, change):
    path = tmp_path / "probe.safetensors"
    path.write_bytes(shared_probe(probes(), ABOUT, round=2, seed_index=0))
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["lpclip"])
        tensors = {name: file.get_tensor(name) for name in ("weight", "bias")}
    change(about, tensors)
    save_file(tensors, path, metadata={"lpclip": json.dumps(about)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about, _: about.update(version=2), "layout 2; this lpclip reads layouts up to 1"),
        (lambda about, _: about.pop("scale"), "damaged: 'scale'"),
        (lambda about, _: about.update(class_names=["a"]), "arrays do not fit together"),
        (lambda _, tensors: tensors.pop("bias"), "damaged: 'bias'"),
        (lambda _, tensors: tensors["weight"].fill(np.nan), "are not finite"),
        (lambda about, _: about.update(rounds={"round": 3}), "damaged"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, message):
    with pytest.raises(LpclipError, match=message):
        read_shared_probe(rewritten(tmp_path, change))


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"PK\3\4" * 99])
def test_another_file_is_refused(tmp_path, content):
    with pytest.raises(LpclipError, match="no probe that lpclip shared"):
        back(tmp_path, content)


def test_a_safetensors_file_of_somebody_else_is_refused(tmp_path):
    save_file({"weight": np.zeros((2, 2), np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(LpclipError, match="does not say what it is"):
        read_shared_probe(tmp_path / "x.safetensors")
