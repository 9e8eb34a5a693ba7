"""A file gives the same pixels, or the same error, through every reader."""

import os
import shutil
import tarfile

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode

from lpclip.cli.predict import _Decode
from lpclip.data.base import read_encoded, read_image
from lpclip.data.index import index_samples
from lpclip.data.jpeg import decode_plain
from lpclip.data.read_image import decode, is_image, is_upright_jpeg
from lpclip.data.registry import open_source
from lpclip.data.unreadable import reasons_unreadable
from lpclip.errors import BadImageError
from lpclip.features.pixels import Images, decoded, decoded_on
from lpclip.models.resampling import Resampling
from tests.helpers.zoo import zoo
from tests.helpers.zoo_parts import NOISE, encoded, exif, in_jpeg

NAMES = sorted(zoo())
SIZE = (16, 16)
RESAMPLING = Resampling(SIZE, SIZE, InterpolationMode.BICUBIC)


def outcome(read, *arguments):
    """Return the pixels, or the reason for the error."""
    try:
        found = read(*arguments)
    except BadImageError as error:
        return error.reason
    if isinstance(found, BadImageError):
        return found.reason
    return np.asarray(found)


def assert_same(found, expected, name):
    if isinstance(expected, str) or isinstance(found, str):
        assert isinstance(found, str), name
        assert found == expected, name
    else:
        assert np.array_equal(found, expected), name


@pytest.fixture(scope="module")
def decoded_alone():
    """The result of ``decode`` for the bytes of every file."""
    return {name: outcome(decode, zoo()[name].data, name) for name in NAMES}


def test_the_zoo_is_large_and_most_of_it_can_be_read(decoded_alone):
    kinds = [isinstance(found, str) for found in decoded_alone.values()]
    assert len(kinds) - sum(kinds) >= 130
    assert sum(kinds) >= 15


