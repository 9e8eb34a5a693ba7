"""Text tables in common encodings, separators and list formats; nothing is guessed."""

import bz2
import gzip
import lzma

import pytest

from lpclip.errors import LpclipError
from lpclip.storage.text_tables import read_columns, read_header, read_list, read_text

ROWS = 'path,label\n"a, b.png",Löwe\nc.png,01\n'
EXPECTED = {"path": ["a, b.png", "c.png"], "label": ["Löwe", "01"]}


def columns(path, names=("path", "label")):
    return read_columns(path, read_header(path, names), names)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encoding_and_separator_are_seen_from_the_file(tmp_path, encoding, separator):
    text = ROWS.replace(",", separator).replace("\n", "\r\n")
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    expected = {**EXPECTED, "path": [f"a{separator} b.png", "c.png"]}
    assert columns(tmp_path / "t.csv") == expected
    assert read_text(tmp_path / "t.csv") == text


@pytest.mark.parametrize(("ending", "module"), [("gz", gzip), ("bz2", bz2), ("xz", lzma)])
def test_compressed_tables_are_read_and_cut_ones_refused(tmp_path, ending, module):
    path = tmp_path / f"t.csv.{ending}"
    path.write_bytes(module.compress(ROWS.encode()))
    assert columns(path) == EXPECTED
    path.write_bytes(module.compress(ROWS.encode())[:-9])
    with pytest.raises(LpclipError, match=r"t\.csv\.\w+ cannot be read"):
        columns(path)


def test_the_needed_names_decide_the_separator(tmp_path):
    (tmp_path / "t.csv").write_text("path;a,b\nx.png;1,2\n")
    assert read_header(tmp_path / "t.csv", ["path"]).names == ["path", "a,b"]
    with pytest.raises(LpclipError, match="first line has commas and semicolons, each of which"):
        read_header(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,label,path\na,x,b\n", "has the column 'path' twice, in places 1 and 3"),
        ("path,label\na,x\nb\n", "line 3 has 1 cells, but the first line 2. Put a cell that holds"),
        ("path,label\na,x,y\n", "line 2 has 3 cells, but the first line 2"),
        ('path,label\na,"x\n', "line 2: unexpected end of data"),
        ("path,label\na,x\0\n", "line 2 has zero bytes. Save it as UTF-8"),
        ("pfad,label\na,x\n", "has no column 'path'"),
        ("", "it is empty"),
    ],
)
def test_what_is_no_table_is_refused_by_line(tmp_path, text, sentence):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(LpclipError) as error:
        columns(tmp_path / "t.csv")
    assert str(error.value).startswith(str(tmp_path / "t.csv"))
    assert sentence in str(error.value)


def test_text_of_unknown_encoding_is_refused(tmp_path):
    for name, data in (("latin", "Löwe".encode("latin-1")), ("cut", b"\xff\xfea")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(
            LpclipError, match=r"cannot be read as text .* UTF-16 with a byte order"
        ):
            read_text(tmp_path / name)
    (tmp_path / "t.csv").write_bytes("path,label\n".encode("utf-16-le"))
    with pytest.raises(LpclipError, match="line 1 has zero bytes"):
        columns(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.png 3\n\nb.png  -1\n", {"path": ["a.png", "b.png"], "label": ["3", "-1"]}),
        ("my cat.png\tbig cat \n", {"path": ["my cat.png"], "label": ["big cat"]}),
        ("a.png\nb.png", {"path": ["a.png", "b.png"]}),
        ("path label\na.png x\n", {"path": ["a.png"], "label": ["x"]}),
        ("", {"path": [], "label": []}),
    ],
)
def test_a_list_is_paths_with_or_without_labels(tmp_path, text, expected):
    (tmp_path / "l.txt").write_text(text)
    assert read_list(tmp_path / "l.txt") == expected


@pytest.mark.parametrize("text", ["a.png 0\nb.png\n", "my cat.png 0\n"])
def test_a_line_that_may_mean_two_things_is_refused(tmp_path, text):
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(LpclipError, match=r"line \d has \d words. .* put a tab before the label"):
        read_list(tmp_path / "l.txt")
