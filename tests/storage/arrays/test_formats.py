"""Feature files of other programs: values are read unchanged, every mistake is a short error."""

import json

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from lpclip.errors import LpclipError
from lpclip.storage.arrays.registry import IMAGE_KEYS, open_arrays
from lpclip.storage.features import write_features
from lpclip.storage.hdf5 import create
from lpclip.storage.samples import fingerprint
from lpclip.storage.tables import write_table

N, D = 12, 6
VALUES = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
IDS = [f"a{row}" for row in range(N)]


def write_npy(folder):
    np.save(folder / "f.npy", VALUES)
    return folder / "f.npy", "array"


def write_npz(folder):
    np.savez(folder / "f.npz", img=VALUES, other=VALUES.T, ids=IDS)
    return folder / "f.npz", "img"


def write_compressed(folder):
    np.savez_compressed(folder / "f.npz", img=VALUES)
    return folder / "f.npz", "img"


def write_lists(folder):
    pd.DataFrame({"id": IDS, "emb": list(VALUES)}).to_parquet(folder / "f.parquet")
    return folder / "f.parquet", "emb"


def write_row_groups(folder):
    table = pyarrow.table({"emb": list(VALUES)})
    parquet.write_table(table, folder / "f.parquet", row_group_size=5)
    return folder / "f.parquet", "emb"


def write_fixed_lists(folder):
    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(VALUES.ravel()), D)
    parquet.write_table(pyarrow.table({"emb": lists}), folder / "f.parquet")
    return folder / "f.parquet", "emb"


def write_columns(folder):
    frame = pd.DataFrame(VALUES, columns=[f"d{i}" for i in range(D)])
    frame.assign(id=IDS).to_parquet(folder / "f.parquet")
    return folder / "f.parquet", "d"


def write_safetensors(folder):
    save_file({"img": VALUES, "labels": np.arange(N)}, folder / "f.safetensors")
    return folder / "f.safetensors", "img"


def write_clip_retrieval(folder, n_parts=12):
    """Write parts of one row, whose numbers sort differently as text than as numbers."""
    root = folder / "embeddings"
    for name in ("img_emb", "text_emb", "metadata"):
        (root / name).mkdir(parents=True)
    for part, rows in enumerate(np.array_split(np.arange(N), n_parts)):
        np.save(root / f"img_emb/img_emb_{part}.npy", VALUES[rows])
        np.save(root / f"text_emb/text_emb_{part}.npy", -VALUES[rows])
        frame = pd.DataFrame({"image_path": np.array(IDS)[rows], "caption": None})
        frame.to_parquet(root / f"metadata/metadata_{part}.parquet")
    return root, "img_emb"


def write_cache(folder):
    samples = pd.DataFrame({"id": IDS, "path": IDS})
    half = VALUES.astype(np.float16)
    write_features(
        folder / "f.h5",
        samples=samples,
        versions={"clean": 0, "weak": 2},
        parts=[np.stack([half, half * 2, half * 3])],
        provenance={"model": "m", "weights": "3f9a", "index": fingerprint(samples)},
    )
    return folder / "f.h5", "clean"


WRITERS = [
    write_npy,
    write_npz,
    write_compressed,
    write_lists,
    write_row_groups,
    write_fixed_lists,
    write_columns,
    write_safetensors,
    write_clip_retrieval,
    write_cache,
]


@pytest.mark.parametrize("write", WRITERS)
def test_what_another_program_wrote_is_read(tmp_path, write):
    path, key = write(tmp_path)
    arrays = open_arrays(path)
    assert arrays.shape(key) == (N, D)
    found = np.asarray(arrays.features(key))
    np.testing.assert_array_equal(found.astype(np.float16), VALUES.astype(np.float16))
    assert all(file.is_file() for file in arrays.files())


@pytest.mark.parametrize("write", WRITERS)
def test_the_key_may_be_left_out_where_it_is_clear(tmp_path, write):
    path, key = write(tmp_path)
    if write in (write_npz,):
        with pytest.raises(LpclipError, match=r"2 arrays of 2 axes.*Available: img, other, ids"):
            open_arrays(path).pick(None, ndim=2, prefer=IMAGE_KEYS)
    else:
        assert open_arrays(path).pick(None, ndim=2, prefer=IMAGE_KEYS) == key


@pytest.mark.parametrize(
    ("write", "dtype"),
    [
        *((write, dtype) for write in WRITERS[:-1] for dtype in ("f2", "f4", "f8")),
        (write_npy, ">f4"),
        (write_npz, ">f4"),
    ],
)
def test_every_float_type_is_accepted(tmp_path, monkeypatch, write, dtype):
    monkeypatch.setitem(globals(), "VALUES", VALUES.astype(dtype))
    path, key = write(tmp_path)
    assert open_arrays(path).features(key).dtype == np.dtype(dtype)


def test_versions_of_a_view_of_a_cache_have_names(tmp_path):
    path, _ = write_cache(tmp_path)
    arrays = open_arrays(path)
    expected = (VALUES.astype(np.float16) * 3).astype(np.float16)
    np.testing.assert_array_equal(arrays.features("weak/1"), expected)
    assert (arrays.ids, arrays.provenance["weights"]) == ("id", "3f9a")
    with pytest.raises(LpclipError, match=r"no array 'weak'\. Did you mean 'weak/"):
        arrays.features("weak")


