"""Features saved by others: PyTorch tensors, HDF5 files, one column per dimension."""

import h5py
import numpy as np
import pandas as pd
import pyarrow
import pytest
import torch
from pyarrow import parquet

from lpclip.data.registry import open_source
from lpclip.errors import LpclipError
from lpclip.storage.arrays.registry import open_arrays
from lpclip.storage.arrays.tables import numbered

N, D = 12, 11
VALUES = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
NAMES = [f"a{row}" for row in range(N)]
LABELS = np.arange(N) % 3


def refused(path, sentence, key=None, ndim=2):
    with pytest.raises(LpclipError, match=sentence):
        open_arrays(path).read(open_arrays(path).pick(key, ndim=ndim))


def samples(path, **settings):
    return open_source("features", {"path": str(path), **settings}).samples()


# --- PyTorch


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_or_a_dict_of_tensors_is_read(tmp_path, zipped):
    tensor = torch.from_numpy(VALUES)
    columns = {"labels": torch.from_numpy(LABELS)[:, None], "names": NAMES, "epoch": 3}
    files = {
        "f.pt": tensor,
        "g.pth": {"train": {"img": torch.nn.Parameter(tensor)}, **columns},
    }
    for name, value in files.items():
        torch.save(value, tmp_path / name, _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(open_arrays(tmp_path / "f.pt").features("array"), VALUES)
    arrays = open_arrays(tmp_path / "g.pth")
    assert arrays.pick(None, ndim=2) == "train/img"  # not the labels [N, 1]
    np.testing.assert_array_equal(arrays.features("train/img"), VALUES)
    found = samples(tmp_path / "g.pth", ids="names", labels="labels")
    assert [(s.id, s.label) for s in found] == list(zip(NAMES, LABELS.tolist(), strict=True))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"x": torch.zeros(2, 3), "y": np.float64(1)}, "Python objects, which lpclip never unpick"),
        ([torch.zeros(2, 3)], "holds a list. Save a tensor, or a dict of tensors"),
        (torch.zeros(2, 3).to(torch.float8_e5m2), "'array' is torch.float8_e5m2.*float16 or"),
        (torch.zeros(2, 3).to_sparse(), "cannot be read"),
        ({"epoch": 3}, "has no arrays of 2 axes"),
    ],
)
def test_what_is_no_tensor_is_refused_without_advice_to_run_it(tmp_path, value, sentence):
    torch.save(value, tmp_path / "x.pt")
    refused(tmp_path / "x.pt", sentence)


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_script_archive_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "x.pt")
    with pytest.raises(LpclipError) as error:
        open_arrays(tmp_path / "x.pt").shapes()
    assert "cannot be read as tensors" in str(error.value)
    assert "weights_only" not in str(error.value)


# --- HDF5


@pytest.fixture
def hdf5(tmp_path):
    """Write a file with everything that other programs write, some of it external."""
    np.arange(6.0).tofile(tmp_path / "outside.bin")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = VALUES
    with h5py.File(tmp_path / "f.hdf5", "w") as file:
        file["train/img"] = VALUES
        file["train/labels"] = LABELS[:, None]
        file["train/names"] = NAMES
        file["train/fixed"] = np.array(NAMES, dtype="S")
        file["train/again"] = file["train"]  # a cycle
        file["table"] = np.zeros(N, dtype=[("a", "f4"), ("b", "i4")])
        file["nothing"] = h5py.Empty("f4")
        file["soft"] = h5py.SoftLink("/train/img")
        file["link"] = h5py.ExternalLink("other.h5", "secret")
        outside = [(str(tmp_path / "outside.bin"), 0, 48)]
        file.create_dataset("stored", (2, 3), "f8", external=outside)
        for name, source in {
            "virtual": (str(tmp_path / "other.h5"), "secret"),
            "inside": (".", "train/img"),
        }.items():
            layout = h5py.VirtualLayout((N, D), "f4")
            layout[...] = h5py.VirtualSource(*source, shape=(N, D))
            file.create_virtual_dataset(name, layout)
    return tmp_path / "f.hdf5"


