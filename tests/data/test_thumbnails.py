"""Thumbnails are small pictures of the images, in the order in which images are kept."""

import io

import h5py
import numpy as np
import pytest
from PIL import Image

from lpclip.data.index import index_samples
from lpclip.data.thumbnails import SIDE, thumbnails
from lpclip.errors import LpclipError
from lpclip.storage.samples import read_samples, without_labels
from lpclip.storage.thumbnails import COLUMNS, PER_SHEET, read_thumbnails
from lpclip.utils.thinning import order_of_keeping


def made(folder, images, **settings):
    np.save(folder / "images.npy", images)
    source = {"kind": "arrays", "path": str(folder / "images.npy")}
    index_samples(output=folder / "samples.h5", dataset="squares", source=source)
    thumbnails(samples=folder / "samples.h5", output=folder / "t.h5", source=source, **settings)
    return read_thumbnails(folder / "t.h5")


def squares(found):
    """Return the pixels of every thumbnail."""
    for number in range(len(found.ids)):
        sheet = Image.open(io.BytesIO(found.sheets[number // PER_SHEET]))
        place = number % PER_SHEET
        left, top = (place % COLUMNS) * found.side, (place // COLUMNS) * found.side
        yield np.asarray(sheet.crop((left, top, left + found.side, top + found.side)))


def test_each_place_holds_the_picture_of_its_id(tmp_path):
    grey = (np.arange(300) * 255 // 299).astype(np.uint8)
    images = np.broadcast_to(grey[:, None, None, None], (300, 16, 16, 3))
    found = made(tmp_path, images)
    assert (found.side, len(found.sheets), found.format) == (16, 2, "webp")
    rows = order_of_keeping(read_samples(tmp_path / "samples.h5", labels=False)["id"].tolist())
    levels = [square[4:12, 4:12].mean() for square in squares(found)]
    np.testing.assert_allclose(levels, grey[rows], atol=8)


def test_of_many_images_the_first_in_that_order_are_kept(tmp_path):
    images = np.zeros((30, 8, 8, 3), np.uint8)
    few, all_ = made(tmp_path, images, points=10), made(tmp_path, images)
    assert list(few.ids) == list(all_.ids)[:10]
    assert len(all_.ids) == 30


def test_large_images_are_made_small_and_keep_their_shape(tmp_path):
    images = np.full((2, 60, 120, 3), 255, np.uint8)
    found = made(tmp_path, images)
    assert found.side == SIDE
    square = next(squares(found))
    assert square[SIDE // 2, SIDE // 2].min() > 240  # white
    assert square[2, SIDE // 2].max() < 200  # above and below it there is paper


def test_an_image_that_cannot_be_read_leaves_its_place_empty(tmp_path):
    for number in range(3):
        Image.new("RGB", (20, 20), (255, 0, 0)).save(tmp_path / f"{number}.png")
    source = {"kind": "folder", "root": str(tmp_path), "labelled": False}
    index_samples(output=tmp_path / "samples.h5", dataset="d", source=source)
    (tmp_path / "1.png").write_bytes(b"no picture")
    thumbnails(samples=tmp_path / "samples.h5", output=tmp_path / "t.h5", source=source)
    found = read_thumbnails(tmp_path / "t.h5")
    ids = read_samples(tmp_path / "samples.h5", labels=False).set_index("id")["path"]
    reds = {
        ids[id_][-5:]: square[10, 10, 0] > 200
        for id_, square in zip(found.ids, squares(found), strict=True)
    }
    assert reds == {"0.png": True, "1.png": False, "2.png": True}


def test_labels_are_not_read(tmp_path):
    with without_labels("thumbnails need none."):
        assert len(made(tmp_path, np.zeros((3, 8, 8, 3), np.uint8)).ids) == 3


def test_a_damaged_sheet_is_refused(tmp_path):
    made(tmp_path, np.zeros((3, 8, 8, 3), np.uint8))
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        file["sheets"][5] = file["sheets"][5] ^ 1
    with pytest.raises(LpclipError, match="checksum"):
        read_thumbnails(tmp_path / "t.h5")
