"""HDF5 files: round trip, equal contents give equal bytes, wrong files are rejected."""

import shutil
import warnings
from contextlib import suppress
from itertools import pairwise

import h5py
import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.storage import features
from lpclip.storage.features import normalise, read_features
from lpclip.storage.features import write_features as stored_write_features
from lpclip.storage.hdf5 import SCHEMA_VERSION, create, open_file, read_provenance
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.storage.tables import read_table, write_table

SAMPLES = pd.DataFrame(
    {
        "id": ["a", "ünï", "数字-3"],
        "path": ["x/a.png", "Bilder/grün.png", "画像/三.png"],
        "label": np.array([2, -1, 0], dtype=np.int32),
    }
)
PROVENANCE = {"model": "tiny", "weights": "3f9a", "seed": 3, "scale": 12.5}


def write_samples(path, frame=SAMPLES, **provenance):
    with create(path, kind="samples", provenance={**PROVENANCE, **provenance}) as file:
        write_table(file, "samples", frame)
    return path


def write_features(path, parts, versions, n=5, **provenance):
    samples = pd.DataFrame({"id": [f"s{i}" for i in range(n)], "path": [f"{i}" for i in range(n)]})
    stored_write_features(
        path,
        samples=samples,
        versions=versions,
        parts=parts,
        provenance={**PROVENANCE, **provenance},
    )
    return path


@pytest.fixture
def samples_file(tmp_path):
    return write_samples(tmp_path / "samples.h5")


def test_pandas_opens_a_table_with_any_script_in_its_paths(samples_file):
    frame = pd.read_hdf(samples_file, "samples")
    assert frame["path"].tolist() == SAMPLES["path"].tolist()
    assert frame["id"].tolist() == SAMPLES["id"].tolist()
    assert frame["label"].tolist() == [2, -1, 0]


def test_a_table_comes_back_with_its_types(tmp_path):
    frame = SAMPLES.assign(confidence=np.float32([0.25, 0.5, 1]), selected=[True, False, True])
    path = write_samples(tmp_path / "t.h5", frame)
    with open_file(path) as file:
        found = read_table(file, "samples")
    assert found["selected"].dtype == bool
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)
    assert (found["label"].dtype, found["confidence"].dtype) == (np.int32, np.float32)


def test_an_empty_table_is_written_and_opened_by_pandas(tmp_path):
    path = write_samples(tmp_path / "empty.h5", SAMPLES.iloc[:0])
    assert len(read_samples(path, labels=True)) == 0
    frame = pd.read_hdf(path, "samples")
    assert (len(frame), list(frame)) == (0, ["id", "path", "label"])


def test_a_table_of_empty_texts_is_written(tmp_path):
    path = write_samples(tmp_path / "t.h5", SAMPLES.assign(path=""))
    assert read_samples(path, labels=False)["path"].tolist() == ["", "", ""]


def test_labels_are_read_only_where_they_are_asked_for(samples_file):
    assert list(read_samples(samples_file, labels=False)) == ["id", "path"]
    assert list(read_samples(samples_file, labels=True)) == ["id", "path", "label"]


def test_the_fingerprint_follows_ids_paths_and_order_but_not_labels():
    same = fingerprint(SAMPLES)
    assert fingerprint(SAMPLES.assign(label=1)) == same
    assert fingerprint(SAMPLES[["id", "path"]]) == same
    assert fingerprint(SAMPLES.iloc[::-1]) != same
    assert fingerprint(SAMPLES.assign(path="x")) != same
    assert fingerprint(SAMPLES.assign(id=["a", "b", "c"])) != same


def test_features_of_several_parts_come_back_in_two_and_three_dimensions(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float16)
    path = write_features(
        tmp_path / "f.h5", [values[:, :2], values[:, 2:]], {"clean": 0, "strong": 3}
    )
    clean = read_features(path, "clean", expected={})
    strong = read_features(path, "strong", expected={})
    assert (clean.shape, strong.shape, clean.dtype) == ((5, 6), (3, 5, 6), np.float32)
    exact = values.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=-1, keepdims=True)
    np.testing.assert_allclose(clean, exact[0], atol=1e-6)
    np.testing.assert_allclose(strong, exact[1:], atol=1e-6)


def test_features_are_stored_as_the_encoder_gave_them(tmp_path):
    values = np.random.default_rng(0).normal(size=(1, 5, 6)).astype(np.float16)
    path = write_features(tmp_path / "f.h5", [values], {"clean": 0})
    with h5py.File(path) as file:
        assert file["features/clean"].dtype == np.float16
        np.testing.assert_array_equal(file["features/clean"][...], values[0])


def test_a_row_of_zeros_stays_zero():
    np.testing.assert_array_equal(
        normalise(np.float32([[0, 0], [3, 4]])), np.float32([[0, 0], [0.6, 0.8]])
    )


def test_rows_missing_from_the_parts_leave_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="4 rows of features for 5"):
        write_features(tmp_path / "f.h5", [np.ones((1, 4, 3), np.float16)], {"clean": 0})
    assert list(tmp_path.iterdir()) == []


def test_equal_contents_are_equal_bytes(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 5, 6)).astype(np.float16)
    versions = {"clean": 0, "weak": 2}
    one = write_features(tmp_path / "one.h5", [values], versions)
    two = write_features(tmp_path / "two.h5", [values[:, :3], values[:, 3:]], versions)
    other = write_features(tmp_path / "other.h5", [values], versions, weights="77c1")
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes() != other.read_bytes()
    frames = [write_samples(tmp_path / f"s{i}.h5").read_bytes() for i in range(2)]
    assert frames[0] == frames[1]


