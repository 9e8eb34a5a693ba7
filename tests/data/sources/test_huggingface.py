"""The source `huggingface`: image sets of the datasets library, from generated files."""

import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from lpclip.data.base import UNLABELLED
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError, LpclipError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def png(red):
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (red, 2, 3)).save(buffer, "png")
    return buffer.getvalue()


def table(labels=(1, 0, 1), feature=None, **more):
    n = len(labels)
    columns = {"image": [{"bytes": png(row), "path": None} for row in range(n)], **more}
    label = feature or datasets.ClassLabel(names=["ant", "bee"])
    features = {"image": datasets.Image(), "label": label}
    features |= {name: datasets.Value("string") for name in more}
    return datasets.Dataset.from_dict(
        {**columns, "label": list(labels)}, features=datasets.Features(features)
    )


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "test"):
        for row, name in enumerate(["bee", "ant", "bee"]):
            path = tmp_path / "set" / split / name / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(row))
    return tmp_path / "set"


def source(path, **settings):
    return open_source("huggingface", {"path": str(path), **settings})


def labels(path, **settings):
    return [sample.label for sample in source(path, label_column="label", **settings).samples()]


def red(opened):
    return [int(np.asarray(opened.read(s.path))[0, 0, 0]) for s in opened.samples()]


def test_a_set_saved_to_disk_has_its_images_labels_and_names(tmp_path):
    table().save_to_disk(tmp_path / "disk")
    opened = source(tmp_path / "disk", label_column="label")
    assert opened.class_names == ["ant", "bee"]
    assert opened.samples()[2] == ("row-000002", f"{tmp_path / 'disk'}[2]", 1)
    assert [sample.label for sample in opened.samples()] == [1, 0, 1]
    assert red(opened) == [0, 1, 2]


def test_a_parquet_file_has_them_as_well(tmp_path):
    table().to_parquet(tmp_path / "x.parquet")
    assert red(source(tmp_path / "x.parquet")) == [0, 1, 2]
    assert labels(tmp_path / "x.parquet") == [1, 0, 1]


def test_a_folder_of_images_and_one_of_parquet_files_have_them_as_well(folder, tmp_path):
    assert red(source(folder, split="test")) == [1, 0, 2]
    assert labels(folder, split="test") == [0, 1, 1]
    (tmp_path / "parquet").mkdir()
    table().to_parquet(tmp_path / "parquet/train.parquet")
    assert red(source(tmp_path / "parquet")) == [0, 1, 2]


def test_images_may_be_bytes_without_any_declaration(tmp_path):
    datasets.Dataset.from_dict({"jpg": [png(4), png(5)]}).to_parquet(tmp_path / "x.parquet")
    assert red(source(tmp_path / "x.parquet", image_column="jpg")) == [4, 5]


def test_a_choice_of_rows_keeps_its_order(tmp_path):
    table().select([2, 0]).save_to_disk(tmp_path / "disk")
    assert red(source(tmp_path / "disk")) == [2, 0]
    assert labels(tmp_path / "disk") == [1, 1]


def test_without_a_column_of_labels_the_set_is_unlabelled(tmp_path):
    table().save_to_disk(tmp_path / "disk")
    assert source(tmp_path / "disk").class_names is None
    assert {sample.label for sample in source(tmp_path / "disk").samples()} == {UNLABELLED}


@pytest.mark.parametrize(
    ("values", "feature", "names", "expected"),
    [
        ([1, None, 0], None, None, [1, UNLABELLED, 0]),
        ([1, -1, 0], None, ["x", "y"], [1, UNLABELLED, 0]),
        ([3, None, 0], "int64", None, [3, UNLABELLED, 0]),
        (["b", None, "a"], "string", None, [1, UNLABELLED, 0]),
        (["b", "a", "a"], "string", ["b", "c", "a"], [0, 2, 2]),
        (["2", "0", "1"], "string", None, [2, 0, 1]),
    ],
)
def test_labels_are_class_labels_numbers_or_text(tmp_path, values, feature, names, expected):
    table(values, feature and datasets.Value(feature)).save_to_disk(tmp_path / "disk")
    assert labels(tmp_path / "disk", class_names=names) == expected
    if names:
        assert source(tmp_path / "disk", label_column="label", class_names=names).class_names == (
            names
        )


