"""pandas opens the arrays of every kind of file as frames, without a second copy."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

import lpclip
from lpclip.methods.labelling.pseudo_labels import pseudo_labels
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.features import normalise, read_features
from lpclip.storage.features import write_features as stored_write_features
from lpclip.storage.pandas_frames import Frames, fixed_length, pandas_keys
from lpclip.storage.probes import Probes, read_probes, write_probes
from lpclip.storage.samples import fingerprint
from lpclip.storage.text import write_text

N, D, C = 6, 4, 3
IDS = ["a", "nan", "ü/2", "数字-3", "e", "f"]
NAMES = ["zero", "ünï", "nan"]
SAMPLES = pd.DataFrame({"id": IDS, "path": [f"{i}.png" for i in range(N)]})
MODEL = {"model": "tiny", "weights": "3f9a"}
VALUES = np.random.default_rng(0).normal(size=(6, N, D)).astype(np.float16)
SETTINGS = {"clean": {}, "weak": {"versions": 2}, "fog": {"severities": [1, 3, 5]}}


def keys(path):
    with pd.HDFStore(path, "r") as store:
        return store.keys()


def write_features(path, versions, values=VALUES, samples=SAMPLES, **provenance):
    stored_write_features(
        path,
        samples=samples,
        versions=versions,
        parts=[values],
        provenance={**MODEL, "dataset": "d", "index": fingerprint(samples), **provenance},
    )
    return path


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "adapt.h5"
    versions = {"clean": 0, "weak": 2, "fog": 3}
    return write_features(path, versions, views=json.dumps(SETTINGS))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.h5"
    values = normalise(np.random.default_rng(1).normal(size=(C, D)).astype(np.float32))
    provenance = {**MODEL, "scale": 100.0, "bias": 0.0}
    write_text(path, features=values, class_names=NAMES, provenance=provenance)
    return path


def test_the_only_view_is_opened_without_a_key(tmp_path):
    path = write_features(tmp_path / "clean.h5", {"clean": 0}, VALUES[:1])
    for frame in (pd.read_hdf(path), pd.read_hdf(path, "frames/clean")):
        assert frame.index.tolist() == IDS
        assert frame.columns.tolist() == list(range(D))
        assert set(frame.dtypes) == {np.dtype(np.float16)}
        np.testing.assert_array_equal(frame.to_numpy(), VALUES[0])
    assert keys(path) == ["/frames/clean"]
    assert pd.read_hdf(path, "samples")["id"].tolist()[:1] == ["a"]


def test_every_view_and_version_is_a_frame_of_the_stored_array(features):
    expected = {
        "/frames/clean": 0, "/frames/weak/0": 1, "/frames/weak/1": 2,
        "/frames/fog/1": 3, "/frames/fog/3": 4, "/frames/fog/5": 5,
    }  # fmt: skip
    assert sorted(keys(features)) == sorted(expected)
    for key, place in expected.items():
        frame = pd.read_hdf(features, key)
        np.testing.assert_array_equal(frame.to_numpy(), VALUES[place])
        assert frame.index.tolist() == IDS
    rows = pd.read_hdf(features, "frames/fog/3", start=2, stop=4)
    np.testing.assert_array_equal(rows.to_numpy(), VALUES[4, 2:4])
    with h5py.File(features) as file:
        assert pandas_keys(file) == sorted(key.strip("/") for key in expected)


def test_a_moved_file_is_opened_as_before(features, tmp_path):
    moved = tmp_path / "moved.h5"
    moved.write_bytes(features.read_bytes())
    np.testing.assert_array_equal(pd.read_hdf(moved, "frames/fog/5").to_numpy(), VALUES[5])


def test_frames_take_no_second_copy_of_the_features(tmp_path):
    n, dim = 500, 512
    values = np.random.default_rng(0).normal(size=(3, n, dim)).astype(np.float16)
    ids = [f"{i:06d}" for i in range(n)]
    samples = pd.DataFrame({"id": ids, "path": ids})
    path = write_features(tmp_path / "f.h5", {"clean": 0, "weak": 2}, values, samples)
    index = 2 * n * 6 + n * 6  # ids and paths, and the ids again
    assert path.stat().st_size < values.nbytes + index + 8 * dim + 40_000
    np.testing.assert_array_equal(lpclip.map_features(path, view="weak"), values[1:])
    with h5py.File(path) as file:
        one, other = file["features/clean"], file["frames/clean/block0_values"]
        assert one.id.get_offset() == other.id.get_offset()
        assert file["frames/weak/1/block0_values"].virtual_sources()[0].file_name == "."


def test_readers_of_lpclip_read_as_before(features):
    frame = lpclip.read_frame(features, view="fog", version=1, normalise=False)
    assert frame["id"].tolist() == IDS
    np.testing.assert_array_equal(frame[[f"d{i}" for i in range(D)]].to_numpy(), VALUES[4])
    assert not list(lpclip.read_frame(features).filter(like="label"))


def test_text_features_are_a_frame_by_class_name(text):
    frame = pd.read_hdf(text)
    assert keys(text) == ["/frames/features"]
    assert frame.index.tolist() == NAMES
    with h5py.File(text) as file:
        np.testing.assert_array_equal(frame.to_numpy(), file["features"][...])
    assert pd.read_hdf(text, "classes")["class_index"].tolist() == [0, 1, 2]


def test_probabilities_are_a_frame_by_id_and_class_name(features, text, tmp_path):
    path = tmp_path / "pseudo_labels.h5"
    labelling = Labelling(temperature=1.0, structure=0.0, prior="none")
    pseudo_labels(text=text, features=features, output=path, labelling=labelling)
    assert sorted(keys(path)) == ["/frames/probabilities", "/pseudo_labels"]
    frame = pd.read_hdf(path, "frames/probabilities")
    assert (frame.index.tolist(), frame.columns.tolist()) == (IDS, NAMES)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(frame.to_numpy(), file["probabilities"][...])
    table = pd.read_hdf(path, "pseudo_labels")
    kept = pd.read_hdf(path, "pseudo_labels", where="selected == True", columns=["id"])
    assert kept["id"].tolist() == table["id"][table["selected"]].tolist()


def heads(n_members=0):
    rng = np.random.default_rng(0)
    members = rng.normal(size=(2, n_members, C, D)).astype(np.float32)
    return Probes(
        weight=rng.normal(size=(2, 2, C, D)).astype(np.float32),
        bias=rng.normal(size=(2, 2, C)).astype(np.float32),
        scale=1.0,
        class_names=tuple(NAMES),
        seeds=(3, 8),
        rounds=rounds_table([Round(0, 3), Round(0, 8), Round(1, 3), Round(1, 8)]),
        member_weight=members if n_members else None,
        member_bias=members[..., 0] if n_members else None,
    )


def test_probes_are_frames_by_round_and_seed(tmp_path):
    path = tmp_path / "probes.h5"
    write_probes(path, heads(), MODEL)
    places = [f"round_{number}/seed_{seed}" for number in (0, 1) for seed in (3, 8)]
    listed = [f"/frames/{kind}/{place}" for kind in ("bias", "weight") for place in places]
    assert sorted(keys(path)) == sorted([*listed, "/rounds"])
    weight = pd.read_hdf(path, "frames/weight/round_1/seed_3")
    bias = pd.read_hdf(path, "frames/bias/round_1/seed_3")
    probe = lpclip.load_probe(path, round=1, seed=3)
    np.testing.assert_array_equal(weight.to_numpy(), probe.weight)
    np.testing.assert_array_equal(bias.to_numpy(), probe.bias)
    assert weight.index.tolist() == bias.index.tolist() == NAMES
    assert pd.read_hdf(path, "rounds", where="seed == 8")["round"].tolist() == [0, 1]


def test_the_members_of_an_ensemble_have_a_frame_each(tmp_path):
    path = tmp_path / "probes.h5"
    write_probes(path, heads(n_members=2), MODEL)
    found = [key for key in keys(path) if key.startswith("/frames/weight/round_1")]
    expected = [(seed, member) for seed in (3, 8) for member in (0, 1)]
    assert sorted(found) == [f"/frames/weight/round_1/seed_{s}/member_{m}" for s, m in expected]
    probe = lpclip.load_probe(path, seed=8, member=1)
    np.testing.assert_array_equal(
        pd.read_hdf(path, "frames/weight/round_1/seed_8/member_1").to_numpy(), probe.weight
    )
    assert read_probes(path)[0].member_weight.shape == (2, 2, C, D)


def attributes(path, key):
    """Return the attributes of a group and its members, as pandas reads them."""
    with pd.HDFStore(path, "r") as store:
        node = store.get_node(key)
        return {
            f"{item._v_name}.{name}": item._v_attrs[name]
            for item in (node, *node._f_iter_nodes())
            for name in item._v_attrs._f_list("all")
        }


def test_attributes_are_those_that_pandas_writes(tmp_path):
    ours, theirs = tmp_path / "ours.h5", tmp_path / "theirs.h5"
    names = [name for name in IDS if name != "nan"][:3]
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    with h5py.File(ours, "w") as file:
        file["values"] = values
        file["one"] = values[None, :, 0]
        frames = Frames(file, fixed_length(names))
        frames.add("values", file["values"])
        frames.add_series("one", file["one"], part=(0,))
    pd.DataFrame(values, index=names).to_hdf(theirs, key="frames/values")
    pd.Series(values[:, 0], index=names).to_hdf(theirs, key="frames/one")
    for key in ("frames/values", "frames/one"):
        assert pd.read_hdf(ours, key).equals(pd.read_hdf(theirs, key))
        assert attributes(ours, key) == attributes(theirs, key)


def test_names_of_columns_are_stored_as_pandas_does(tmp_path):
    ours, theirs = tmp_path / "ours.h5", tmp_path / "theirs.h5"
    values = np.eye(2, dtype=np.float32)
    with h5py.File(ours, "w") as file:
        file["values"] = values
        Frames(file, fixed_length(["x", "y"])).add("p", file["values"], columns=["ä", "b"])
    pd.DataFrame(values, index=["x", "y"], columns=["ä", "b"]).to_hdf(theirs, key="frames/p")
    pd.testing.assert_frame_equal(pd.read_hdf(ours), pd.read_hdf(theirs))
    assert attributes(ours, "frames/p") == attributes(theirs, "frames/p")


def test_equal_contents_are_equal_bytes_whenever_they_are_written(tmp_path, features):
    versions = {"clean": 0, "weak": 2, "fog": 3}
    again = write_features(tmp_path / "again.h5", versions, views=json.dumps(SETTINGS))
    assert again.read_bytes() == features.read_bytes()
    with h5py.File(features) as file:
        dates = []
        file.visititems(lambda _, item: dates.append(h5py.h5o.get_info(item.id).mtime))
    assert set(dates) == {0}


def test_files_of_before_are_read(tmp_path):
    """Write files as version 1 did: no frames, no checksums, tables as plain datasets."""
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        common = {"kind": "features", "schema_version": 1, "complete": 1, "index": "0123"}
        file.attrs.update({**MODEL, **common})
        file["features/clean"] = VALUES[0]
        file["samples"] = np.array(
            [(name.encode(), b"x") for name in IDS], dtype=[("id", "S12"), ("path", "S1")]
        )
    assert read_features(path, "clean", expected=MODEL).shape == (N, D)
    assert lpclip.read_frame(path)["id"].tolist() == IDS
    np.testing.assert_array_equal(lpclip.map_features(path), VALUES[0])


def test_frames_hold_no_labels(features):
    """The contents of a feature cache do not depend on labels, which only the index holds."""
    with h5py.File(features) as file:
        names = []
        file.visit(names.append)
    assert names
    assert not [name for name in names if "label" in name]
