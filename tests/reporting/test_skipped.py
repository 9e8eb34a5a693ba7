"""Skipped images: skipped.csv, and a sentence in the summary."""

import csv

import pandas as pd
import pytest

import lpclip
from lpclip.errors import LpclipError
from lpclip.reporting.skipped import in_words, write_skipped_table
from lpclip.reporting.terminal import summary
from lpclip.storage.hdf5 import create
from lpclip.storage.tables import write_table
from tests.helpers.evaluations import small_evaluation, write_tables


def index(path, dataset, names):
    skipped = pd.DataFrame(
        {"id": names, "path": [f"/x/{name}" for name in names], "reason": "it is, empty"}
    )
    with create(path, kind="samples", provenance={"dataset": dataset}) as file:
        write_table(file, "skipped", skipped)
    return path


@pytest.fixture
def table(tmp_path):
    indices = [
        index(tmp_path / "a.h5", "a", ['1,"2".png', "数字.png"]),
        index(tmp_path / "b.h5", "b", []),
        index(tmp_path / "c.h5", "c", ["NA"]),
    ]
    write_skipped_table(indices, tmp_path / "skipped.csv")
    return tmp_path / "skipped.csv"


def test_there_is_one_row_per_dataset_and_image(table):
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset"], row["path"]) for row in rows] == [
        ("a", '/x/1,"2".png'),
        ("a", "/x/数字.png"),
        ("c", "/x/NA"),
    ]


def test_it_is_read_as_a_report(table):
    assert list(lpclip.read_report(table)["id"]) == ['1,"2".png', "数字.png", "NA"]


def test_the_sentence_counts_by_dataset(table):
    assert in_words(table) == [
        f"Images left out because they cannot be read: 2 of dataset a, 1 of dataset c. See {table}."
    ]


def test_where_nothing_was_left_out_there_is_a_header_and_no_sentence(tmp_path):
    write_skipped_table([], tmp_path / "skipped.csv")
    assert (tmp_path / "skipped.csv").read_text() == "dataset,id,path,reason\n"
    assert in_words(tmp_path / "skipped.csv") == []


def test_the_summary_says_what_was_left_out(table):
    results = write_tables(small_evaluation(), table.parent)
    assert "left out" not in summary(results / "report.csv")
    moved = table.rename(results / "skipped.csv")
    said = "".join(summary(results / "report.csv").split())
    assert "".join(in_words(moved)[0].split()) in said


def test_another_table_is_refused(tmp_path):
    (tmp_path / "skipped.csv").write_text("dataset,path\na,b\n")
    with pytest.raises(LpclipError, match="lacks the columns id, reason"):
        in_words(tmp_path / "skipped.csv")