def test_data_sets_of_hdf5_files_are_named_by_their_paths(hdf5):
    arrays = open_arrays(hdf5)
    assert arrays.shapes() == {
        "inside": (N, D),
        "train/fixed": (N,),
        "train/img": (N, D),
        "train/labels": (N, 1),
        "train/names": (N,),
    }
    for name in ("train/img", "inside"):
        np.testing.assert_array_equal(arrays.features(name), VALUES)
    for names in ("train/names", "train/fixed"):
        found = samples(hdf5, key="train/img", ids=names, labels="train/labels")
        assert [s.id for s in found] == NAMES
        assert [s.label for s in found] == LABELS.tolist()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("link", "'link' is a link to 'other.h5', and lpclip reads only what lies in the file"),
        ("soft", "'soft' is a link to '/train/img'"),
        ("stored", r"stored outside the file, in '.*outside\.bin', which lpclip never opens"),
        ("virtual", r"made of another file, '.*other\.h5', which lpclip never opens"),
        ("table", r"'table' holds \[.*no numbers or text"),
        ("nothing", "'nothing' holds float32, no numbers or text"),
        ("link/secret", "has no array 'link/secret'"),
        ("train/imgs", "Did you mean 'train/img'"),
    ],
)
def test_only_what_lies_in_the_file_itself_is_read(hdf5, key, sentence):
    refused(hdf5, sentence, key=key)


def test_a_frame_that_pandas_wrote_is_read(tmp_path):
    pd.DataFrame(VALUES, index=NAMES).to_hdf(tmp_path / "f.h5", key="emb")
    arrays = open_arrays(tmp_path / "f.h5")
    np.testing.assert_array_equal(arrays.features("emb/block0_values"), VALUES)
    found = samples(tmp_path / "f.h5", key="emb/block0_values", ids="emb/axis1")
    assert [sample.id for sample in found] == NAMES


# --- one column per dimension


@pytest.mark.parametrize("name", ["f.parquet", "f.csv", "f.tsv", "f.csv.gz", "s.csv", "u.csv"])
@pytest.mark.parametrize("pattern", ["d{}", "{}", "emb_{:03d}"])
@pytest.mark.parametrize("first", [0, 1])
def test_numbered_columns_are_one_array(tmp_path, name, pattern, first):
    columns = [pattern.format(number) for number in range(first, first + D)]
    frame = pd.DataFrame(VALUES.astype(np.float64), columns=columns)
    # Columns are ordered by their numbers, not by position.
    frame = frame[columns[::-1]].assign(id=NAMES, label=LABELS * 10, what=NAMES)
    path = tmp_path / name
    if name == "f.parquet":
        frame.to_parquet(path)
    else:
        separator = {"f.tsv": "\t", "s.csv": ";"}.get(name, ",")
        encoding = "utf-16" if name == "u.csv" else "utf-8"
        frame.to_csv(path, sep=separator, encoding=encoding, index=False)
    arrays = open_arrays(path)
    key = arrays.pick(None, ndim=2)
    assert key == {"d{}": "d", "{}": "columns"}.get(pattern, "emb_")
    np.testing.assert_array_equal(arrays.features(key), VALUES.astype(np.float64))
    found = samples(path, ids="id", labels="label")
    assert [(s.id, s.label) for s in found] == list(zip(NAMES, LABELS * 10, strict=True))


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (["d0", "d1", "d3"], "'d' lacks the column 'd2'. Columns are numbered without a gap"),
        (["d0", "d1", "d01"], "'d' has two columns for one place, 'd1' and 'd01'"),
        (["d5", "d6", "d7"], "has no array 'd'"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_that_are_no_whole_row_are_refused(tmp_path, columns, sentence, ending):
    frame = pd.DataFrame(np.ones((2, 3)), columns=columns)
    path = tmp_path / f"f.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    refused(path, sentence, key="d")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("1,x\n", "conversion error to double: invalid value 'x'"),
        ("1,\n", "row 1 of 'd' has an empty cell, or one that is not a number"),
        ("1,2\n3\n", "Expected 2 columns, got 1: 3"),
        ("1,2,3\n", "cannot be read"),
        ("1,nan\n", "row 1 of 'd' has an empty cell, or one that is not a number"),
    ],
)
def test_cells_that_are_no_numbers_are_refused(tmp_path, rows, sentence):
    (tmp_path / "f.csv").write_text(f"d0,d1\n{rows}")
    refused(tmp_path / "f.csv", sentence, key="d")


