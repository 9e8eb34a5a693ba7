"""A DataFrame from every kind of file, and its one-line description."""

import numpy as np
import pandas as pd
import pytest

import lpclip
from lpclip.errors import LpclipError
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.features import normalise, read_features, write_features
from lpclip.storage.frames import read_frame
from lpclip.storage.hdf5 import create
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.samples import fingerprint
from lpclip.storage.tables import write_table

N, C, D = 6, 3, 4
SAMPLES = pd.DataFrame(
    {
        "id": [f"s{i}" for i in range(N)],
        "path": [f"ü/{i}.png" for i in range(N)],
        "label": np.arange(N, dtype=np.int32) % C,
    }
)
MODEL = {"model": "tiny", "weights": "3f9a"}
VALUES = np.random.default_rng(0).normal(size=(4, N, D)).astype(np.float16)


def write_index(path, samples=SAMPLES):
    provenance = {"dataset": "d", "index": fingerprint(samples)}
    with create(path, kind="samples", provenance=provenance) as file:
        write_table(file, "samples", samples)


def write_pseudo_labels(path, samples=SAMPLES):
    provenance = {**MODEL, "index": fingerprint(samples)}
    with create(path, kind="pseudo_labels", provenance=provenance) as file:
        table = pd.DataFrame(
            {
                "id": samples["id"],
                "class_index": np.int32([2, 1, 0, 2, 1, 0]),
                "confidence": np.float32([0.5, 0.75, 1, 0.5, 0.5, 0.5]),
                "selected": [True, True, False, False, True, False],
            }
        )
        write_table(file, "pseudo_labels", table)
        file["probabilities"] = np.full((N, C), 0.25, np.float16)


@pytest.fixture
def folder(tmp_path):
    write_index(tmp_path / "samples.h5")
    write_pseudo_labels(tmp_path / "pseudo_labels.h5")
    write_features(
        tmp_path / "features.h5",
        samples=SAMPLES,
        versions={"clean": 0, "fog": 3},
        parts=[VALUES],
        provenance={**MODEL, "index": fingerprint(SAMPLES)},
    )
    with create(tmp_path / "text.h5", kind="text", provenance=MODEL) as file:
        file["features"] = np.eye(C, D, dtype=np.float32)
        names = pd.DataFrame({"class_index": np.arange(C, dtype=np.int32), "name": ["a", "b", "ç"]})
        write_table(file, "classes", names)
    probes = Probes(
        weight=np.zeros((2, 1, C, D), np.float32),
        bias=np.zeros((2, 1, C), np.float32),
        scale=1.0,
        class_names=("a", "b", "ç"),
        seeds=(0,),
        rounds=rounds_table([Round(0, 0), Round(1, 0, coverage=0.5)]),
    )
    write_probes(tmp_path / "probes.h5", probes, MODEL)
    return tmp_path


def dimensions(frame):
    return frame[[f"d{i}" for i in range(D)]].to_numpy()


def test_a_feature_cache_gives_ids_paths_and_unit_features(folder):
    frame = lpclip.read_frame(str(folder / "features.h5"))
    assert list(frame) == ["id", "path", *(f"d{i}" for i in range(D))]
    assert frame["path"].tolist() == SAMPLES["path"].tolist()
    exact = VALUES[0].astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(dimensions(frame), exact, atol=1e-6)


def test_features_as_the_encoder_gave_them_are_there_for_the_asking(folder):
    raw = read_frame(folder / "features.h5", normalise=False)
    np.testing.assert_array_equal(dimensions(raw), VALUES[0].astype(np.float32))


@pytest.mark.parametrize("version", [0, 2])
def test_a_view_with_versions_gives_the_one_asked_for(folder, version):
    frame = read_frame(folder / "features.h5", view="fog", version=version, normalise=False)
    np.testing.assert_array_equal(dimensions(frame), VALUES[1 + version].astype(np.float32))


