"""Sources that return encoded files: decoding them gives the image that `read` returns."""

import io
import shutil
import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lpclip.data.base import read_encoded, read_image
from lpclip.data.read_image import decode
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError

NAMES = ("ant/a.jpg", "ant/b.jpg", "bee/c.jpg")


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate(NAMES):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return tmp_path


def folder(root):
    return {"kind": "folder", "root": str(root / "folder")}


def table(root):
    pd.DataFrame({"path": [f"folder/{name}" for name in NAMES]}).to_csv(root / "t.csv")
    return {"kind": "table", "path": str(root / "t.csv")}


def webdataset(root):
    with tarfile.open(root / "s.tar", "w") as archive:
        for name in NAMES:
            archive.add(root / "folder" / name, name)
    return {"kind": "webdataset", "shards": str(root / "s.tar")}


def huggingface(root):
    datasets = pytest.importorskip("datasets")
    images = [{"bytes": (root / "folder" / NAMES[0]).read_bytes(), "path": None}]
    images += [{"bytes": None, "path": str(root / "folder" / name)} for name in NAMES[1:]]
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": images}, features=features).save_to_disk(root / "disk")
    return {"kind": "huggingface", "path": str(root / "disk")}


def imagenet_c(root):
    for severity in "12345":
        (root / "fog").mkdir(exist_ok=True)
        shutil.copytree(root / "folder", root / "fog" / severity)
    return {"kind": "imagenet_c", "root": str(root)}


def pool(root):
    ood = {"source": webdataset(root), "ood": True}
    return {"kind": "pool", "parts": [{"source": folder(root)}, ood]}


@pytest.mark.parametrize("make", [folder, table, webdataset, huggingface, pool])
def test_a_file_is_the_image_that_is_read(make, root):
    settings = make(root)
    source = open_source(settings.pop("kind"), settings)
    paths = [sample.path for sample in source.samples()]
    assert len(paths) == (6 if make is pool else 3)
    for path in paths:
        file = read_encoded(source, path)
        assert file.startswith(b"\xff\xd8")
        np.testing.assert_array_equal(decode(file, path), read_image(source, path))


def test_of_published_corruptions_too(root):
    settings = imagenet_c(root)
    source = open_source(settings.pop("kind"), settings)
    file = read_encoded(source, "fog/1/ant/a.jpg")
    np.testing.assert_array_equal(
        decode(file, ""), Image.open(io.BytesIO((root / "fog/1/ant/a.jpg").read_bytes()))
    )


def test_a_file_that_is_gone_is_a_bad_image(root):
    settings = folder(root)
    source = open_source(settings.pop("kind"), settings)
    path = source.samples()[0].path
    (root / "folder" / NAMES[0]).unlink()
    with pytest.raises(BadImageError, match="no such file"):
        read_encoded(source, path)


def test_images_that_are_drawn_have_no_files():
    source = open_source("digits", {"split": "test"})
    assert read_encoded(source, source.samples()[0].path) is None


@pytest.mark.parametrize("error", [OSError("network\nis down"), ValueError("of the table")])
def test_what_a_source_raises_for_a_file_is_a_bad_image_by_both_ways(error):
    class Source:
        def read(self, _):
            raise error

        encoded = read

    for read in (read_image, read_encoded):
        with pytest.raises(BadImageError) as raised:
            read(Source(), "x.png")
        assert (raised.value.path, raised.value.reason) == ("x.png", str(error).replace("\n", " "))