def test_an_index_and_a_text_cache_are_read(tmp_path):
    with create(tmp_path / "t.h5", kind="text", provenance={"scale": 9.0}) as file:
        file["features"] = VALUES
        write_table(file, "classes", pd.DataFrame({"class_index": range(N), "name": IDS}))
    text = open_arrays(tmp_path / "t.h5")
    assert list(text.read("name")) == IDS
    assert text.provenance == {"scale": 9.0}
    names = {"class_names": json.dumps(["x", "y"])}
    with create(tmp_path / "s.h5", kind="samples", provenance=names) as file:
        frame = pd.DataFrame({"id": IDS, "path": IDS, "label": np.arange(N) % 2})
        write_table(file, "samples", frame)
    index = open_arrays(tmp_path / "s.h5")
    assert list(index.read("class_names")) == ["x", "y"]
    assert list(index.read("label")) == list(np.arange(N) % 2)


def test_clip_retrieval_gives_ids_and_both_kinds_of_features(tmp_path):
    path, _ = write_clip_retrieval(tmp_path)
    arrays = open_arrays(path)
    assert arrays.ids == "image_path"
    assert list(arrays.read("image_path")) == IDS
    np.testing.assert_array_equal(arrays.features("text_emb"), -VALUES)
    assert len(arrays.files()) == 36


class Payload:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def pickled(path):
    objects = np.array([Payload(), Payload()], dtype=object)
    if path.suffix == ".npy":
        np.save(path, objects, allow_pickle=True)
    else:
        np.savez(path, array=objects)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_nothing_is_unpickled(tmp_path, name):
    pickled(tmp_path / name)
    with pytest.raises(LpclipError, match=r"Python objects, which lpclip never unpickles"):
        open_arrays(tmp_path / name).read("array")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.parquet", "x.safetensors", "x.h5"])
def test_a_broken_file_is_a_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"not what it says")
    with pytest.raises(LpclipError, match=rf"{name}.*(whole|truncated)"):
        open_arrays(tmp_path / name).shapes()


def refused(path, sentence, key=None):
    def read():
        arrays = open_arrays(path)
        return arrays.features(arrays.pick(key, ndim=2))

    with pytest.raises(LpclipError, match=sentence):
        read()


def test_a_file_that_is_not_there_or_has_no_known_ending_is_refused(tmp_path):
    refused(tmp_path / "gone.npz", r"gone\.npz' does not exist\. Check 'path'")
    (tmp_path / "x.nzp").touch()
    refused(tmp_path / "x.nzp", r"Did you mean '\.np[yz]'\? Available: .*\.parquet")


def test_an_unknown_key_suggests_the_nearest(tmp_path):
    for write in (write_npz, write_lists, write_safetensors, write_clip_retrieval):
        folder = tmp_path / write.__name__
        folder.mkdir()
        path, key = write(folder)
        refused(path, f"no array '{key}x'. Did you mean '{key}'", key=f"{key}x")


def test_features_have_two_axes_rows_and_a_float_type(tmp_path):
    np.savez(
        tmp_path / "f.npz",
        cube=np.zeros((2, 3, 4)),
        row=np.zeros(3),
        empty=np.zeros((0, 4)),
        whole=np.zeros((2, 3), dtype=np.int8),
    )
    refused(tmp_path / "f.npz", r"'cube' has shape \[2, 3, 4\], but 2 axes", key="cube")
    refused(tmp_path / "f.npz", r"'row' has shape \[3\].*have them: empty, whole", key="row")
    refused(tmp_path / "f.npz", "'empty' has no rows", key="empty")
    refused(tmp_path / "f.npz", "'whole' is int8, but features are float16", key="whole")
    np.save(tmp_path / "f.npy", np.zeros(3))
    refused(tmp_path / "f.npy", "has no arrays of 2 axes")


def test_bfloat16_is_read_as_what_it_holds_and_smaller_numbers_are_refused(tmp_path):
    import torch
    from safetensors.torch import save_file as save_tensors

    values = torch.tensor([[1.0, 0.1, -3.5]]).to(torch.bfloat16)
    save_tensors({"img": values}, tmp_path / "f.safetensors")
    torch.save({"img": values}, tmp_path / "f.pt")
    for name in ("f.safetensors", "f.pt"):
        found = open_arrays(tmp_path / name).read("img")
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, values.float().numpy())
    save_tensors({"img": values.to(torch.float8_e5m2)}, tmp_path / "f.safetensors")
    refused(tmp_path / "f.safetensors", "'img' is F8_E5M2.*float16 or float32")


def test_uneven_lists_and_empty_cells_are_refused(tmp_path):
    frame = pd.DataFrame({"emb": [[1.0, 2.0], [1.0]], "gap": [[1.0], None]})
    frame.to_parquet(tmp_path / "f.parquet")
    refused(tmp_path / "f.parquet", r"'emb' differ in length \(1 to 2\)", key="emb")
    refused(tmp_path / "f.parquet", "'gap' has empty cells", key="gap")


def test_an_incomplete_folder_of_clip_retrieval_is_refused(tmp_path):
    path, _ = write_clip_retrieval(tmp_path, n_parts=3)
    np.save(path / "img_emb/img_emb_1.npy", np.zeros((4, 2), np.float32))
    refused(path, "the parts of img_emb differ in width")
    (path / "metadata/metadata_1.parquet").unlink()
    refused(path, "part 1 is not in both img_emb and metadata")
    (tmp_path / "other").mkdir()
    refused(tmp_path / "other", "other is a folder, but holds no img_emb/img_emb_0.npy")


def test_a_file_of_another_kind_is_refused(tmp_path):
    with create(tmp_path / "p.h5", kind="probes", provenance={}):
        pass
    refused(tmp_path / "p.h5", "holds probes, which are no features")