def test_labels_and_pseudo_labels_stand_beside_the_features(folder):
    frame = read_frame(
        folder / "features.h5",
        labels=folder / "samples.h5",
        pseudo_labels=folder / "pseudo_labels.h5",
    )
    assert frame["label"].tolist() == SAMPLES["label"].tolist()
    assert frame["pseudo_label"].tolist() == [2, 1, 0, 2, 1, 0]
    assert frame["confidence"].tolist() == [0.5, 0.75, 1, 0.5, 0.5, 0.5]
    assert frame["selected"].dtype == bool
    assert frame["selected"].sum() == 3
    assert list(frame)[-D:] == [f"d{i}" for i in range(D)]


def test_labels_and_pseudo_labels_of_another_index_are_refused(folder):
    other = SAMPLES.assign(id=SAMPLES["id"].iloc[::-1].tolist())
    write_index(folder / "other.h5", other)
    write_pseudo_labels(folder / "other_labels.h5", other)
    with pytest.raises(LpclipError, match=r"other\.h5 belongs to the index [0-9a-f]+, not to"):
        read_frame(folder / "features.h5", labels=folder / "other.h5")
    with pytest.raises(LpclipError, match=r"other_labels\.h5 belongs to the index"):
        read_frame(folder / "features.h5", pseudo_labels=folder / "other_labels.h5")


def test_a_view_or_version_that_is_not_there_is_refused(folder):
    with pytest.raises(LpclipError, match=r"no view 'fgo'\. Did you mean 'fog'"):
        read_frame(folder / "features.h5", view="fgo")
    with pytest.raises(LpclipError, match="view 'fog' has versions 0 to 2, not 3"):
        read_frame(folder / "features.h5", view="fog", version=3)


def test_the_other_kinds_give_their_tables(folder):
    text = read_frame(folder / "text.h5")
    assert text["name"].tolist() == ["a", "b", "ç"]
    np.testing.assert_array_equal(dimensions(text), np.eye(C, D))
    assert read_frame(folder / "samples.h5")["label"].tolist() == SAMPLES["label"].tolist()
    made = read_frame(folder / "pseudo_labels.h5")
    assert list(made)[-C:] == ["p0", "p1", "p2"]
    assert made["selected"].dtype == bool
    assert read_frame(folder / "probes.h5")["coverage"].iloc[1] == 0.5


def test_a_file_of_no_known_kind_is_refused(folder):
    with create(folder / "odd.h5", kind="odd", provenance={}) as file:
        file["x"] = 1
    with pytest.raises(LpclipError, match="holds odd, which cannot be read as a table"):
        read_frame(folder / "odd.h5")


def test_mapped_features_are_those_of_the_file_and_stay_there(tmp_path):
    path = tmp_path / "features.h5"
    provenance = {**MODEL, "index": fingerprint(SAMPLES)}
    versions = {"clean": 0, "strong": 3}
    write_features(path, samples=SAMPLES, versions=versions, parts=[VALUES], provenance=provenance)
    strong = lpclip.map_features(path, view="strong")
    np.testing.assert_array_equal(strong, VALUES[1:])
    np.testing.assert_array_equal(lpclip.map_features(path), VALUES[0])
    assert isinstance(strong, np.memmap)
    assert not strong.flags.writeable
    with pytest.raises(LpclipError, match="has no view 'weak'"):
        lpclip.map_features(path, view="weak")


def test_features_in_chunks_are_mapped_and_read_too(tmp_path):
    path = tmp_path / "features.h5"
    with create(path, kind="features", provenance=MODEL) as file:
        file.create_dataset("features/clean", data=VALUES[0], chunks=(2, D))
    np.testing.assert_array_equal(lpclip.map_features(path), VALUES[0])
    expected = normalise(VALUES[0].astype(np.float32))
    np.testing.assert_array_equal(read_features(path, "clean", expected={}), expected)
