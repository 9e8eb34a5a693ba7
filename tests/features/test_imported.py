"""Precomputed features in lpclip's caches: equal up to float16, and stamped with their model."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lpclip.data.index import index_samples
from lpclip.errors import LpclipError
from lpclip.features import imported
from lpclip.features.images import embed_images
from lpclip.features.imported import copy_features, copy_text
from lpclip.features.text import embed_text
from lpclip.models.clip import load_model
from lpclip.models.spec import ModelSpec
from lpclip.storage.hdf5 import open_file, provenance_of, read_provenance
from lpclip.storage.samples import fingerprint, read_samples, write_samples
from lpclip.storage.tables import read_table

N, D = 20, 128
VALUES = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
TINY = ModelSpec("tiny", "lpclip-tiny", "embedded")
SPEC = ModelSpec("mine", "ViT-X", "precomputed")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(imported, "CHUNK_ROWS", 8)


def copied(folder, values=VALUES, model=SPEC, **more):
    path = folder / "f.npz"
    np.savez(path, img=values)
    index_samples(
        output=folder / "s.h5", dataset="d", source={"kind": "features", "path": str(path)}
    )
    arguments = {"path": str(path), "samples": folder / "s.h5", "model": model, **more}
    copy_features(output=folder / "clean.h5", dataset="d", **arguments)
    return folder / "clean.h5"


def copied_text(folder, values=VALUES, model=SPEC, names=None, path=None):
    if path is None:
        path = folder / "t.npy"
        np.save(path, values)
    names = [f"class {row}" for row in range(len(values))] if names is None else names
    copy_text(output=folder / "t.h5", path=str(path), class_names=names, model=model)
    return folder / "t.h5"


def test_the_clean_view_is_the_file_in_float16(tmp_path):
    path = copied(tmp_path)
    with open_file(path, kind="features") as file:
        np.testing.assert_array_equal(file["features/clean"][...], VALUES.astype(np.float16))
        assert list(read_table(file, "samples")["id"])[1] == "row-000001"
        provenance = provenance_of(file)
    assert (provenance["model"], provenance["weights"]) == ("mine", "precomputed")
    index = read_samples(tmp_path / "s.h5", labels=False)
    assert provenance["index"] == fingerprint(index)


def test_text_features_have_unit_length_and_the_models_scale(tmp_path):
    path = copied_text(tmp_path, VALUES.astype(np.float64))
    with open_file(path, kind="text") as file:
        length = np.linalg.norm(VALUES, axis=1, keepdims=True)
        np.testing.assert_allclose(file["features"][...], VALUES / length, rtol=1e-6)
        assert (file.attrs["scale"], file.attrs["bias"]) == (100.0, 0.0)
    model = ModelSpec("mine", "ViT-X", "precomputed", scale=9.0, bias=-3.0)
    provenance = read_provenance(copied_text(tmp_path, model=model))
    assert (provenance["scale"], provenance["bias"]) == (9.0, -3.0)


def test_text_features_that_are_the_same_for_two_classes_are_refused(tmp_path):
    values = VALUES.copy()
    values[7] = 3 * values[2]
    with pytest.raises(LpclipError) as error:
        copied_text(tmp_path, values)
    assert str(error.value).startswith(
        f"{tmp_path / 't.npy'}: 'array': 2 classes have the same text features ('class 2', "
        "'class 7'), so the"
    )
    assert not (tmp_path / "t.h5").exists()


def test_a_real_model_stamps_its_hash_and_refuses_another_width(tmp_path):
    loaded = load_model(TINY, device="cpu")
    values = VALUES[:, : loaded.width]
    assert read_provenance(copied(tmp_path, values, TINY))["weights"] == loaded.weights
    text = read_provenance(copied_text(tmp_path, values, TINY))
    assert (text["weights"], text["scale"]) == (loaded.weights, loaded.scale)
    with pytest.raises(LpclipError, match=rf"width 5, but model 'tiny' makes {loaded.width}"):
        copied(tmp_path, VALUES[:, :5], TINY)


def test_an_lpclip_cache_carries_its_own_weights(tmp_path):
    source = {"kind": "photo_patches", "n": 5}
    index_samples(output=tmp_path / "s.h5", dataset="d", source=source)
    made, text = tmp_path / "made.h5", tmp_path / "text.h5"
    where = {"samples": tmp_path / "s.h5", "dataset": "d"}
    embed_images(output=made, source=source, model=TINY, views={"clean": {}}, **where)
    embed_text(output=text, model=TINY, class_names=["a", "b"], templates=["{}"])
    weights = read_provenance(made)["weights"]
    features = {"kind": "features", "path": str(made)}
    index_samples(output=tmp_path / "s2.h5", dataset="d", source=features)
    where["samples"] = tmp_path / "s2.h5"

    def copy(model):
        copy_features(output=tmp_path / "copy.h5", path=str(made), model=model, **where)
        copied_text(tmp_path, model=model, names=["a", "b"], path=text)
        return [read_provenance(tmp_path / name) for name in ("copy.h5", "t.h5")]

    for model in (SPEC, TINY, ModelSpec("mine", "x", "precomputed", weights=weights)):
        features, copied_names = copy(model)
        assert features["weights"] == copied_names["weights"] == weights
        assert copied_names["scale"] == pytest.approx(read_provenance(text)["scale"])
    with open_file(made) as before, open_file(tmp_path / "copy.h5") as after:
        np.testing.assert_array_equal(before["features/clean"], after["features/clean"])
        assert list(before["samples"]["id"]) == list(after["samples"]["id"])
    with pytest.raises(LpclipError, match=f"weights {weights} of model 'tiny', not 77 of 'mine'"):
        copy(ModelSpec("mine", "x", "precomputed", weights="77"))
    with pytest.raises(
        LpclipError, match=r"has the scale .*, but the model 3\.0\. Leave 'scale' out"
    ):
        copy(ModelSpec("mine", "x", "precomputed", scale=3.0))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.nan, "nan or inf in row 9"),
        (np.inf, "nan or inf in row 9"),
        (0.0, "only zeros in row 9"),
        (1e6, r"too large or too small for float16 \(row 9\)"),
        (1e-9, r"too large or too small for float16 \(row 9\)"),
    ],
)
def test_rows_that_are_no_directions_are_refused(tmp_path, value, sentence):
    values = VALUES.copy()
    values[9] = value
    with pytest.raises(LpclipError, match=sentence):
        copied(tmp_path, values)
    assert not (tmp_path / "clean.h5").exists()
    if abs(value) > 1 or value == 0 or np.isnan(value):
        values[9] = 0.0 if abs(value) == 1e6 else value
        with pytest.raises(LpclipError, match="in row 9"):
            copied_text(tmp_path, values)


def test_rows_and_names_have_to_fit(tmp_path):
    copied(tmp_path)
    np.savez(tmp_path / "f.npz", img=VALUES[:7])
    with pytest.raises(LpclipError, match=r"lists 20 rows, but 'img' in .* has 7"):
        copy_features(
            samples=tmp_path / "s.h5",
            output=tmp_path / "again.h5",
            dataset="d",
            path=str(tmp_path / "f.npz"),
            model=SPEC,
        )
    with pytest.raises(LpclipError, match="'array' has 20 rows for 2 class names"):
        copied_text(tmp_path, names=["a", "b"])


def test_a_limited_dataset_has_the_features_of_its_rows(tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, img=VALUES)
    source = {"kind": "features", "path": str(path)}
    index_samples(output=tmp_path / "s.h5", dataset="d", source=source, limit=11)
    copy_features(
        samples=tmp_path / "s.h5",
        output=tmp_path / "clean.h5",
        dataset="d",
        path=str(path),
        model=SPEC,
    )
    index = read_samples(tmp_path / "s.h5", labels=False)
    rows = [int(sample_id.removeprefix("row-")) for sample_id in index["id"]]
    assert len(rows) == 11
    with open_file(tmp_path / "clean.h5", kind="features") as file:
        found = file["features/clean"][...]
    np.testing.assert_array_equal(found, VALUES[rows].astype(np.float16))


def test_views_of_a_dataset_without_images_are_refused(tmp_path):
    copied(tmp_path)
    with pytest.raises(LpclipError, match="Dataset 'd' holds precomputed features, no images"):
        embed_images(
            samples=tmp_path / "s.h5",
            output=tmp_path / "adapt.h5",
            dataset="d",
            source={"kind": "features", "path": str(tmp_path / "f.npz")},
            model=TINY,
            views={"weak": {"versions": 1}},
        )


def test_nothing_is_embedded_with_a_precomputed_model():
    with pytest.raises(LpclipError, match="Model 'mine' is precomputed"):
        load_model(SPEC)


def test_labels_do_not_change_a_byte_of_the_cache(tmp_path):
    caches = []
    for name, seed in (("a", 0), ("b", 1)):
        folder = tmp_path / name
        folder.mkdir()
        labels = np.random.default_rng(seed).integers(0, 3, N)
        np.savez(folder / "f.npz", img=VALUES, labels=labels)
        source = {"kind": "features", "path": str(folder / "f.npz"), "labels": "labels"}
        index_samples(output=folder / "s.h5", dataset="d", source=source)
        frame = read_samples(folder / "s.h5", labels=True)
        assert list(frame["label"]) == list(labels)
        copy_features(
            samples=folder / "s.h5",
            output=folder / "clean.h5",
            dataset="d",
            path=str(folder / "f.npz"),
            model=SPEC,
        )
        with open_file(folder / "clean.h5") as file:
            caches.append((file["features/clean"][...].tobytes(), file.attrs["index"]))
    assert caches[0] == caches[1]


def test_copying_does_without_torch():
    code = "import sys, lpclip.features.imported; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rows_follow_the_index(tmp_path):
    copied(tmp_path)
    order = np.random.default_rng(1).permutation(N)
    frame = read_samples(tmp_path / "s.h5", labels=True).iloc[order]
    write_samples(tmp_path / "p.h5", pd.DataFrame(frame), {})
    copy_features(
        samples=tmp_path / "p.h5",
        output=tmp_path / "p-clean.h5",
        dataset="d",
        path=str(tmp_path / "f.npz"),
        model=SPEC,
    )
    with open_file(tmp_path / "p-clean.h5") as file:
        np.testing.assert_array_equal(file["features/clean"][...], VALUES.astype("f2")[order])
