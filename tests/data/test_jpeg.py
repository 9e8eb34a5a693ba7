"""Baseline JPEG files decode the same with torchvision as with Pillow; others are detected."""

import io

import numpy as np
import pytest
from PIL import Image

from lpclip.data.jpeg import decode_plain, plain_size
from lpclip.data.read_image import decode
from tests.helpers.zoo_parts import in_jpeg, xmp


def picture(mode="RGB", size=(53, 37)):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def jpeg(image=None, **settings):
    buffer = io.BytesIO()
    (image or picture()).save(buffer, "JPEG", **settings)
    return buffer.getvalue()


def with_orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return jpeg(exif=exif)


PLAIN = {
    "4:2:0": jpeg(subsampling=2),
    "4:2:2": jpeg(subsampling=1),
    "4:4:4": jpeg(subsampling=0),
    "poor": jpeg(quality=5),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_blocks=3),
    "grey": jpeg(picture("L")),
    "upright": with_orientation(1),
    "with a comment": jpeg(comment=b"\xff\xd9\xff\xda"),
    "with a profile": jpeg(icc_profile=b"p" * 70_000),
    "exif in disorder": jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "XMP that turns nothing": in_jpeg(jpeg(), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(1))),
    "one pixel": jpeg(picture(size=(1, 1))),
}
OTHERS = {
    "turned": with_orientation(6),
    "turned by XMP": in_jpeg(jpeg(), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(6))),
    "a profile that Pillow refuses": in_jpeg(jpeg(), (0xE2, b"ICC_PROFILE\0")),
    "four inks": jpeg(picture("CMYK")),
    "red, green, blue": jpeg(keep_rgb=True),
    "cut short": jpeg()[:-40],
    "without its end": jpeg()[:-2],
    "with something behind it": jpeg() + b"tail",
    "a thread": jpeg(picture(size=(400, 1))),
    "without a scan": jpeg()[:20] + b"\xff\xd9",
    "no JPEG": b"GIF89a",
    "nothing": b"",
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_decode_alike(name):
    expected = np.asarray(decode(PLAIN[name], name))
    assert plain_size(PLAIN[name]) == expected.shape[1::-1]
    found = decode_plain(PLAIN[name], largest=53 * 37)
    np.testing.assert_array_equal(found.permute(1, 2, 0), expected)


@pytest.mark.parametrize("name", OTHERS)
def test_all_others_are_left_to_pillow(name):
    assert plain_size(OTHERS[name]) is None
    assert decode_plain(OTHERS[name], largest=10_000) is None


def test_a_large_or_damaged_file_is_left_to_pillow():
    assert decode_plain(PLAIN["4:4:4"], largest=53 * 37 - 1) is None
    whole = PLAIN["4:4:4"]
    tables = whole.index(b"\xff\xc4") + 5  # lengths of Huffman codes: impossible together
    damaged = whole[:tables] + bytes([255] * 16) + whole[tables + 16 :]
    assert plain_size(damaged) is not None
    assert decode_plain(damaged, largest=10_000) is None


def test_without_torchvision_s_decoder_all_are_left_to_pillow(monkeypatch):
    monkeypatch.delattr("torchvision.io.decode_jpeg")
    assert decode_plain(PLAIN["4:4:4"], largest=10_000) is None


def test_no_beginning_of_a_file_is_plain_or_breaks_it():
    data = jpeg()
    assert not any(plain_size(data[:length]) for length in range(len(data)))
    for length in range(data.index(b"\xff\xda")):
        assert plain_size(data[:length] + b"\xff\xd9") is None