def test_pixels_are_those_that_the_files_were_made_of(decoded_alone):
    checked = 0
    for name, found in decoded_alone.items():
        _, expected, within = zoo()[name]
        if expected is None:  # only a decoder can compute them
            continue
        checked += 1
        if isinstance(expected, str):
            assert expected in found, name
        else:
            assert not isinstance(found, str), (name, found)
            assert found.shape == expected.shape, name
            assert np.abs(found - expected.astype(float)).max() <= within, name
    assert checked >= 150


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The files by number, all with the same extension, which does not match their content."""
    root = tmp_path_factory.mktemp("zoo")
    (root / "files/all").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (root / f"files/all/{number:03}.png").write_bytes(zoo()[name].data)
    return root


def folder(root):
    return {"kind": "folder", "root": str(root / "files")}


def table(root):
    paths = [f"files/all/{number:03}.png" for number in range(len(NAMES))]
    pd.DataFrame({"path": paths}).to_csv(root / "t.csv")
    return {"kind": "table", "path": str(root / "t.csv")}


def webdataset(root):
    with tarfile.open(root / "s.tar", "w") as archive:
        archive.add(root / "files/all", "all")
    return {"kind": "webdataset", "shards": str(root / "s.tar")}


def _huggingface(root, name, images):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": images}, features=features).save_to_disk(root / name)
    return {"kind": "huggingface", "path": str(root / name)}


def huggingface_bytes(root):
    images = [{"bytes": zoo()[name].data, "path": None} for name in NAMES]
    return _huggingface(root, "bytes", images)


def huggingface_paths(root):
    paths = sorted(map(str, (root / "files/all").iterdir()))
    return _huggingface(root, "paths", [{"bytes": None, "path": path} for path in paths])


def pool(root):
    return {"kind": "pool", "parts": [{"source": webdataset(root), "ood": True}]}


def image_folder(root):
    return {"kind": "torchvision", "name": "ImageFolder", "root": str(root / "files")}


def gtsrb(root):
    # A dataset that opens its files itself.
    place = root / "gtsrb/GTSRB/Training/00000"
    place.mkdir(parents=True)
    for path in (root / "files/all").iterdir():
        shutil.copy(path, place / path.with_suffix(".ppm").name)
    return {"kind": "torchvision", "name": "GTSRB", "root": str(root)}


def imagenet_c(root):
    for severity in "12345":
        shutil.copytree(root / "files", root / "fog" / severity, copy_function=os.link)
    return {"kind": "imagenet_c", "root": str(root)}


@pytest.mark.parametrize(
    "make",
    [
        folder,
        table,
        webdataset,
        huggingface_bytes,
        huggingface_paths,
        pool,
        image_folder,
        gtsrb,
        imagenet_c,
    ],
)
def test_every_kind_of_source_and_every_reader_agrees(make, root, decoded_alone):
    settings = make(root)
    source = open_source(settings["kind"], {k: v for k, v in settings.items() if k != "kind"})
    paths = [sample.path for sample in source.samples()]
    if make is imagenet_c:
        paths = [source.corrupted(path, "fog", 3) for path in paths]
    images = Images(source, paths, lambda image: image)
    reasons = reasons_unreadable(settings, paths, workers=0)
    for row, (name, path) in enumerate(zip(NAMES, paths, strict=True)):
        expected = decoded_alone[name]
        assert_same(outcome(read_image, source, path), expected, name)
        assert_same(outcome(images.at_own_size, row), expected, name)
        assert reasons[row] == (expected if isinstance(expected, str) else ""), name
        encoded = read_encoded(source, path)
        if encoded is not None:
            assert_same(outcome(decode, encoded, path), expected, name)


def test_predict_reads_the_same(root, decoded_alone):
    paths = sorted(map(str, (root / "files/all").iterdir()))
    read = _Decode(paths, np.asarray)
    for row, name in enumerate(NAMES):
        assert_same(outcome(lambda row: read[row][1], row), decoded_alone[name], name)


@pytest.mark.parametrize("on_device", [False, True])
def test_threads_and_processes_agree(on_device, root, decoded_alone):
    good = [row for row, name in enumerate(NAMES) if not isinstance(decoded_alone[name], str)]
    paths = [str(root / f"files/all/{row:03}.png") for row in good]
    source = open_source("folder", {"root": str(root / "files")})
    images = Images(source, paths, lambda image: image.resize(SIZE, Image.Resampling.BICUBIC))

    def made(workers):
        def chunks():
            return iter([range(len(paths))])

        if on_device:
            found = decoded_on(torch.device("cpu"), images, chunks, RESAMPLING, workers=workers)
        else:
            found = decoded(images, chunks, workers=workers)
        return torch.cat(list(found)).permute(0, 2, 3, 1).numpy().astype(int)

    threads, processes = made(0), made(2)
    np.testing.assert_array_equal(threads, processes)
    for image, row in zip(threads, good, strict=True):
        alone = Image.fromarray(decoded_alone[NAMES[row]]).resize(SIZE, Image.Resampling.BICUBIC)
        # The device's sums may be rounded the other way at a half.
        assert np.abs(image - np.asarray(alone)).max() <= on_device, NAMES[row]


def test_the_index_keeps_what_can_be_embedded(root, tmp_path, decoded_alone):
    settings = {"kind": "folder", "root": str(root / "files")}
    index_samples(
        output=tmp_path / "s.h5", dataset="d", source=settings, on_bad_image="skip", workers=1
    )
    kept, left_out = (pd.read_hdf(tmp_path / "s.h5", key) for key in ("samples", "skipped"))
    by_id = {f"all/{row:03}.png": decoded_alone[name] for row, name in enumerate(NAMES)}
    assert list(kept["id"]) == [i for i, found in by_id.items() if not isinstance(found, str)]
    assert dict(zip(left_out["id"], left_out["reason"], strict=True)) == {
        i: found for i, found in by_id.items() if isinstance(found, str)
    }


def test_files_that_can_be_read_are_recognised_without_a_name(root, decoded_alone):
    for row, name in enumerate(NAMES):
        if not isinstance(decoded_alone[name], str):
            assert is_image(root / f"files/all/{row:03}.png"), name


def test_a_file_that_pillow_turns_is_never_taken_by_another_decoder(decoded_alone):
    taken = []
    for name in NAMES:
        pixels = decode_plain(zoo()[name].data, largest=1 << 20)
        if pixels is not None:
            taken.append(name)
            assert_same(pixels.permute(1, 2, 0).numpy(), decoded_alone[name], name)
    assert {"4-2-0.jpg", "exif-1.jpg", "exif-9.jpg", "xmp-of-nothing.jpg"} <= set(taken)
    turned = [name for name in NAMES if "exif" in name or "xmp" in name]
    assert sum(name in taken for name in turned) < len(turned) // 2


def test_metadata_are_asked_of_pillow_and_leave_with_the_pixels():
    plain = encoded(NOISE, "JPEG")
    assert is_upright_jpeg(plain)
    assert not is_upright_jpeg(in_jpeg(plain, (0xE1, b"Exif\0\0" + exif(6))))
    assert not is_upright_jpeg(in_jpeg(plain, (0xE0, b"JFIF")))
    assert not is_upright_jpeg(encoded(NOISE, "PNG"))
    for name in NAMES:
        if not isinstance(outcome(decode, zoo()[name].data, name), str):
            assert decode(zoo()[name].data, name).info == {}, name