def test_provenance_comes_back_as_plain_values(samples_file):
    assert read_provenance(samples_file, kind="samples") == PROVENANCE


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(LpclipError, match=r"gone\.h5 does not exist\. Run Snakemake"):
        read_provenance(tmp_path / "gone.h5")


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.9])
def test_a_truncated_file_is_refused(samples_file, share):
    content = samples_file.read_bytes()
    samples_file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(LpclipError, match=r"samples\.h5 is truncated\. Copy or download it"):
        read_samples(samples_file, labels=True)


def test_a_text_file_is_refused(samples_file):
    samples_file.write_text("id,path\n" * 200)
    with pytest.raises(
        LpclipError, match=r"is a CSV file, not an index of images\. Name a file such as"
    ):
        read_samples(samples_file, labels=True)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_broken_file_is_made_again_and_nothing_is_ever_deleted(samples_file, share):
    content = samples_file.read_bytes()
    samples_file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        LpclipError, match=r"again with --forcerun .*samples\.h5 \(before its --\)\.$"
    ):
        read_provenance(samples_file)
    other = samples_file.rename(samples_file.with_name("README.md"))
    found = (
        r"truncated\. Copy or download it again\." if share else "an empty file, not an HDF5 file"
    )
    with pytest.raises(LpclipError, match=rf"README\.md is {found}") as error:
        read_provenance(other)
    assert "--forcerun" not in str(error.value)


def test_an_hdf5_file_of_another_program_is_refused(tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["samples"] = np.arange(3)
    with pytest.raises(LpclipError, match="is an HDF5 file of another program"):
        read_provenance(tmp_path / "foreign.h5")


def test_a_file_whose_writer_was_stopped_is_refused(samples_file):
    with h5py.File(samples_file, "r+") as file:
        del file.attrs["complete"]
    with pytest.raises(LpclipError, match="is not complete: its writer was stopped"):
        read_provenance(samples_file)


def test_a_file_of_another_kind_is_refused(samples_file):
    with pytest.raises(LpclipError, match="is an index of images of lpclip, not a feature cache"):
        read_features(samples_file, "clean", expected={})


def test_a_file_of_another_schema_version_is_refused(samples_file):
    with h5py.File(samples_file, "r+") as file:
        file.attrs["schema_version"] = 7
    with pytest.raises(LpclipError, match=f"has schema version 7; .* reads {SCHEMA_VERSION}"):
        read_provenance(samples_file)


def test_a_cache_of_other_weights_is_refused_with_both_values(tmp_path):
    path = write_features(tmp_path / "f.h5", [np.ones((1, 5, 3), np.float16)], {"clean": 0})
    with pytest.raises(LpclipError, match="made with weights '3f9a', not '77c1'"):
        read_features(path, "clean", expected={"model": "tiny", "weights": "77c1"})
    with pytest.raises(LpclipError, match="made with index 'unknown', not 'x'"):
        read_features(path, "clean", expected={"index": "x"})
    assert len(read_features(path, "clean", expected={"weights": "3f9a"})) == 5


def test_a_view_that_is_not_there_is_refused_with_the_nearest(tmp_path):
    path = write_features(tmp_path / "f.h5", [np.ones((1, 5, 3), np.float16)], {"clean": 0})
    with pytest.raises(LpclipError, match=r"no view 'clena'\. Did you mean 'clean'"):
        read_features(path, "clena", expected={})


def test_a_writer_that_fails_leaves_the_old_file_as_it_was(samples_file):
    before = samples_file.read_bytes()
    with (
        suppress(ZeroDivisionError),
        create(samples_file, kind="samples", provenance={}) as file,
    ):
        file["half"] = np.arange(10)
        raise ZeroDivisionError
    assert samples_file.read_bytes() == before
    assert list(samples_file.parent.iterdir()) == [samples_file]


def test_a_cache_larger_than_the_disk_is_refused_before_it_is_begun(tmp_path, monkeypatch):
    full = type("usage", (), {"free": 10})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(LpclipError, match="the disk is full"):
        write_features(tmp_path / "f.h5", [np.ones((1, 5, 3), np.float16)], {"clean": 0})
    assert list(tmp_path.iterdir()) == []


def test_pandas_opens_a_feature_cache_without_a_warning(tmp_path):
    path = write_features(tmp_path / "f.h5", [np.ones((1, 5, 3), np.float16)], {"clean": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pd.read_hdf(path, "samples")["id"].tolist() == ["s0", "s1", "s2", "s3", "s4"]


def test_many_small_parts_of_unequal_size_are_written_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_WRITE_BYTES", 100)  # a row is 4 x 6 x 2 = 48 bytes
    values = np.random.default_rng(0).normal(size=(4, 12, 6)).astype(np.float16)
    cuts = [0, 1, 2, 5, 6, 7, 8, 12]
    parts = [values[:, start:stop] for start, stop in pairwise(cuts)]
    path = write_features(tmp_path / "f.h5", parts, {"strong": 3, "clean": 0}, n=12)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["features/strong"][...], values[:3])
        np.testing.assert_array_equal(file["features/clean"][...], values[3])


def test_every_half_precision_number_is_read_exactly(tmp_path):
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(1, -1, 2)
    path = write_features(tmp_path / "f.h5", [finite], {"clean": 0}, n=finite.shape[1])
    expected = normalise(finite[0].astype(np.float32))
    found = read_features(path, "clean", expected={})
    np.testing.assert_array_equal(found, expected)