def test_a_row_without_an_image_is_named(tmp_path):
    images = datasets.Features({"image": datasets.Image()})
    rows = [{"bytes": png(0), "path": None}, None, {"bytes": b"rubbish", "path": "x.png"}]
    rows.append({"bytes": b"", "path": "x.png"})
    datasets.Dataset.from_dict({"image": rows}, features=images).save_to_disk(tmp_path / "d")
    opened = source(tmp_path / "d")
    for row, reason in (
        (1, "the row has no image"),
        (2, "not an image of a known format, but a text file"),
        (3, "the file is empty"),
    ):
        sentence = f"{tmp_path / 'd'}[{row}] cannot be read as an image ({reason})"
        with pytest.raises(BadImageError, match=re.escape(sentence)):
            opened.read(opened.samples()[row].path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "has several splits. Name one as 'split'. Available: test, train."),
        ({"split": "tset"}, "has no split 'tset'. Did you mean 'test'"),
        ({"split": "test", "image_column": "img"}, "has no column 'img'. Did you mean 'image'"),
        ({"split": "test", "image_column": "label"}, "column 'label' holds no images, but Class"),
        ({"split": "test", "label_column": "lable"}, "has no column 'lable'. Did you mean 'label'"),
        (
            {"split": "test", "label_column": "label", "class_names": ["a"]},
            "labels 0 to 1, but there are 1 class names",
        ),
        ({"split": "test", "label_column": "image"}, "but labels are whole numbers or text"),
    ],
)
def test_what_a_set_does_not_have_is_refused(folder, settings, sentence):
    with pytest.raises(LpclipError, match=re.escape(sentence)):
        source(folder, **settings).samples()


def test_a_split_of_a_set_that_is_one_split_is_refused(tmp_path):
    table().save_to_disk(tmp_path / "disk")
    with pytest.raises(LpclipError, match=r"is one split .*, not 'test'"):
        source(tmp_path / "disk", split="test").samples()


def test_labels_that_are_fractions_are_refused(tmp_path):
    table([0.5, 1.0, 2.0], datasets.Value("float32")).save_to_disk(tmp_path / "disk")
    with pytest.raises(LpclipError, match=r"holds 0\.5, but labels are whole numbers or text"):
        labels(tmp_path / "disk")


@pytest.mark.parametrize("path", ["./gone", "/gone/set", "a/b/c", "gone.parquet/", "../x"])
def test_a_path_that_is_no_file_and_no_name_on_the_hub_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LpclipError, match=r"does not exist\. Check 'path'"):
        source(path)


def test_without_a_network_a_name_on_the_hub_is_a_sentence():
    with pytest.raises(LpclipError, match=r"'org/nothing' cannot be loaded .*Without a network"):
        source("org/nothing").samples()


@pytest.mark.parametrize("name", ["x.parquet", "x.py", "x.csv"])
def test_rubbish_is_refused_by_its_path(tmp_path, name):
    (tmp_path / name).write_bytes(b"print('not run')")
    with pytest.raises(LpclipError, match=rf"{name}' cannot be loaded .* Is it a whole set"):
        source(tmp_path / name).samples()


def test_code_beside_a_set_is_not_run(tmp_path):
    folder = tmp_path / "evil"
    folder.mkdir()
    table().to_parquet(folder / "train.parquet")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(LpclipError, match=r"evil' cannot be loaded .*scripts are no longer"):
        source(folder).samples()
    assert not (tmp_path / "ran").exists()


def test_without_the_library_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(LpclipError, match=r"pip install 'lpclip\[huggingface\]'"):
        source(tmp_path)


@pytest.mark.parametrize("row", ["", "[3]", "[-1]"])
def test_a_path_that_is_no_row_is_refused(tmp_path, row):
    table().save_to_disk(tmp_path / "disk")
    with pytest.raises(LpclipError, match="There is no image"):
        source(tmp_path / "disk").read(f"{tmp_path / 'disk'}{row}")
