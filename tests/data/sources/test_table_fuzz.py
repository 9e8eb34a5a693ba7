"""Any content of a table or a label file gives samples or a short error."""

import contextlib
import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lpclip.data.base import UNLABELLED
from lpclip.data.registry import open_source
from lpclip.errors import LpclipError

_NUMBERS = ["", " ", "-1", "0", "1", "01", "NA", "nan", "1e400", "9" * 40]
_WORDS = ['"', '""', "a.png", "ä", "x" * 200, "/", "..", "path", "label", "{}"]
_ODD = st.sampled_from([*_NUMBERS, *_WORDS, "\0", "\r", "\n", "\t", ";", ",", "\ufeff"])
_CELL = st.one_of(_ODD, st.text(max_size=4))
_ROWS = st.lists(st.lists(_CELL, min_size=2, max_size=2), max_size=4)
_HEADERS = [["path", "label"], ["label", "path"], ["path", "label", "path"], ["path"], []]


@st.composite
def _tables(draw):
    """Generate the bytes of a valid or nearly valid table: odd cells, ragged lines, encodings."""
    separator = draw(st.sampled_from([",", ";", "\t", " "]))
    rows = [draw(st.sampled_from(_HEADERS)), *draw(_ROWS)]
    if draw(st.booleans()):
        text = "\n".join(separator.join(row) for row in rows)
    else:
        file = io.StringIO()
        csv.writer(file, delimiter=separator).writerows(rows)
        text = file.getvalue()
    data = text.encode(draw(st.sampled_from(["utf-8", "utf-16", "utf-16-le"])), "replace")
    return data + draw(st.sampled_from([b"", b"", b"\0", b"\xff", b'\n"', b"\nx"]))


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _outcome(kind, where):
    """Return the samples, or None after an LpclipError; any other error is raised."""
    try:
        opened = open_source(kind, where)
        samples = opened.samples()
        names = list(opened.class_names or ())
    except LpclipError:
        return None
    assert all(UNLABELLED <= sample.label < len(names) for sample in samples)
    assert all(sample.id for sample in samples)
    return samples


def _fuzzed(**strategies):
    def decorated(test):
        fixed = settings(
            derandomize=True,
            max_examples=100,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        return fixed(given(**strategies)(test))

    return decorated


@_fuzzed(data=_tables(), ending=st.sampled_from(["csv", "tsv", "txt", "csv.gz"]))
def test_rows_of_a_table_of_images(folder, data, ending):
    path = folder / f"t.{ending}"
    path.write_bytes(data)
    for labels in ({}, {"label_column": "label"}):
        samples = _outcome("table", {"path": str(path), **labels})
        assert samples is None or len({sample.id for sample in samples}) == len(samples)


@_fuzzed(data=_tables())
def test_rows_of_a_file_of_labels(folder, data):
    np.save(folder / "f.npy", np.ones((3, 2), np.float32))
    (folder / "l.csv").write_bytes(data)
    labels = {"path": str(folder / "l.csv"), "key": "label"}
    _outcome("features", {"path": str(folder / "f.npy"), "labels": labels})


def test_many_of_these_tables_can_be_read(folder):
    """Otherwise the tests above would be vacuous."""
    found = []

    @_fuzzed(data=_tables())
    def look(data):
        (folder / "u.csv").write_bytes(data)
        with contextlib.suppress(LpclipError):
            found.append(len(open_source("table", {"path": str(folder / "u.csv")}).samples()))

    look()
    assert sum(number > 0 for number in found) > 5
