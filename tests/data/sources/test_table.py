"""The source `table`: a table of image files."""

import gzip
import re

import numpy as np
import pandas as pd
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from lpclip.data.base import UNLABELLED
from lpclip.data.registry import open_source
from lpclip.errors import LpclipError


def table(folder, text, name="t.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def source(path, **settings):
    return open_source("table", {"path": str(path), **settings})


def labels(path, **settings):
    return [s.label for s in source(path, label_column="label", **settings).samples()]


def test_rows_are_samples_in_their_order(tmp_path):
    path = table(tmp_path, "path,label\nb/2.png,dog\na/1.png,cat\n/data/x.png,dog\n")
    opened = source(path, label_column="label")
    assert opened.class_names == ["cat", "dog"]
    assert opened.samples() == [
        ("b/2.png", str(tmp_path / "b/2.png"), 1),
        ("a/1.png", str(tmp_path / "a/1.png"), 0),
        ("/data/x.png", "/data/x.png", 1),
    ]


def test_labels_are_read_only_where_they_are_named(tmp_path):
    opened = source(table(tmp_path, "path,label\na.png,cat\n"))
    assert opened.class_names is None
    assert opened.samples()[0].label == UNLABELLED


def test_names_of_columns_and_the_root_can_be_chosen(tmp_path):
    (tmp_path / "images").mkdir()
    path = table(tmp_path, "n,file,what\n7,é b.png,cat\n")
    opened = source(
        path,
        path_column="file",
        label_column="what",
        id_column="n",
        root=str(tmp_path / "images"),
    )
    assert opened.samples() == [("7", str(tmp_path / "images/é b.png"), 0)]


def test_cells_are_text(tmp_path):
    rows = "a,01\nb,1\nc,NA\nd,1.0\ne,null\n"
    opened = source(table(tmp_path, f"path,label\n{rows}"), label_column="label")
    assert opened.class_names == ["01", "1", "1.0", "NA", "null"]


def test_whole_numbers_are_indices(tmp_path):
    path = table(tmp_path, "path,label\na,10\nb,2\nc,-1\nd,\n")
    assert labels(path) == [10, 2, UNLABELLED, UNLABELLED]
    assert source(path, label_column="label").class_names == [str(i) for i in range(11)]
    assert labels(path, class_names=["2", "10", "-1"]) == [1, 0, 2, UNLABELLED]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([2, 0, 1]), [2, 0, 1]),
        (pd.Series([2, None, 1]), [2, UNLABELLED, 1]),
        (pd.Series([2, 0, 1], dtype="uint8"), [2, 0, 1]),
        (pd.Series(["x", "y", "x"], dtype="category"), [0, 1, 0]),
        (pd.Series(["01", None, "1"]), [0, UNLABELLED, 1]),
    ],
)
def test_parquet_keeps_its_types(tmp_path, column, expected):
    frame = pd.DataFrame({"path": ["a", "b", "c"], "label": column, "n": [5, 6, 7]})
    frame.to_parquet(tmp_path / "t.parquet")
    assert labels(tmp_path / "t.parquet") == expected
    opened = source(tmp_path / "t.parquet", id_column="n")
    assert [sample.id for sample in opened.samples()] == ["5", "6", "7"]


def test_a_parquet_file_may_have_its_paths_as_an_index(tmp_path):
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["x", "y"]})
    frame.set_index("path").to_parquet(tmp_path / "t.parquet")
    assert labels(tmp_path / "t.parquet") == [0, 1]


