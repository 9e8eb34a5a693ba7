"""A folder with every kind of problem: each file is embedded correctly or named in an error."""

import io
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.errors import LpclipError
from lpclip.features.images import embed_images
from lpclip.models.clip import load_model
from lpclip.models.spec import ModelSpec
from lpclip.storage.features import normalise, read_features
from lpclip.storage.hdf5 import open_file
from lpclip.storage.samples import read_samples
from lpclip.storage.tables import read_table

MODEL = ModelSpec("tiny", "lpclip-tiny", "embedded")
LONG = "ü" * 120 + "-{}.png"  # 246 bytes, the system's limit is 255
BAD = {
    "bad/cut.jpg": "truncated",
    "bad/empty.jpg": "the file is empty",
    "bad/gone.png": "no such file or directory",
    "bad/huge.png": "more than 89,478,485 pixels",
    "bad/text.jpg": "not an image of a known format",
}


def noise(seed, size=(40, 30)):
    values = np.random.default_rng(seed).integers(256, size=(*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(side):
    """Return a valid black PNG file with one bit per pixel: a few kB, 50 MB decoded."""
    row = bytes(1 + side // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def good_files():
    """Return name -> bytes and the decoded picture."""
    photo = noise(1)
    jpeg = encoded(photo, "JPEG", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was rotated: the picture must be rotated clockwise
    ink = Image.merge("CMYK", [*noise(2).split(), Image.new("L", (40, 30), 40)])
    deep = np.random.default_rng(3).integers(65536, size=(30, 40), dtype=np.uint16)
    bits = noise(4).convert("1")
    palette = noise(5).quantize(8)
    clear = np.asarray(palette) == 3
    solid = np.array(palette.convert("RGB"))
    solid[clear] = 255
    film = [noise(seed).quantize(64) for seed in (6, 7, 8)]
    ink_file = encoded(ink, "JPEG", quality=95)
    return {
        "kinds/bit.png": (encoded(bits, "PNG"), bits.convert("RGB")),
        "kinds/cmyk.jpg": (ink_file, Image.open(io.BytesIO(ink_file)).convert("RGB")),
        "kinds/deep.png": (
            encoded(Image.fromarray(deep), "PNG"),
            Image.fromarray((deep // 256).astype(np.uint8)).convert("RGB"),
        ),
        "kinds/film.gif": (
            encoded(film[0], "GIF", save_all=True, append_images=film[1:]),
            film[0].convert("RGB"),
        ),
        "kinds/palette.png": (encoded(palette, "PNG", transparency=3), Image.fromarray(solid)),
        "kinds/photo.jpg": (jpeg, Image.open(io.BytesIO(jpeg))),
        "kinds/pixel.png": (encoded(noise(9, (1, 1)), "PNG"), noise(9, (1, 1))),
        "kinds/turned.png": (
            encoded(noise(10), "PNG", exif=turned),
            noise(10).transpose(Image.Transpose.ROTATE_270),
        ),
        "kinds/without-ending": (encoded(noise(11), "WEBP", lossless=True), noise(11)),
        f"names/{LONG.format(1)}": (encoded(noise(12), "PNG"), noise(12)),
        f"names/{LONG.format(2)}": (encoded(noise(13), "PNG"), noise(13)),
        "names/数字 — №1 \n, \"'.png": (encoded(noise(14), "PNG"), noise(14)),
        "one/only.png": (encoded(noise(15), "PNG"), noise(15)),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("torture") / "set"
    for folder in ("bad", "empty", "kinds", "names", "one"):
        (root / folder).mkdir(parents=True)
    for name, (data, _) in good_files().items():
        (root / name).write_bytes(data)
    (root / "bad/cut.jpg").write_bytes(encoded(noise(1), "JPEG")[:-200])
    (root / "bad/empty.jpg").touch()
    (root / "bad/gone.png").symlink_to(root / "nowhere.png")
    (root / "bad/huge.png").write_bytes(huge_png(20_000))
    (root / "bad/text.jpg").write_text("I am a photograph, honestly.")
    # Files that are not images are ignored.
    (root / "kinds/README").write_text("Kinds of files.")
    (root / "kinds/labels.csv").write_text("id,label\n")
    (root / "kinds/.DS_Store").write_bytes(bytes(100))
    (root / "names/round").symlink_to(root, target_is_directory=True)
    return root


def source(root):
    return {"kind": "folder", "root": str(root)}


@pytest.fixture(scope="module")
def caches(root, tmp_path_factory):
    """Return the index and features with bad images skipped."""
    folder = tmp_path_factory.mktemp("caches")
    index, features = folder / "samples.h5", folder / "clean.h5"
    index_samples(output=index, dataset="d", source=source(root), on_bad_image="skip")
    embed_images(
        output=features,
        samples=index,
        dataset="d",
        source=source(root),
        model=MODEL,
        views={"clean": {}},
        batch_size=4,
        device="cpu",
    )
    return index, features


def test_every_file_has_a_row_or_is_named_with_its_reason(caches, root):
    samples, skipped = (pd.read_hdf(caches[0], table) for table in ("samples", "skipped"))
    assert sorted(samples["id"]) == sorted(good_files())
    assert list(skipped["id"]) == sorted(BAD)
    assert list(skipped["path"]) == [str(root / name) for name in sorted(BAD)]
    for name, reason in zip(skipped["id"], skipped["reason"], strict=True):
        assert BAD[name] in reason


def test_rows_ids_and_labels_do_not_drift(caches):
    samples = read_samples(caches[0], labels=True)
    names = ["bad", "empty", "kinds", "names", "one"]
    assert [names[label] for label in samples["label"]] == [
        sample_id.split("/")[0] for sample_id in samples["id"]
    ]
    with open_file(caches[1], kind="features") as file:
        assert list(read_table(file, "samples")["id"]) == list(samples["id"])


def test_every_image_is_read_as_the_picture_that_it_holds(caches, root):
    opened = open_source("folder", {"root": str(root)})
    for row in read_samples(caches[0], labels=False).itertuples():
        image = opened.read(row.path)
        assert image.mode == "RGB"
        np.testing.assert_array_equal(
            np.asarray(image), np.asarray(good_files()[row.id][1]), err_msg=row.id
        )


def test_features_are_those_of_the_pictures(caches):
    model = load_model(MODEL, device="cpu")
    ids = list(read_samples(caches[0], labels=False)["id"])
    pixels = torch.stack([model.to_pixels(good_files()[name][1]) for name in ids])
    found = read_features(caches[1], "clean", expected={})
    expected = normalise(model.embed(pixels).numpy())
    np.testing.assert_allclose(np.sum(found * expected, axis=1), 1, atol=1e-4)
    # All pictures differ, so that a mix-up would show.
    assert (found @ expected.T - 2 * np.eye(len(ids))).max() < 0.9999


def test_without_skipping_every_bad_file_is_named_at_once(root, tmp_path):
    index_samples(output=tmp_path / "samples.h5", dataset="d", source=source(root))
    with pytest.raises(LpclipError) as error:
        embed_images(
            output=tmp_path / "clean.h5",
            samples=tmp_path / "samples.h5",
            dataset="d",
            source=source(root),
            model=MODEL,
            views={"clean": {}},
            device="cpu",
        )
    assert str(error.value).startswith("5 images cannot be read:\n")
    for name, reason in BAD.items():
        assert f"{root / name} (" in str(error.value)
        assert reason in str(error.value)
    assert not (tmp_path / "clean.h5").exists()


def test_long_names_are_not_cut(caches):
    ids = list(pd.read_hdf(caches[0], "samples")["id"])
    assert f"names/{LONG.format(1)}" in ids
    assert f"names/{LONG.format(2)}" in ids
    assert len(set(ids)) == len(ids)


def test_without_labels_the_same_images_have_rows(root, tmp_path):
    unlabelled = {**source(root), "labelled": False}
    index_samples(output=tmp_path / "s.h5", dataset="d", source=unlabelled, on_bad_image="skip")
    samples = read_samples(tmp_path / "s.h5", labels=True)
    assert sorted(samples["id"]) == sorted(good_files())
    assert set(samples["label"]) == {-1}
