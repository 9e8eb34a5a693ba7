"""The index: its rows, and that later stages follow it."""

import io
import json
import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lpclip.data.index import index_samples
from lpclip.data.subsets import Stratified
from lpclip.errors import LpclipError
from lpclip.storage.hdf5 import open_file, read_provenance
from lpclip.storage.samples import fingerprint, read_samples


def save(path, colour=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), (colour, colour, colour)).save(path)


@pytest.fixture
def root(tmp_path):
    """Ten images in each of three classes; every fourth is unreadable."""
    for label, name in enumerate(("ant", "bee", "cat")):
        for number in range(10):
            path = tmp_path / f"set/{name}/{number}.png"
            save(path, colour=10 * label + number)
            if number % 4 == 1:
                path.write_bytes(path.read_bytes()[:40])
    return tmp_path / "set"


def index(root, name="samples.h5", **settings):
    output = root.parent / name
    source = {"kind": "folder", "root": str(root)}
    index_samples(output=output, dataset="d", source=source, **settings)
    return output


def rows(path):
    return read_samples(path, labels=True)


def test_by_default_every_image_has_a_row_and_none_is_read(root):
    path = index(root)
    assert len(rows(path)) == 30
    with open_file(path) as file:
        assert "skipped" not in file


@pytest.mark.parametrize("workers", [0, 2])
def test_labels_stay_with_their_images_when_others_are_skipped(root, workers):
    found = rows(index(root, on_bad_image="skip", workers=workers))
    assert list(found["id"]) == [
        f"{name}/{n}.png" for name in ("ant", "bee", "cat") for n in (0, 2, 3, 4, 6, 7, 8)
    ]
    for row in found.itertuples():
        colour = np.asarray(Image.open(row.path))[0, 0, 0]
        assert colour == 10 * row.label + int(row.id[-5])


def test_skipped_images_are_in_a_table_with_their_reasons(root):
    path = index(root, on_bad_image="skip")
    table = pd.read_hdf(path, "skipped")
    assert list(table["id"]) == [f"{c}/{n}.png" for c in ("ant", "bee", "cat") for n in (1, 5, 9)]
    assert list(table["path"]) == [str(root / name) for name in table["id"]]
    assert all(table["reason"].str.len() > 0)
    assert read_provenance(path)["listed"] == 30


def test_workers_do_not_change_a_byte(root):
    one = index(root, "1.h5", on_bad_image="skip")
    assert one.read_bytes() == index(root, "2.h5", on_bad_image="skip", workers=2).read_bytes()


def test_without_bad_images_skip_gives_the_same_rows(root):
    for path in root.rglob("*.png"):
        save(path)
    skip, error = index(root, "1.h5", on_bad_image="skip"), index(root, "2.h5")
    pd.testing.assert_frame_equal(rows(skip), rows(error))
    assert read_provenance(skip)["index"] == read_provenance(error)["index"]
    assert len(pd.read_hdf(skip, "skipped")) == 0


def test_the_fingerprint_is_that_of_the_rows(root):
    path = index(root, on_bad_image="skip")
    found = read_provenance(path)["index"]
    assert found == fingerprint(rows(path))
    assert found != read_provenance(index(root, "2.h5"))["index"]


def test_nothing_left_is_an_error_that_says_why(root):
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(LpclipError) as error:
        index(root, on_bad_image="skip")
    text = str(error.value)
    assert text.startswith("30 images cannot be read, among them:\n")
    assert text.count("(the file is empty)") == 10
    assert text.endswith("No image of the dataset 'd' is left.")
    assert not (root.parent / "samples.h5").exists()


def test_a_limit_and_strata_are_drawn_before_anything_is_read(root):
    few = rows(index(root, limit=7))
    assert len(few) == 7
    kept = rows(index(root, "2.h5", limit=7, on_bad_image="skip"))
    assert set(kept["id"]) <= set(few["id"])
    each = rows(index(root, "3.h5", stratified=Stratified(per_class=2)))
    assert list(each["label"]) == [0, 0, 1, 1, 2, 2]


def test_another_seed_draws_others(root):
    assert list(rows(index(root, limit=7))["id"]) != list(rows(index(root, limit=7, seed=1))["id"])


def test_strata_need_labels(tmp_path):
    save(tmp_path / "set/a.png")
    source = {"kind": "folder", "root": str(tmp_path / "set"), "labelled": False}
    with pytest.raises(LpclipError, match="no labels to be stratified by"):
        index_samples(
            output=tmp_path / "s.h5",
            dataset="d",
            source=source,
            stratified=Stratified(share=0.5),
        )


def test_a_class_map_renames_classes_and_moves_labels(root):
    class_map = {"ant": "insect", "bee": "insect", "cat": "mammal"}
    path = index(root, class_map=class_map)
    assert json.loads(read_provenance(path)["class_names"]) == ["insect", "mammal"]
    assert list(rows(path)["label"]) == [0] * 20 + [1] * 10


def test_names_that_no_text_can_hold_are_refused_or_skipped(root):
    odd = bytes(root) + b"/ant/caf\xe9.png"
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write((root / "ant/0.png").read_bytes())
    with pytest.raises(LpclipError, match=r"ant/caf\\udce9\.png cannot be read .*not UTF-8"):
        index(root)
    path = index(root, on_bad_image="skip")
    assert len(rows(path)) == 21
    table = pd.read_hdf(path, "skipped").set_index("id")
    assert table.loc["ant/caf\\udce9.png", "reason"] == "its name is not UTF-8"


@pytest.mark.parametrize("pooled", [False, True])
def test_incomplete_samples_of_shards_are_refused_or_skipped_and_recorded(tmp_path, pooled):
    save(tmp_path / "x.png")
    image = (tmp_path / "x.png").read_bytes()
    members = {"0.png": image, "0.cls": b"ant", "1.cls": b"bee", "2.png": image}
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    source = {
        "kind": "webdataset",
        "shards": str(tmp_path / "x.tar"),
        "label": "cls",
        "class_names": ["ant", "bee"],
    }
    if pooled:
        source = {"kind": "pool", "parts": [{"source": source, "classes": ["ant"]}]}
    settings = {"output": tmp_path / "s.h5", "dataset": "d", "source": source}
    settings["class_map"] = {"ant": "insect", "bee": "insect"}
    with pytest.raises(LpclipError) as error:
        index_samples(**settings)
    text = str(error.value)
    assert "sample '1' has no image among its members cls. Of 3 samples, 2 are incomplete." in text
    assert "set on_bad_image: skip for the dataset 'd'" in text
    index_samples(**settings, on_bad_image="skip")
    assert list(rows(tmp_path / "s.h5")["id"]) == ["x/0"]
    skipped = pd.read_hdf(tmp_path / "s.h5", "skipped")
    assert list(skipped["id"]) == ["x/1", "x/2"]
    assert "has no image" in skipped["reason"][0]
    assert "has no member 'cls' for its label" in skipped["reason"][1]
