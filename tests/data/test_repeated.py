"""An image that a dataset would contain twice is rejected, and both places are named."""

import io
import os
import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.data.repeated import file_identity, place_identity
from lpclip.errors import LpclipError


@pytest.fixture
def root(tmp_path):
    """Two images, one per class; a link to one, a shard with it, and tables that list them."""
    for name, colour in (("ant", 1), ("bee", 2)):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (3, 2), (colour, 0, 0)).save(tmp_path / f"set/{name}/{name}.png")
    (tmp_path / "link.png").symlink_to("set/ant/ant.png")
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        data = (tmp_path / "link.png").read_bytes()
        info = tarfile.TarInfo("a.png")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return tmp_path


def refused(kind, sentence, **settings):
    with pytest.raises(LpclipError, match=sentence):
        open_source(kind, settings).samples()


def test_a_file_has_one_identity_over_all_links_but_copies_have_their_own(root):
    file = root / "set/ant/ant.png"
    (root / "copy.png").write_bytes(file.read_bytes())
    assert file_identity(str(file)) == file_identity(str(root / "link.png"))
    assert file_identity(str(file)) == file_identity(str(root / "set/../set/ant/ant.png"))
    assert file_identity(str(file)) != file_identity(str(root / "copy.png"))
    os.link(file, root / "hard.png")
    assert file_identity(str(file)) == file_identity(str(root / "link.png"))
    assert file_identity(str(file)) != file_identity(str(root / "hard.png"))
    assert file_identity(str(root)) is None
    assert file_identity("no\0file") is None
    assert place_identity(f"{root}/0.tar::a.png@512:9") == place_identity(
        f"{root}/./0.tar::a.png@512:9"
    )


@pytest.mark.parametrize("other", ["./set/ant/ant.png", "link.png", "set/bee/../ant/ant.png"])
def test_two_rows_with_one_file_are_refused(root, other):
    (root / "t.csv").write_text(f"path,id\nset/ant/ant.png,1\nset/bee/bee.png,2\n{other},3\n")
    sentence = rf"t\.csv: 'set/ant/ant.png' and '{other}' \(numbers 1 and 3\) are the same file"
    refused("table", sentence, path=str(root / "t.csv"))
    refused("table", sentence, path=str(root / "t.csv"), id_column="id")


def test_a_link_beside_its_file_in_a_folder_is_refused(root):
    (root / "set/bee/same.png").symlink_to("../ant/ant.png")
    refused("folder", "'ant/ant.png' and 'bee/same.png' .* the same file", root=str(root / "set"))
    found = open_source("folder", {"root": str(root / "set"), "exclude": ["ant"]}).samples()
    assert [sample.id for sample in found] == ["bee/bee.png", "bee/same.png"]


def test_overlapping_patterns_of_shards_are_refused(root):
    sentence = r"shards: '.*0\.tar' and '.*\.tar' \(numbers 1 and 2\) are the same file"
    refused("webdataset", sentence, shards=[str(root / "0.tar"), str(root / "*.tar")])
    (root / "1.tar").symlink_to("0.tar")
    refused("webdataset", sentence, shards=str(root / "{0..1}.tar"))


def test_parts_of_a_pool_that_share_files_are_refused(root):
    (root / "t.csv").write_text("path\nlink.png\n")
    folder = {"kind": "folder", "root": str(root / "set")}
    table = {"kind": "table", "path": str(root / "t.csv")}
    parts = [{"source": folder}, {"source": table, "ood": True}]
    refused("pool", r"parts\.0 and parts\.1 both take .*ant\.png and .*link", parts=parts)
    parts[0]["classes"] = ["bee"]
    assert len(open_source("pool", {"parts": parts}).samples()) == 2
    inner = [{"source": {"kind": "pool", "parts": [{"source": folder, "ood": True}]}}]
    refused("pool", r"both take .*link\.png", parts=[{**inner[0], "ood": True}, parts[1]])


def test_overlapping_slices_are_refused_and_arrays_of_one_file_differ(tmp_path):
    images = np.zeros((6, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "x.npz", a=images, b=images)

    def part(key, start, stop):
        source = {"kind": "arrays", "path": str(tmp_path / "x.npz"), "key": key}
        return {"source": {**source, "slice": [start, stop]}, "ood": True}

    refused(
        "pool",
        r"both take 'row-000003' \(.*x\.npz\[3\]\)",
        parts=[part("a", 0, 4), part("a", 3, 6)],
    )
    assert len(open_source("pool", {"parts": [part("a", 0, 4), part("b", 3, 6)]}).samples()) == 7


def test_rows_of_features_that_are_given_twice_are_refused_by_their_numbers(tmp_path):
    frame = pd.DataFrame({"id": ["x", "y", "x"], "d0": 1.0, "d1": 0.5})
    frame.to_parquet(tmp_path / "f.parquet")
    source = {"kind": "features", "path": str(tmp_path / "f.parquet"), "ids": "id"}
    with pytest.raises(LpclipError, match=r"two images with the id 'x': 0 and 2 \(numbers 1 and 3"):
        index_samples(output=tmp_path / "s.h5", dataset="d", source=source)


def test_an_id_that_is_a_whole_file_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text(f"path,id\na.png,{'x' * 9000}\n")
    source = {"kind": "table", "path": str(tmp_path / "t.csv"), "id_column": "id"}
    with pytest.raises(LpclipError, match=r"more than 8,192 characters, which begins 'x{200}…'"):
        index_samples(output=tmp_path / "s.h5", dataset="d", source=source)
