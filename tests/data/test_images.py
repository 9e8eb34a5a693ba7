"""Encoded files and arrays as 8-bit RGB images."""

import contextlib
import io
import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lpclip.data.read_image import MAX_PIXELS, decode, from_array, is_image, read_file, to_rgb
from lpclip.errors import BadImageError, LpclipError

NOISE = np.random.default_rng(0).integers(256, size=(6, 8, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data):
    image = decode(data, "x")
    assert image.mode == "RGB"
    return np.asarray(image)


def png_header(width, height):
    """Return a PNG file whose header has a size, without pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    empty = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + empty


@pytest.mark.parametrize("kind", ["BMP", "PNG", "PPM", "TIFF"])
def test_colours_are_kept_to_the_bit(kind):
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(NOISE), kind)), NOISE)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "JPEG2000"])
def test_lossy_formats_are_read_as_pillow_reads_them(kind):
    data = encoded(Image.fromarray(NOISE), kind)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(pixels(data), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_camera_was(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    stored = Image.fromarray(NOISE)
    turned = {
        1: NOISE,
        2: NOISE[:, ::-1],
        3: NOISE[::-1, ::-1],
        4: NOISE[::-1],
        5: NOISE.transpose(1, 0, 2),
        6: NOISE.transpose(1, 0, 2)[:, ::-1],
        7: NOISE.transpose(1, 0, 2)[::-1, ::-1],
        8: NOISE.transpose(1, 0, 2)[::-1],
    }[orientation]
    np.testing.assert_array_equal(pixels(encoded(stored, "PNG", exif=tags)), turned)


def test_metadata_in_disorder_do_not_harm_the_picture():
    data = encoded(Image.fromarray(NOISE), "PNG", exif=b"Exif\0\0no such thing")
    np.testing.assert_array_equal(pixels(data), NOISE)


def test_cmyk_is_turned_into_rgb():
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert np.abs(pixels(encoded(ink, "JPEG")).astype(int) - (0, 255, 255)).max() <= 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_and_not_clipped(kind):
    grey = np.array([[0, 255, 256], [0x1234, 0x8000, 65535]], dtype=np.uint16)
    found = pixels(encoded(Image.fromarray(grey), kind))
    np.testing.assert_array_equal(found[..., 0], [[0, 0, 1], [0x12, 0x80, 255]])
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_16_bit_grey_with_a_transparent_value_lies_on_white():
    grey = np.array([[0x1234, 0x8000]], dtype=np.uint16)
    data = encoded(Image.fromarray(grey), transparency=0x1234)
    np.testing.assert_array_equal(pixels(data)[0], [[255] * 3, [0x80] * 3])


def test_one_bit_is_black_and_white():
    bits = np.array([[True, False], [False, True]])
    found = pixels(encoded(Image.fromarray(bits)))
    np.testing.assert_array_equal(found[..., 1], [[255, 0], [0, 255]])


def test_what_is_transparent_lies_on_white():
    values = np.zeros((1, 3, 4), dtype=np.uint8)
    values[0, :, 0], values[0, :, 3] = 200, (255, 0, 51)
    expected = [[200, 0, 0], [255, 255, 255], [244, 204, 204]]
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(values)))[0], expected)


@pytest.mark.parametrize("transparency", [1, b"\xff\x00\xff"])
def test_a_palette_with_transparency_lies_on_white(transparency):
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).convert("P")
    image.putpalette([9, 8, 7, 6, 5, 4, 3, 2, 1])
    found = pixels(encoded(image, transparency=transparency))
    np.testing.assert_array_equal(found[0], [[9, 8, 7], [255, 255, 255], [3, 2, 1]])


def test_of_an_animation_the_first_picture_counts():
    pictures = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    data = encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    np.testing.assert_array_equal(pixels(data), np.full((4, 4, 3), (255, 0, 0)))


def test_a_single_pixel_is_an_image():
    np.testing.assert_array_equal(
        pixels(encoded(Image.new("RGB", (1, 1), (1, 2, 3)))), [[[1, 2, 3]]]
    )


@pytest.mark.parametrize("size", [(20_000, 20_000), (10_000, 9_000)])
def test_a_huge_image_is_refused_by_its_header(size):
    assert size[0] * size[1] > MAX_PIXELS
    with pytest.raises(BadImageError, match=r"more than 89,478,485 pixels") as error:
        decode(png_header(*size), "huge.png")
    assert str(error.value).startswith("huge.png cannot be read as an image (")


def test_a_thread_of_pixels_is_refused():
    with pytest.raises(BadImageError, match="1 x 201: one side is more than 200 times"):
        decode(encoded(Image.new("L", (1, 201))), "x")
    assert decode(encoded(Image.new("L", (1, 200))), "x").size == (1, 200)


def test_32_bits_of_unknown_range_are_refused():
    for image in (Image.new("F", (2, 2)), Image.new("I", (2, 2))):
        with pytest.raises(BadImageError, match="32 bits, of unknown range"):
            decode(encoded(image, "TIFF"), "x")


@pytest.mark.parametrize(
    "kind", ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"]
)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_bad(kind, share):
    large = np.random.default_rng(1).integers(256, size=(64, 64, 3), dtype=np.uint8)
    try:
        data = encoded(Image.fromarray(large), kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {kind}")
    assert pixels(data).shape == (64, 64, 3)
    with pytest.raises(BadImageError) as error:
        decode(data[: int(share * len(data))], "cut")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"no image at all", "not an image of a known format, but a text file"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "not an image of a known format, but a PostScript file",
        ),
    ],
)
def test_what_is_no_image_is_bad(data, reason):
    with pytest.raises(BadImageError) as error:
        decode(data, "x")
    assert (error.value.path, error.value.reason) == ("x", reason)


def test_damaged_bytes_give_an_image_or_are_bad_and_nothing_else():
    generator = np.random.default_rng(2)
    for kind in ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"):
        data = np.frombuffer(encoded(Image.fromarray(NOISE), kind), np.uint8)
        for _ in range(100):
            damaged = data.copy()
            places = generator.integers(len(data), size=3)
            damaged[places] = generator.integers(256, size=3)
            with contextlib.suppress(BadImageError):
                assert decode(damaged.tobytes(), "x").mode == "RGB"


def test_files_are_read_by_path(tmp_path):
    (tmp_path / "größe.dat").write_bytes(encoded(Image.fromarray(NOISE)))
    np.testing.assert_array_equal(np.asarray(read_file(tmp_path / "größe.dat")), NOISE)
    for path, reason in [("gone.png", "no such file or directory"), (".", "not a file")]:
        with pytest.raises(BadImageError) as error:
            read_file(tmp_path / path)
        assert (error.value.path, error.value.reason) == (str(tmp_path / path), reason)


def test_an_error_survives_the_way_out_of_a_process():
    error = pickle.loads(pickle.dumps(BadImageError("x", "why")))
    assert (error.path, error.reason, str(error)) == ("x", "why", str(BadImageError("x", "why")))


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_arrays_become_images(channels):
    array = np.full((2, 3, *channels), 255, dtype=np.uint8)
    image = from_array(array)
    assert (image.mode, image.size) == ("RGB", (3, 2))
    np.testing.assert_array_equal(np.asarray(image), 255)


def test_an_array_of_colours_is_kept_to_the_bit():
    np.testing.assert_array_equal(np.asarray(from_array(NOISE)), NOISE)


@pytest.mark.parametrize(
    "array",
    [NOISE.astype(np.float32), NOISE.transpose(2, 0, 1), NOISE[None], NOISE[..., :2], NOISE[:0]],
)
def test_an_array_that_is_no_image_is_refused(array):
    with pytest.raises(LpclipError, match=r"must be an array of uint8, \[H, W\] or"):
        from_array(array)


def test_images_of_pillows_are_treated_alike():
    faint = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
    assert to_rgb(faint, "x").getpixel((0, 0)) == (255, 255, 255)
    solid = Image.new("RGBA", (1, 1), (3, 2, 1, 255))
    assert to_rgb(solid, "x").getpixel((0, 0)) == (3, 2, 1)


def test_images_are_recognised_by_their_first_bytes(tmp_path):
    path = tmp_path / "file"
    for kind in ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"):
        path.write_bytes(encoded(Image.fromarray(NOISE), kind))
        assert is_image(path), kind
    for text in (
        b"",
        b"BMW sells cars",
        b"P5 is a format",
        b"id,path\n",
        b"\0\0\0\1Bud1" + bytes(60),
    ):
        path.write_bytes(text)
        assert not is_image(path), text