def test_tabs_compression_and_a_byte_order_mark_are_understood(tmp_path):
    assert labels(table(tmp_path, "path\tlabel\na, b.png\tcat\n", "t.tsv")) == [0]
    assert labels(table(tmp_path, "\ufeffpath,label\na.png,cat\n")) == [0]
    (tmp_path / "z.csv.gz").write_bytes(gzip.compress(b"path,label\na.png,cat\n"))
    assert labels(tmp_path / "z.csv.gz") == [0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_encodings_of_spreadsheets_are_understood(tmp_path, separator, encoding):
    plain = "path,label\né.png,cat\nb.png,dog\n".replace(",", separator)
    quoted = re.sub(r"[^\n" + separator + r"]+", r'"\g<0>"', plain)
    for name, text in (("t.csv", plain), ("t.txt", plain), ("quoted.csv", quoted)):
        (tmp_path / name).write_text(text, encoding=encoding)
        opened = source(tmp_path / name, label_column="label")
        assert [(s.id, s.label) for s in opened.samples()] == [("é.png", 0), ("b.png", 1)]


def test_a_list_of_paths_and_labels_is_a_table(tmp_path):
    path = table(tmp_path, "a/1.JPEG 65\na/2.JPEG 0\n", "val.txt")
    assert labels(path) == [65, 0]
    assert source(path).class_names is None
    assert source(path).samples()[0] == ("a/1.JPEG", str(tmp_path / "a/1.JPEG"), UNLABELLED)
    named = table(tmp_path, "a 1.png\tbig dog\nb.png\tcat\n", "val.lst")
    assert labels(named, class_names=["big dog", "cat"]) == [0, 1]
    with pytest.raises(LpclipError, match=r"val\.txt has no column 'class'"):
        source(path, label_column="class")
    with pytest.raises(LpclipError, match=r"only\.txt has no column 'label'\. Available: path"):
        labels(table(tmp_path, "a.png\nb.png\n", "only.txt"))


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([{"bytes": b"x" * 99, "path": "a.png"}], r"structures \(bytes, path\)"),
        ([["a.png"]], "lists"),
        ([b"a.png"], "bytes"),
    ],
)
def test_a_parquet_column_that_holds_no_paths_is_refused(tmp_path, column, kind):
    frame = pd.DataFrame({"image": column, "label": [0], "path": "a.png"})
    frame.to_parquet(tmp_path / "t.parquet")
    sentence = f"column 'image' holds {kind}.*kind: huggingface"
    with pytest.raises(LpclipError, match=f"{sentence}"):
        source(tmp_path / "t.parquet", path_column="image")
    with pytest.raises(LpclipError, match=sentence):
        source(tmp_path / "t.parquet", label_column="image")
    assert len(source(tmp_path / "t.parquet", label_column="label").samples()) == 1


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(LpclipError, match="has the column 'label' twice, in places 2 and 4"):
        labels(table(tmp_path, "path,label,n,label\na,x,1,y\n"))
    assert len(source(table(tmp_path, "path,n,n\na,1,2\n")).samples()) == 1
    columns = pyarrow.table([["a"], ["x"], ["y"]], names=["path", "label", "label"])
    parquet.write_table(columns, tmp_path / "t.parquet")
    with pytest.raises(LpclipError, match="has the column 'label' twice, in places 2 and 3"):
        labels(tmp_path / "t.parquet")


def test_the_pixels_are_those_of_the_file(tmp_path):
    Image.new("RGB", (3, 2), (1, 2, 3)).save(tmp_path / "x.png")
    opened = source(table(tmp_path, "path\nx.png\n"))
    assert np.asarray(opened.read(opened.samples()[0].path)).tolist() == [[[1, 2, 3]] * 3] * 2


def test_the_table_is_named_for_the_workflow(tmp_path):
    path = table(tmp_path, "path\nx.png\n")
    assert source(path).files() == [path]


@pytest.mark.parametrize(
    ("text", "settings", "sentence"),
    [
        ("path,lable\n", {"label_column": "label"}, "no column 'label'. Did you mean 'lable'"),
        ("file\n", {}, "t.csv has no column 'path'. Available: file."),
        ("path\n", {"root": "gone"}, "the folder 'gone' does not exist. Check 'root'"),
        ("path\n", {"labels": "x"}, "no setting 'labels'"),
        ("", {}, "t.csv cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path, text, settings, sentence):
    with pytest.raises(LpclipError) as error:
        source(table(tmp_path, text), **settings)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("rows", "settings", "sentence"),
    [
        ("a,x\nb,x\na,y\n", {}, "rows 1 and 3 have the same path 'a'"),
        ("a,x\nb,x\n", {"id_column": "label"}, "rows 1 and 2 have the same label 'x'"),
        ("a,x\n,y\n", {}, "column 'path' is empty in row 2 (of 1 such rows)"),
        ("a,x\nb,\n", {"id_column": "label"}, "column 'label' is empty in row 2"),
        ("a,cat\nb,dog\n", {"class_names": ["cats", "dog"]}, "'cat', which is no class name"),
        ("a,0\nb,2\n", {"class_names": ["cat", "dog"]}, "labels 0 to 2, but there are 2 class"),
        ("a,x\nb, c,x\n", {}, "t.csv cannot be read"),
        ("a,b,x\n", {}, "t.csv cannot be read: line 2 has 3 cells, but the first line 2"),
        ("a,x\nb\n", {}, "t.csv cannot be read: line 3 has 1 cells, but the first line 2"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, rows, settings, sentence):
    opened = source(table(tmp_path, f"path,label\n{rows}"), **{"label_column": "label", **settings})
    with pytest.raises(LpclipError) as error:
        opened.samples()
    assert sentence in str(error.value)


def test_class_names_are_unique(tmp_path):
    path = table(tmp_path, "path,label\na,x\n")
    with pytest.raises(LpclipError, match="class_names has a name twice"):
        source(path, label_column="label", class_names=["x", "x"]).class_names  # noqa: B018


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.csv.gz"])
def test_rubbish_is_refused_by_its_path(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(128, 256)) * 9)
    with pytest.raises(LpclipError, match=rf"{name} cannot be read"):
        source(tmp_path / name)


def test_a_table_that_is_not_there_or_of_no_known_format_is_refused(tmp_path):
    with pytest.raises(LpclipError, match=r"gone\.csv' does not exist\. Check 'path'"):
        source(tmp_path / "gone.csv")
    with pytest.raises(LpclipError, match=r"t\.xlsx has no suffix of a known format"):
        source(table(tmp_path, "path\n", "t.xlsx"))
