"""Tables support pandas' where= and columns=, and lpclip still reads them."""

import pickletools

import h5py
import numpy as np
import pandas as pd
import pytest

from lpclip.data.index import index_samples
from lpclip.errors import LpclipError
from lpclip.storage.hdf5 import create, open_file
from lpclip.storage.samples import read_samples
from lpclip.storage.tables import read_table, write_table

FRAME = pd.DataFrame(
    {
        "id": ["a", "nan", "ü"],
        "path": ["x", "", "zz"],
        "label": np.int32([3, -1, 3]),
        "confidence": np.float32([0.1, 0.2, 0.3]),
        "selected": [True, False, True],
    }
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.h5"
    with create(path, kind="samples", provenance={}) as file:
        write_table(file, "samples", FRAME)
        write_table(file, "skipped", FRAME, listed=False)
    return path


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("label == 3", [0, 2]),
        ("label == -1", [1]),
        ("id == 'ü'", [2]),
        ("path == ''", [1]),
        ("id == 'nan'", [1]),
        ("confidence > 0.15", [1, 2]),
        ("selected == True", [0, 2]),
        ("index >= 1 & label > 0", [2]),
        ("label == 4", []),
    ],
)
def test_where_finds_rows(table, where, rows):
    found = pd.read_hdf(table, "samples", where=where)
    pd.testing.assert_frame_equal(found, FRAME.iloc[rows], check_column_type=False)


def test_columns_and_rows_are_chosen(table):
    found = pd.read_hdf(table, "samples", columns=["label", "id"], start=1, stop=3)
    pd.testing.assert_frame_equal(found, FRAME.loc[1:, ["label", "id"]])


def test_the_main_table_is_the_one_that_is_listed(table):
    with pd.HDFStore(table, "r") as store:
        assert store.keys() == ["/samples"]
        assert store.get_storer("samples").is_table
        assert store.select_column("samples", "label").tolist() == [3, -1, 3]
    assert len(pd.read_hdf(table)) == 3
    assert pd.read_hdf(table, "skipped")["label"].tolist() == [3, -1, 3]


def test_an_index_of_a_dataset_is_searched(tmp_path):
    path = tmp_path / "samples.h5"
    index_samples(output=path, dataset="d", source={"kind": "digits", "split": "test"}, limit=50)
    samples = read_samples(path, labels=True)
    threes = pd.read_hdf(path, where="label == 3", columns=["id"])
    assert threes["id"].tolist() == samples["id"][samples["label"] == 3].tolist() != []
    assert list(threes) == ["id"]


def test_lpclip_reads_the_columns_without_the_number_of_the_row(table):
    with open_file(table) as file:
        for name in ("samples", "skipped"):
            pd.testing.assert_frame_equal(read_table(file, name), FRAME, check_dtype=False)


def test_an_empty_table_is_searched_too(tmp_path):
    path = tmp_path / "empty.h5"
    with create(path, kind="samples", provenance={}) as file:
        write_table(file, "samples", FRAME.iloc[:0])
    assert len(pd.read_hdf(path, where="label == 3", columns=["id"])) == 0


def test_attributes_are_those_that_pandas_writes(table, tmp_path):
    FRAME.to_hdf(
        tmp_path / "theirs.h5", key="samples", format="table", data_columns=True, index=False
    )

    def attributes(path):
        with pd.HDFStore(path, "r") as store:
            group = store.get_node("samples")
            return {
                f"{node._v_name}.{name}": node._v_attrs[name]
                for node in (group, group.table)
                for name in node._v_attrs._f_list("all")
            }

    ours, theirs = attributes(table), attributes(tmp_path / "theirs.h5")
    added = {name: ours.pop(name) for name in set(ours) - set(theirs)}
    assert set(added) == {"samples.pandas_version", "table.xxh3_64"}
    assert ours == theirs


def test_nothing_in_the_attributes_can_be_run(table):
    """pandas pickles its lists: they hold text and numbers, no names of functions or classes."""
    pickles = []
    with h5py.File(table) as file:

        def visit(_name, item):
            values = [item.attrs[key] for key in item.attrs]
            pickles.extend(value for value in values if isinstance(value, np.bytes_))

        file.visititems(visit)
    pickled = [value for value in pickles if value.startswith((b"(", b"N")) and value[-1:] == b"."]
    assert len(pickled) > 5
    codes = {code.name for value in pickled for code, _, _ in pickletools.genops(bytes(value))}
    harmless = {"MARK", "LIST", "DICT", "TUPLE", "PUT", "GET", "APPEND", "SETITEM", "STOP"}
    assert codes <= harmless | {"UNICODE", "INT", "NONE"}


def test_a_table_that_was_changed_on_the_disk_is_refused(table, tmp_path):
    path = tmp_path / "changed.h5"
    path.write_bytes(table.read_bytes())
    with h5py.File(path, "r+") as file:
        rows = file["samples/table"][:]
        rows["label"][0] = 4
        file["samples/table"][:] = rows
    with pytest.raises(LpclipError, match=r"changed\.h5 is damaged: .*'samples/table'"):
        read_samples(path, labels=True)