def test_a_decimal_comma_is_no_number(tmp_path):
    (tmp_path / "f.csv").write_text("d0;d1\n0,5;1\n")
    refused(tmp_path / "f.csv", "conversion error to double: invalid value '0,5'", key="d")


def test_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "f.csv").write_text("d0,d1,d1,id\n1,2,3,a\n")
    refused(tmp_path / "f.csv", "two columns for one place, 'd1' and 'd1'", key="d")
    table = pyarrow.table([[1.0], [2.0]], names=["x", "x"])
    parquet.write_table(table, tmp_path / "f.parquet")
    refused(tmp_path / "f.parquet", "the column 'x' twice, in places 1 and 2", key="x", ndim=1)


def test_boxes_beside_a_column_of_lists_are_no_features(tmp_path):
    frame = pd.DataFrame({"emb": list(VALUES), "x1": 0.5, "x2": 1.5})
    frame.to_parquet(tmp_path / "f.parquet")
    assert open_arrays(tmp_path / "f.parquet").pick(None, ndim=2) == "emb"


def test_structures_are_no_labels(tmp_path):
    frame = pd.DataFrame({"emb": list(VALUES), "s": [{"a": 1}] * N, "b": [b"x"] * N})
    frame.to_parquet(tmp_path / "f.parquet")
    refused(tmp_path / "f.parquet", r"column 's' holds structures \(a\)", key="s", ndim=1)
    refused(tmp_path / "f.parquet", "column 'b' holds bytes", key="b", ndim=1)


def test_groups_of_one_column_are_no_array():
    assert numbered(["a0", "b", "c1"]) == ({}, {})


# --- labels [N, 1], and files that claim the same location


def test_labels_of_shape_n_1_are_labels(tmp_path):
    np.savez(tmp_path / "f.npz", img=VALUES, labels=LABELS[:, None], names=np.array([["a"], ["b"]]))
    np.save(tmp_path / "l.npy", LABELS[:, None])
    assert open_arrays(tmp_path / "f.npz").pick(None, ndim=2) == "img"
    for labels in ("labels", str(tmp_path / "l.npy")):
        found = samples(tmp_path / "f.npz", key="img", labels=labels)
        assert [sample.label for sample in found] == LABELS.tolist()
    with pytest.raises(LpclipError, match="labels 0 to 2, but there are 2 class names"):
        samples(tmp_path / "f.npz", labels="labels", class_names="names")


def test_ids_are_text_or_whole_numbers(tmp_path):
    np.savez(tmp_path / "f.npz", img=VALUES, ids=np.arange(N) / 2)
    with pytest.raises(LpclipError, match="'ids' is float64, but ids are text or whole numbers"):
        samples(tmp_path / "f.npz", ids="ids")


def test_two_parts_of_one_number_are_refused_and_hidden_files_are_none(tmp_path):
    (tmp_path / "img_emb").mkdir()
    np.save(tmp_path / "img_emb/img_emb_0.npy", VALUES)
    (tmp_path / "img_emb/._img_emb_0.npy").write_bytes(b"left by macOS")
    np.testing.assert_array_equal(open_arrays(tmp_path).features("img_emb"), VALUES)
    for other in ("old_0.npy", "img_emb_00.npy"):
        np.save(tmp_path / "img_emb" / other, VALUES)
        with pytest.raises(LpclipError, match=rf"both 'img_emb_0\.npy' and '{other}' are part 0|"):
            open_arrays(tmp_path)
        (tmp_path / "img_emb" / other).unlink()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for value in (0, 1):
            with archive.open("img.npy", "w") as file:
                np.lib.format.write_array(file, np.full((2, 3), value, np.float32))
    refused(tmp_path / "x.npz", "has two arrays 'img'")
