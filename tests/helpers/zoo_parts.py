"""Image files assembled byte by byte, with their contents."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[Any]

RNG = np.random.default_rng(0)
NOISE = RNG.integers(256, size=(6, 8, 3), dtype=np.uint8)
DEEP = RNG.integers(65536, size=(6, 8, 3))
ALPHA = RNG.integers(256, size=(6, 8, 1), dtype=np.uint8)
GREY = NOISE[..., :1]
PALETTE = RNG.integers(256, size=(4, 3), dtype=np.uint8)
PLACES = RNG.integers(4, size=(6, 8, 1))
PHOTO = np.asarray(Image.fromarray(NOISE).resize((40, 26), Image.Resampling.BICUBIC))

TURNED: Mapping[int, Callable[[Pixels], Pixels]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: image.transpose(1, 0, 2)[:, ::-1],
    7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda image: image.transpose(1, 0, 2)[::-1],
}


class Odd(NamedTuple):
    """A file and its contents.

    Attributes:
        data: the file.
        pixels: uint8 ``[H, W, 3]``; or a part of the reason for rejection; None: unknown.
        within: tolerance for the pixels.
    """

    data: bytes
    pixels: Pixels | str | None
    within: int = 0


def encoded(image: Image.Image | Pixels, kind: str, **options: Any) -> bytes:
    """Return a file as written by Pillow."""
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(np.squeeze(image))
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pillow(data: bytes) -> Pixels:
    """Decode a file without unusual features."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def exif(value: int, order: str = "<", *, kind: int = 3, more: bytes = b"") -> bytes:
    """Return EXIF data with an orientation, SHORT or LONG, and optionally another entry."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value).ljust(4, b"\0")
    entry = struct.pack(f"{order}HHI", 0x0112, kind, 1) + packed
    count = struct.pack(f"{order}H", 1 + len(more) // 12)
    return mark + struct.pack(f"{order}I", 8) + count + entry + more + bytes(4)


def xmp(value: int, *, element: bool = False) -> bytes:
    """Return XMP data with an orientation, as an attribute or an element."""
    inside = f' tiff:Orientation="{value}">'
    if element:
        inside = f"><tiff:Orientation>{value}</tiff:Orientation>"
    return f"<x:xmpmeta><rdf:Description{inside}</rdf:Description></x:xmpmeta>".encode()


def in_jpeg(data: bytes, *parts: tuple[int, bytes], before: int | None = None) -> bytes:
    """Insert segments into a JPEG file, after its start or before a marker."""
    place = 2 if before is None else data.index(bytes([0xFF, before]))
    segments = b"".join(
        bytes([0xFF, kind]) + struct.pack(">H", len(part) + 2) + part for kind, part in parts
    )
    return data[:place] + segments + data[place:]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(values: Pixels, depth: int, order: str = ">") -> bytes:
    """Pack samples ``[H, W, C]`` into rows of bits, each row padded to a byte."""
    if depth == 16:
        return values.astype(f"{order}u2").tobytes()
    flat = np.asarray(values).reshape(len(values), -1).astype(int)
    bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(len(flat), -1), axis=1).tobytes()


def png(
    values: Pixels,
    depth: int,
    colour: int,
    *chunks: bytes,
    interlaced: bool = False,
    behind: bytes = b"",
) -> bytes:
    """Return a PNG file of samples ``[H, W, C]``, with chunks before and after the pixels."""
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2))
    passes += ((0, 1, 2, 2), (1, 0, 2, 1))
    parts = [values[a::c, b::d] for a, b, c, d in passes] if interlaced else [values]
    rows = (row for part in parts if part.size for row in part)
    raw = b"".join(b"\0" + packed(row[None], depth) for row in rows)
    body = b"".join(chunks) + chunk(b"IDAT", zlib.compress(raw)) + behind + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def tiff(
    values: Pixels,
    bits: int,
    photometric: int,
    *,
    order: str = "<",
    extra: int | None = None,
    more: Mapping[int, list[int]] | None = None,
    deflated: bool = False,
) -> bytes:
    """Return a TIFF file with one strip of samples ``[H, W, C]`` and further SHORT tags."""
    height, width, channels = values.shape
    data = packed(values, bits, order)
    data = zlib.compress(data) if deflated else data
    tags = {256: [width], 257: [height], 258: [bits] * channels, 259: [8 if deflated else 1]}
    tags |= {262: [photometric], 273: [8], 277: [channels], 278: [height], 279: [len(data)]}
    tags |= {} if extra is None else {338: [extra]}
    tags |= more or {}
    data += bytes(len(data) % 2)
    start = 8 + len(data)
    behind, entries = start + 2 + 12 * len(tags) + 4, b""
    long = b""
    for tag, numbers in sorted(tags.items()):
        value = struct.pack(f"{order}{len(numbers)}H", *numbers)
        entries += struct.pack(f"{order}HHI", tag, 3, len(numbers))
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}I", behind + len(long))
            long += value
    mark = b"II*\0" if order == "<" else b"MM\0*"
    count = struct.pack(f"{order}H", len(tags))
    return mark + struct.pack(f"{order}I", start) + data + count + entries + bytes(4) + long


def bmp(rows: bytes, width: int, height: int, bits: int, *, tail: bytes = b"") -> bytes:
    """Return a BMP file; ``tail`` extends the header, or has the colours after a short one."""
    size = 108 if len(tail) == 68 else 40
    packing = 3 if size == 108 else 0
    n_colours = 0 if size == 108 else len(tail) // 4
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, packing, 0, 0, 0, n_colours, 0)
    start = 14 + 40 + len(tail)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + tail + rows


def grey(levels: Pixels) -> Pixels:
    """Return grey ``[H, W, 1]`` as RGB."""
    return np.repeat(levels, 3, axis=2)


def on_white(colours: Pixels, opacity: Pixels) -> Pixels:
    """Composite colours over white, opacity in 0..255."""
    colours, share = np.broadcast_to(colours, (*colours.shape[:2], 3)), opacity / 255
    return (colours * share + 255 * (1 - share)).round()
