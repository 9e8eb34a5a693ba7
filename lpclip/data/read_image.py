"""Decode files, arrays and Pillow images to 8-bit RGB, in the same way for every source.

- The orientation in EXIF or XMP data or a TIFF tag is applied.
- Transparent areas become white, as in the training sets of CLIP models.
- Of 16 and 12 bits the upper 8 are kept, as Pillow does for coloured PNG files; floats and 32-bit
  integers, whose range is unknown, are refused.
- Of an animation or a file of several pages, the first picture is read.
- Colour profiles are ignored, as in the training of models.
- More than ``MAX_PIXELS`` pixels, or a side ``MAX_RATIO`` times as long as the other, are refused
  by the header, before decoding; so is a format that is not in ``FORMATS``.
- Truncated files are refused.
"""

import contextlib
import io
import stat
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from lpclip.errors import BadImageError, LpclipError
from lpclip.storage.file_kinds import START, UNKNOWN, type_of_bytes

# Accepted formats. Others of Pillow run programs (EPS), or are not for photographs.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own limit, 9,459 x 9,459: 256 MiB once decoded
MAX_RATIO = 200  # beyond, resizing the short side to 224 would fill the memory
BACKGROUND = (255, 255, 255)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow scales the levels of grey PNG files of few bits to 0..255, but not the transparent level.
_KEY_FACTORS = {"1": 255, "L;2": 85, "L;4": 17}
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


def read_file(path: str | Path) -> Image.Image:
    """Read an image file, RGB; BadImageError if it is no complete image of a known format."""
    with _opened(path) as file:
        return decode(file, str(path))


def read_bytes(path: str | Path) -> bytes:
    """Read the bytes of a file; BadImageError if there is none."""
    with _opened(path) as file:
        return file.read()


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[IO[bytes]]:
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # opening a pipe would block
            raise BadImageError(str(path), "not a file")
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise BadImageError(str(path), (error.strerror or str(error)).lower()) from error


def decode(data: bytes | IO[bytes], name: str) -> Image.Image:
    """Decode an encoded file, in memory or open, RGB; errors name it, as those of ``read_file``."""
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    with _reasons(name):
        if not (start := file.read(START)):
            raise BadImageError(name, "the file is empty")
        file.seek(0)
        try:
            opened = Image.open(file, formats=_formats())
        except UnidentifiedImageError as error:
            found = type_of_bytes(start)
            other = "" if found == UNKNOWN or found.endswith("image") else f", but {found}"
            raise BadImageError(name, f"not an image of a known format{other}") from error
        with opened as image:
            return _rgb(image, name)


def is_upright_jpeg(data: bytes) -> bool:
    """Whether bytes start like a JPEG file of one picture that needs no rotation."""
    try:
        with _QUIET, Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return image.format == "JPEG" and _turn(image) is None
    except Exception:  # ``decode`` reports it
        return False


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Convert a Pillow image, decoded or not, to RGB; BadImageError if it cannot be decoded."""
    with _reasons(name):
        return _rgb(image, name)


def from_array(array: npt.NDArray[np.uint8]) -> Image.Image:
    """Convert uint8 ``[H, W]`` or ``[H, W, C]`` with C of 1, 3 or 4 (grey, RGB, RGBA) to RGB."""
    grey = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    known = grey.ndim == 2 or (grey.ndim == 3 and grey.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not known or not array.size:
        raise LpclipError(
            "An image must be an array of uint8, [H, W] or [H, W, C] with 1, 3 or 4 channels, "
            f"not {array.dtype} {list(array.shape)}."
        )
    return _opaque(Image.fromarray(np.ascontiguousarray(grey)))


def is_image(path: str | Path) -> bool:
    """Whether a file is an image by its first bytes, whatever its name; OSError without a file."""
    with Path(path).open("rb") as file:
        start = file.read(32)
        # Pillow's functions may also return a text: why they cannot read the format.
        if not any(Image.OPEN[name][1](start) is True for name in _formats()):  # type: ignore[misc]
            return False
        if not start.startswith((b"BM", b"P")):
            return True
        file.seek(0)  # BMP and PPM start with letters, as a text may
        with contextlib.suppress(BadImageError), _reasons(str(path)):
            Image.open(file, formats=_formats())
            return True
    return False


@contextlib.contextmanager
def _reasons(name: str) -> Iterator[None]:
    """Turn any error of a decoder into one that names the image."""
    try:
        with _QUIET:
            yield
    except (LpclipError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise BadImageError(name, f"more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise BadImageError(name, "not an image of a known format") from error
    except Exception as error:  # decoders raise nearly any type for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(name, reason) from error


class _Quiet:
    """Suppress warnings about odd metadata and large images: whatever matters is an error.

    Warning filters are global to the process; among threads that read images in parallel, the first
    sets them and the last restores them.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.__exit__(None, None, None)


_QUIET = _Quiet()


def _rgb(image: Image.Image, name: str) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImageError(name, f"{width} x {height} is more than {MAX_PIXELS:,} pixels")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BadImageError(
            name, f"{width} x {height}: one side is more than {MAX_RATIO} times the other"
        )
    stored = _Stored.of(image)
    image.load()
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise BadImageError(name, "its pixels have 32 bits, of unknown range")
    if "transparency" in image.info:
        image.info["transparency"] = stored.key(image.info["transparency"])
    found = _opaque(_eight_bits(_upright(image), stored))
    found.info = {}  # metadata was applied and no longer describes the pixels
    return found


class _Stored(NamedTuple):
    """How a file stores its pixels, as far as Pillow does not convert them."""

    raw: str  # Pillow's name of the layout, such as "L;4"
    bits: int  # per grey value, if more than 8
    inverted: bool  # whether such a value of 0 means white

    @classmethod
    def of(cls, image: Image.Image) -> "_Stored":
        """Inspect an image that is not decoded yet."""
        tiles = getattr(image, "tile", None)
        arguments = tiles[0][3] if tiles else None
        raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
        tags = getattr(image, "tag_v2", {})
        inverted = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        return cls(raw if isinstance(raw, str) else "", 12 if raw == "I;12" else 16, inverted)

    def key(self, value: Any) -> Any:
        """Convert the transparent value of a PNG file to the decoded range."""
        if isinstance(value, int) and self.raw in _KEY_FACTORS:
            return min(value * _KEY_FACTORS[self.raw], 255)
        if isinstance(value, tuple) and self.raw == "RGB;16B":
            return tuple(level >> 8 for level in value)
        return value


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _turn(image)
    except Exception:  # invalid metadata: no rotation
        return image
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return the rotation in EXIF or XMP data or a tag.

    Like ``ImageOps.exif_transpose``, which fails if it cannot rewrite the other tags.
    """
    return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))


def _eight_bits(image: Image.Image, stored: _Stored) -> Image.Image:
    """Convert images of 12 and 16 bits to 8; return others unchanged."""
    if image.mode not in ("I", *_SIXTEEN_BITS):
        return image
    values = np.asarray(image).astype(np.int64)
    levels = (values >> (stored.bits - 8)).astype(np.uint8)
    grey = Image.fromarray(255 - levels if stored.inverted else levels)
    if isinstance(key := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _opaque(image: Image.Image) -> Image.Image:
    """Convert to RGB, with transparent areas on the background."""
    if image.mode == "La":  # premultiplied grey: Pillow has only this conversion
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    below = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    return Image.alpha_composite(below, image).convert("RGB")


@cache
def _formats() -> tuple[str, ...]:
    """Return the accepted formats that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
