"""Odd image files and, where something other than a decoder knows them, their pixels.

Most files are put together here byte by byte, so that their pixels follow from the formats' own
descriptions. Where a format loses something, only the turn and the shape are known: the pixels are
those of the same file without the oddity.
"""

import base64
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, features

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
    """A file and what is in it.

    Attributes:
        data: the file.
        pixels: uint8 ``[H, W, 3]``; a part of the reason why it is refused; None: not known.
        within: how much they may differ.
    """

    data: bytes
    pixels: Pixels | str | None
    within: int = 0


@cache
def zoo() -> Mapping[str, Odd]:
    """All files by name."""
    kinds = (jpegs, turned_jpegs, pngs, tiffs, bitmaps, films, others, bad)
    return {name: odd for kind in kinds for name, odd in kind().items()}


def encoded(image: Image.Image | Pixels, kind: str, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(np.squeeze(image))
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(value: int, order: str = "<", *, kind: int = 3, more: bytes = b"") -> bytes:
    """EXIF data with an orientation, a SHORT or a LONG, and perhaps another entry."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value).ljust(4, b"\0")
    entry = struct.pack(f"{order}HHI", 0x0112, kind, 1) + packed
    count = struct.pack(f"{order}H", 1 + len(more) // 12)
    return mark + struct.pack(f"{order}I", 8) + count + entry + more + bytes(4)


def xmp(value: int, *, element: bool = False) -> bytes:
    """XMP data with an orientation, as an attribute or as an element."""
    inside = f' tiff:Orientation="{value}">'
    if element:
        inside = f"><tiff:Orientation>{value}</tiff:Orientation>"
    return f"<x:xmpmeta><rdf:Description{inside}</rdf:Description></x:xmpmeta>".encode()


def in_jpeg(data: bytes, *parts: tuple[int, bytes], before: int | None = None) -> bytes:
    """A JPEG file with further parts, behind its start or before a marker."""
    place = 2 if before is None else data.index(bytes([0xFF, before]))
    segments = b"".join(
        bytes([0xFF, kind]) + struct.pack(">H", len(part) + 2) + part for kind, part in parts
    )
    return data[:place] + segments + data[place:]


def jpegs() -> dict[str, Odd]:
    """JPEG files that nothing turns, plain and odd."""
    photo = Image.fromarray(PHOTO)
    plain = encoded(photo, "JPEG", quality=90)
    ink = np.full((16, 16, 4), (200, 30, 120, 60), np.uint8)
    four = encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=100, subsampling=0)
    adobe = four.index(b"Adobe") + 11
    # Without chroma, each of cyan, magenta and yellow is Y, which the file has as 255 - 155.
    grey_ink = np.full((16, 16, 4), (155, 127, 127, 60), np.uint8)
    ycck = encoded(Image.fromarray(grey_ink, "CMYK"), "JPEG", quality=100, subsampling=0)
    ycck = ycck[:adobe] + b"\2" + ycck[adobe + 1 :]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    files = {
        "4-4-4.jpg": encoded(photo, "JPEG", subsampling=0),
        "4-2-2.jpg": encoded(photo, "JPEG", subsampling=1),
        "4-2-0.jpg": encoded(photo, "JPEG", subsampling=2),
        "progressive.jpg": encoded(photo, "JPEG", progressive=True),
        "restarts.jpg": encoded(photo, "JPEG", restart_marker_blocks=1),
        "red-green-blue.jpg": encoded(photo, "JPEG", keep_rgb=True, quality=100),
        "profile.jpg": encoded(photo, "JPEG", icc_profile=profile),
        "line.jpg": encoded(PHOTO[:, :1], "JPEG"),
        "pixel.jpg": encoded(PHOTO[:1, :1], "JPEG"),
        "tail.jpg": plain + b"tail",
        "thumbnail-behind.jpg": plain + encoded(PHOTO[:8, :8], "JPEG"),
    }
    found = {name: Odd(data, pillow(data)) for name, data in files.items()}
    found["red-green-blue.jpg"] = Odd(files["red-green-blue.jpg"], PHOTO, within=8)
    found["grey.jpg"] = Odd(
        encoded(PHOTO[..., 0], "JPEG", quality=100), np.repeat(PHOTO[..., :1], 3, axis=2), within=4
    )
    rgb = ((255 - ink[..., :3].astype(int)) * (255 - 60) / 255).round()
    found["cmyk.jpg"] = Odd(four, rgb, within=3)
    level = round(155 * (255 - 60) / 255)
    found["ycck.jpg"] = Odd(ycck, np.full((16, 16, 3), level), within=3)
    for name, text in BY_CJPEG.items():
        found[name] = Odd(base64.b85decode(text), GRADIENT, within=60)
    # Torn in the middle and closed again: the decoder fills what is missing.
    found["torn.jpg"] = Odd(plain[: len(plain) * 2 // 3] + b"\xff\xd9", None)
    found["photoshop-part-torn.jpg"] = Odd(in_jpeg(plain, (0xED, b"Photoshop 3.0\x008BIM\4")), None)
    found["profile-torn.jpg"] = Odd(in_jpeg(plain, (0xE2, b"ICC_PROFILE\0")), None)
    found["jfif-torn.jpg"] = Odd(in_jpeg(plain, (0xE0, b"JFIF\0")), None)
    found["pictures-torn.jpg"] = Odd(in_jpeg(plain, (0xE2, b"MPF\0II*\0\xff\xff")), None)
    found["unknown-part.jpg"] = Odd(in_jpeg(plain, (0xEB, b"JP anything")), pillow(plain))
    return found


def turned_jpegs() -> dict[str, Odd]:
    """JPEG files with an orientation, by every means and in every place."""
    plain = encoded(PHOTO, "JPEG", quality=90)
    upright = pillow(plain)
    head, xmp_head = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
    # An entry of text whose place lies behind the end.
    astray = struct.pack("<HHII", 0x010E, 2, 500, 0xFFFFFF)
    # Version and size of the thumbnail as one would not write them: they cannot be written again.
    odd_kinds = struct.pack("<HHII", 0x0201, 12, 1, 8) + struct.pack("<HHII", 0x9000, 5, 1, 8)
    tall = TURNED[6]
    files = {
        f"exif-{value}.jpg": (in_jpeg(plain, (0xE1, head + exif(value))), turn)
        for value, turn in TURNED.items()
    }
    files |= {
        "exif-big-endian.jpg": (in_jpeg(plain, (0xE1, head + exif(6, ">"))), tall),
        "exif-long.jpg": (in_jpeg(plain, (0xE1, head + exif(6, kind=4))), tall),
        "exif-0.jpg": (in_jpeg(plain, (0xE1, head + exif(0))), TURNED[1]),
        "exif-9.jpg": (in_jpeg(plain, (0xE1, head + exif(9))), TURNED[1]),
        "exif-disorder.jpg": (in_jpeg(plain, (0xE1, head + b"no such thing")), TURNED[1]),
        "exif-empty.jpg": (in_jpeg(plain, (0xE1, head)), TURNED[1]),
        "exif-entry-astray.jpg": (in_jpeg(plain, (0xE1, head + exif(6, more=astray))), tall),
        "exif-odd-kinds.jpg": (in_jpeg(plain, (0xE1, head + exif(6, more=odd_kinds))), tall),
        "exif-late.jpg": (in_jpeg(plain, (0xE1, head + exif(6)), before=0xDA), tall),
        "exif-in-two-parts.jpg": (
            in_jpeg(plain, (0xE1, head + exif(6)[:12]), (0xE1, head + exif(6)[12:])),
            tall,
        ),
        "xmp-attribute.jpg": (in_jpeg(plain, (0xE1, xmp_head + xmp(6))), tall),
        "xmp-element.jpg": (in_jpeg(plain, (0xE1, xmp_head + xmp(8, element=True))), TURNED[8]),
        "xmp-late.jpg": (in_jpeg(plain, (0xE1, xmp_head + xmp(6)), before=0xDA), tall),
        "xmp-of-nothing.jpg": (in_jpeg(plain, (0xE1, xmp_head + b"<x:xmpmeta/>")), TURNED[1]),
        "exif-before-xmp.jpg": (
            in_jpeg(plain, (0xE1, head + exif(1)), (0xE1, xmp_head + xmp(6))),
            TURNED[1],
        ),
        "exif-behind-xmp.jpg": (
            in_jpeg(plain, (0xE1, xmp_head + xmp(1)), (0xE1, head + exif(3))),
            TURNED[3],
        ),
        "two-pictures.mpo": (
            encoded(
                PHOTO,
                "MPO",
                save_all=True,
                append_images=[Image.fromarray(PHOTO[::-1])],
                exif=head + exif(6),
                quality=90,
            ),
            tall,
        ),
    }
    return {name: Odd(data, turn(upright)) for name, (data, turn) in files.items()}


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(values: Pixels, depth: int, order: str = ">") -> bytes:
    """Samples ``[H, W, C]`` as rows of bits, each row filled up to a byte."""
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
    """A PNG file of samples ``[H, W, C]``, with chunks before and behind its pixels."""
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2))
    passes += ((0, 1, 2, 2), (1, 0, 2, 1))
    parts = [values[a::c, b::d] for a, b, c, d in passes] if interlaced else [values]
    rows = (row for part in parts if part.size for row in part)
    raw = b"".join(b"\0" + packed(row[None], depth) for row in rows)
    body = b"".join(chunks) + chunk(b"IDAT", zlib.compress(raw)) + behind + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def grey(levels: Pixels) -> Pixels:
    """Grey ``[H, W, 1]`` as RGB."""
    return np.repeat(levels, 3, axis=2)


def on_white(colours: Pixels, opacity: Pixels) -> Pixels:
    """Colours on white, opacity in 0..255."""
    colours, share = np.broadcast_to(colours, (*colours.shape[:2], 3)), opacity / 255
    return (colours * share + 255 * (1 - share)).round()


def pngs() -> dict[str, Odd]:
    """PNG files of every colour type and depth, with transparency and orientation."""
    found = {}
    for depth in (1, 2, 4):
        top = 2**depth - 1
        levels = GREY.astype(int) >> (8 - depth)
        spread = grey(levels * (255 // top))
        found[f"grey-{depth}.png"] = Odd(png(levels, depth, 0), spread)
        key = chunk(b"tRNS", struct.pack(">H", 1))
        clear = np.where(levels == 1, 255, spread)
        found[f"grey-{depth}-key.png"] = Odd(png(levels, depth, 0, key), clear)
    deep = DEEP.copy()
    deep[0, :4] = [(0x1234,) * 3, (0x1200,) * 3, (0x3434,) * 3, (0x1234, 0x1234, 0)]
    keys = {n: chunk(b"tRNS", struct.pack(f">{n}H", *(0x1234,) * n)) for n in (1, 3)}
    clear = grey(deep[..., :1] >> 8)
    clear[0, 0] = clear[0, 3] = 255
    near = deep >> 8  # Pillow hands on the upper 8 bits, so that a near colour is clear too
    near[0, :2] = 255
    some = chunk(b"tRNS", struct.pack(">3H", *NOISE[2, 3]))
    all_but = NOISE.copy()
    all_but[2, 3] = 255
    plte = chunk(b"PLTE", PALETTE.tobytes())
    seen = PALETTE[PLACES[..., 0]]
    found |= {
        "grey-8.png": Odd(png(GREY, 8, 0), grey(GREY)),
        "grey-8-key.png": Odd(
            png(GREY, 8, 0, chunk(b"tRNS", struct.pack(">H", GREY[1, 1, 0]))),
            grey(np.where(int(GREY[1, 1, 0]) == GREY, 255, GREY)),
        ),
        "grey-16.png": Odd(png(DEEP[..., :1], 16, 0), grey(DEEP[..., :1] >> 8)),
        "grey-16-key.png": Odd(png(deep[..., :1], 16, 0, keys[1]), clear),
        "grey-alpha-8.png": Odd(png(np.dstack([GREY, ALPHA]), 8, 4), on_white(GREY, ALPHA), 1),
        "grey-alpha-16.png": Odd(
            png(np.dstack([DEEP[..., :1], ALPHA.astype(int) * 257]), 16, 4),
            on_white(DEEP[..., :1] >> 8, ALPHA),
            1,
        ),
        "rgb-8-key.png": Odd(png(NOISE, 8, 2, some), all_but),
        "rgb-16.png": Odd(png(DEEP, 16, 2), DEEP >> 8),
        "rgb-16-key.png": Odd(png(deep, 16, 2, keys[3]), near),
        "rgba-8.png": Odd(png(np.dstack([NOISE, ALPHA]), 8, 6), on_white(NOISE, ALPHA), 1),
        "rgba-16.png": Odd(
            png(np.dstack([DEEP, ALPHA.astype(int) * 257]), 16, 6), on_white(DEEP >> 8, ALPHA), 1
        ),
        "clear.png": Odd(png(np.zeros((6, 8, 4), int), 8, 6), np.full((6, 8, 3), 255)),
        "interlaced.png": Odd(png(NOISE, 8, 2, interlaced=True), NOISE),
        "profile.png": Odd(encoded(NOISE, "PNG", icc_profile=b"p" * 200), NOISE),
        "gamma.png": Odd(png(NOISE, 8, 2, chunk(b"gAMA", struct.pack(">I", 200_000))), NOISE),
        "line.png": Odd(png(NOISE[:, :1], 8, 2), NOISE[:, :1]),
    }
    for depth in (2, 4, 8):
        found[f"palette-{depth}.png"] = Odd(png(PLACES, depth, 3, plte), seen)
    opacity = np.array([255, 0, 51, 255], np.uint8)
    found["palette-alpha.png"] = Odd(
        png(PLACES, 8, 3, plte, chunk(b"tRNS", opacity.tobytes())),
        on_white(seen, opacity[PLACES]),
        within=1,
    )
    text = exif(7).hex()
    raw = b"Raw profile type exif\0\0" + zlib.compress(
        f"\nexif\n{len(text) // 2:8}\n{text}\n".encode()
    )
    itxt = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(8)
    late = chunk(b"eXIf", exif(6))
    found |= {
        "exif-5.png": Odd(png(NOISE, 8, 2, chunk(b"eXIf", exif(5, ">"))), TURNED[5](NOISE)),
        "exif-behind.png": Odd(png(NOISE, 8, 2, behind=late), TURNED[6](NOISE)),
        "exif-in-text.png": Odd(png(NOISE, 8, 2, chunk(b"zTXt", raw)), TURNED[7](NOISE)),
        "xmp.png": Odd(png(NOISE, 8, 2, chunk(b"iTXt", itxt)), TURNED[8](NOISE)),
        "exif-disorder.png": Odd(png(NOISE, 8, 2, chunk(b"eXIf", b"II")), NOISE),
        "exif-16.png": Odd(
            png(DEEP[..., :1], 16, 0, chunk(b"eXIf", exif(6))),
            TURNED[6](grey(DEEP[..., :1] >> 8)),
        ),
        "exif-palette-alpha.png": Odd(
            png(PLACES, 8, 3, plte, chunk(b"tRNS", b"\xff\0"), chunk(b"eXIf", exif(3))),
            TURNED[3](np.where(PLACES == 1, 255, seen)),
        ),
    }
    return found


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
    """A TIFF file of one strip of samples ``[H, W, C]``, with further tags of SHORTs."""
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


def tiffs() -> dict[str, Odd]:
    """TIFF files of every colour type and depth, byte order and orientation."""
    one, twelve = GREY.astype(int) >> 7, DEEP[..., :1] >> 4
    deep, plain = DEEP[..., :1], NOISE.astype(int)
    share = ALPHA / 255
    times = (NOISE * share).round().astype(int)
    planes = NOISE.transpose(2, 0, 1).reshape(18, 8, 1)
    separate = {257: [6], 258: [8] * 3, 273: [8, 56, 104], 277: [3], 279: [48] * 3, 284: [2]}
    palette = [int(level) * 257 for c in range(3) for level in [*PALETTE[:, c], *[0] * 252]]
    seen = PALETTE[PLACES[..., 0]]
    fractions = NOISE.astype(np.float32) / 255
    pages = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    ink = np.dstack([NOISE, ALPHA]).astype(int)
    neutral = np.full((6, 8, 3), 128, np.uint8)
    neutral[..., 0] = GREY[..., 0]
    lightness = np.zeros((6, 8, 3), np.uint8)
    lightness[:, 4:, 0] = 255
    found = {
        "bit-white-is-0.tif": Odd(tiff(one, 1, 0), grey(255 * (1 - one))),
        "grey-4.tif": Odd(tiff(GREY.astype(int) >> 4, 4, 1), grey((GREY.astype(int) >> 4) * 17)),
        "grey-white-is-0.tif": Odd(tiff(GREY, 8, 0), grey(255 - GREY)),
        "grey-12.tif": Odd(tiff(twelve, 12, 1), grey(twelve >> 4)),
        "grey-16.tif": Odd(tiff(deep, 16, 1), grey(deep >> 8)),
        "grey-16-big-endian.tif": Odd(tiff(deep, 16, 1, order=">"), grey(deep >> 8)),
        "grey-16-deflated.tif": Odd(tiff(deep, 16, 1, deflated=True), grey(deep >> 8)),
        "grey-16-white-is-0.tif": Odd(tiff(deep, 16, 0), grey(255 - (deep >> 8))),
        "grey-16-turned.tif": Odd(tiff(deep, 16, 1, more={274: [6]}), TURNED[6](grey(deep >> 8))),
        "grey-alpha.tif": Odd(
            tiff(np.dstack([GREY, ALPHA]), 8, 1, extra=2), on_white(GREY, ALPHA), 1
        ),
        "grey-times-alpha.tif": Odd(
            tiff(np.dstack([times[..., :1], ALPHA]), 8, 1, extra=1),
            grey(times[..., :1] + 255 - ALPHA.astype(int)),
            within=2,
        ),
        "rgb-16.tif": Odd(tiff(DEEP, 16, 2), DEEP >> 8),
        "rgb-16-big-endian.tif": Odd(tiff(DEEP, 16, 2, order=">"), DEEP >> 8),
        "rgb-alpha.tif": Odd(
            tiff(np.dstack([NOISE, ALPHA]), 8, 2, extra=2), on_white(NOISE, ALPHA), 1
        ),
        "rgb-times-alpha.tif": Odd(
            tiff(np.dstack([times, ALPHA]), 8, 2, extra=1),
            times + 255 - ALPHA.astype(int),
            within=2,
        ),
        "rgb-not-alpha.tif": Odd(tiff(np.dstack([NOISE, ALPHA]), 8, 2, extra=0), NOISE),
        "planes.tif": Odd(tiff(planes, 8, 2, more=separate), NOISE),
        "palette.tif": Odd(tiff(PLACES, 8, 3, more={320: palette}), seen),
        "palette-alpha.tif": Odd(
            tiff(np.dstack([PLACES, ALPHA]), 8, 3, extra=2, more={320: palette}),
            on_white(seen, ALPHA),
            within=1,
        ),
        "cmyk.tif": Odd(tiff(ink, 8, 5), (255 - plain) * (255 - ALPHA.astype(int)) / 255, within=2),
        "ycbcr.tif": Odd(tiff(neutral, 8, 6, more={530: [1, 1]}), grey(GREY), within=1),
        "lab.tif": Odd(tiff(lightness, 8, 8), np.repeat(lightness[..., :1], 3, axis=2), within=2),
        "pages.tif": Odd(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), NOISE),
        "lzw.tif": Odd(encoded(NOISE, "TIFF", compression="tiff_lzw"), NOISE),
        "fractions.tif": Odd(encoded(fractions[..., 0], "TIFF"), "of unknown range"),
        "whole-numbers.tif": Odd(
            encoded(DEEP[..., 0].astype(np.int32), "TIFF"), "of unknown range"
        ),
        "signed.tif": Odd(tiff(deep, 16, 1, more={339: [2]}), "of unknown range"),
    }
    both = Image.Exif()
    both[0x0112] = 6
    for name, tags in {"xmp": {}, "xmp-and-tag": {"exif": both}}.items():
        data = encoded(NOISE, "TIFF", tiffinfo={700: xmp(6)}, **tags)
        found[f"{name}.tif"] = Odd(data, TURNED[6](NOISE))
    for value, turn in TURNED.items():
        order = "<>"[value % 2]
        data = tiff(NOISE, 8, 2, order=order, more={274: [value]}, deflated=value > 4)
        found[f"turned-{value}.tif"] = Odd(data, turn(NOISE))
    return found


def bmp(rows: bytes, width: int, height: int, bits: int, *, tail: bytes = b"") -> bytes:
    """A BMP file; ``tail`` is a longer header's, or the colours behind a short one."""
    size = 108 if len(tail) == 68 else 40
    packing = 3 if size == 108 else 0
    n_colours = 0 if size == 108 else len(tail) // 4
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, packing, 0, 0, 0, n_colours, 0)
    start = 14 + 40 + len(tail)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + tail + rows


def bitmaps() -> dict[str, Odd]:
    """BMP and PPM files."""
    bgr, bgra = NOISE[..., ::-1], np.dstack([NOISE[..., ::-1], ALPHA])
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    five = NOISE.astype(int) >> 3
    short = ((five[..., 0] << 10) | (five[..., 1] << 5) | five[..., 2]).astype("<u2")
    colours = np.pad(PALETTE[:, ::-1], ((0, 0), (0, 1))).tobytes()
    ten = DEEP[..., :1] >> 6
    bits = GREY.astype(int) >> 7
    return {
        "upwards.bmp": Odd(bmp(bgr[::-1].tobytes(), 8, 6, 24), NOISE),
        "downwards.bmp": Odd(bmp(bgr.tobytes(), 8, -6, 24), NOISE),
        "four-bytes.bmp": Odd(bmp(bgra[::-1].tobytes(), 8, 6, 32), NOISE),
        "alpha.bmp": Odd(
            bmp(bgra[::-1].tobytes(), 8, 6, 32, tail=masks), on_white(NOISE, ALPHA), 1
        ),
        "five-bits.bmp": Odd(bmp(short[::-1].tobytes(), 8, 6, 16), five * 255 // 31, within=1),
        "palette.bmp": Odd(
            bmp(packed(PLACES[::-1], 4), 8, 6, 4, tail=colours), PALETTE[PLACES[..., 0]]
        ),
        "rgb-16.ppm": Odd(b"P6 8 6 65535\n" + packed(DEEP, 16), DEEP >> 8, within=1),
        "grey-16.pgm": Odd(b"P5 8 6 65535\n" + packed(DEEP[..., :1], 16), grey(DEEP[..., :1] >> 8)),
        "grey-10.pgm": Odd(b"P5 8 6 1023\n" + packed(ten, 16), grey(ten >> 2), within=1),
        "bits.pbm": Odd(b"P4 8 6\n" + packed(bits, 1), grey(255 * (1 - bits))),
        "numbers.ppm": Odd(b"P3 8 6 255\n" + " ".join(map(str, NOISE.ravel())).encode(), NOISE),
        "fractions.pfm": Odd(
            b"Pf 8 6 -1.0\n" + DEEP[..., 0].astype("<f4").tobytes(), "of unknown range"
        ),
    }


def films() -> dict[str, Odd]:
    """Animations, of which the first picture counts, and GIF files."""
    solid = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    red = np.full((6, 8, 3), (255, 0, 0))
    whole = {"save_all": True, "append_images": solid[1:]}
    places = Image.fromarray(PLACES[..., 0].astype(np.uint8), "L")
    places.putpalette(PALETTE.tobytes())
    still = encoded(places, "GIF", transparency=1)
    part = bytearray(encoded(places, "GIF"))
    part[6:10] = struct.pack("<HH", 12, 9)  # of a larger screen
    place = part.index(b",\0\0\0\0\x08\0\x06\0")
    part[place + 1 : place + 5] = struct.pack("<HH", 2, 1)
    return {
        "film.gif": Odd(encoded(solid[0], "GIF", **whole), red),
        "film.png": Odd(encoded(solid[0], "PNG", **whole), red),
        "title-and-film.png": Odd(
            encoded(Image.fromarray(NOISE), "PNG", default_image=True, **whole), NOISE
        ),
        "film.webp": Odd(encoded(solid[0], "WEBP", lossless=True, **whole), red),
        "clear.gif": Odd(still, np.where(PLACES == 1, 255, PALETTE[PLACES[..., 0]])),
        "part.gif": Odd(bytes(part), None),
        "interlaced.gif": Odd(encoded(places, "GIF", interlace=1), PALETTE[PLACES[..., 0]]),
    }


def others() -> dict[str, Odd]:
    """WebP, JPEG 2000 and AVIF files."""
    rgba = np.dstack([NOISE, ALPHA])
    exact = {"lossless": True, "exact": True}
    found = {
        "alpha.webp": Odd(encoded(rgba, "WEBP", **exact), on_white(NOISE, ALPHA), 1),
        "exif.webp": Odd(encoded(NOISE, "WEBP", exif=exif(6), **exact), TURNED[6](NOISE)),
        "xmp.webp": Odd(encoded(NOISE, "WEBP", xmp=xmp(8), **exact), TURNED[8](NOISE)),
    }
    if features.check("jpg_2000"):
        deep = Image.fromarray(DEEP[..., 0].astype(np.uint16))
        found |= {
            "rgb.jp2": Odd(encoded(NOISE, "JPEG2000"), NOISE),
            "alpha.jp2": Odd(encoded(rgba, "JPEG2000"), on_white(NOISE, ALPHA), 1),
            "grey-16.jp2": Odd(encoded(deep, "JPEG2000"), grey(DEEP[..., :1] >> 8)),
        }
    if features.check("avif"):
        upright = pillow(encoded(PHOTO, "AVIF", quality=90))
        turned = encoded(PHOTO, "AVIF", quality=90, exif=exif(6))
        found["exif.avif"] = Odd(turned, TURNED[6](upright))
    return found


def bad() -> dict[str, Odd]:
    """Files that are refused."""
    plain = encoded(PHOTO, "JPEG")
    huge = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", huge)
    return {
        "cut.jpg": Odd(plain[:-60], "truncated"),
        "cut-in-header.jpg": Odd(plain[:100] + b"\xff\xd9", ""),
        "cut.png": Odd(png(NOISE, 8, 2)[:-40], ""),
        "cut.tif": Odd(tiff(DEEP, 16, 2)[:100], ""),
        "cut.webp": Odd(encoded(NOISE, "WEBP")[:-20], ""),
        "empty.jpg": Odd(b"", "the file is empty"),
        "text.jpg": Odd(b"I am a photograph, honestly.", "not an image of a known format"),
        "program.eps": Odd(b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image of a known format"),
        "icon.ico": Odd(encoded(NOISE, "ICO"), "not an image of a known format"),
        "targa.tga": Odd(encoded(NOISE, "TGA"), "not an image of a known format"),
        "drawing.svg": Odd(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        "thread.png": Odd(png(np.zeros((1, 201, 1), int), 8, 0), "more than 200 times"),
        "thread.jpg": Odd(encoded(np.zeros((1, 400), np.uint8), "JPEG"), "more than 200 times"),
        "huge.png": Odd(header + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "89,478,485 pixels"),
    }


def pillow(data: bytes) -> Pixels:
    """A file without oddities, decoded."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


_Y, _X = np.mgrid[:18, :26]
GRADIENT = np.stack([9 * _X, 13 * _Y, np.clip(255 - 5 * (_X + _Y), 0, 255)], axis=-1)
# GRADIENT as written by libjpeg-turbo's cjpeg, since Pillow writes neither: -quality 40 and
# -sample 1x2, 4x1, 1x1,2x2,1x1, -arithmetic, -arithmetic -progressive.
BY_CJPEG = {
    "4-4-0.jpg": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9M"
        "r4R(ZFhTtf`Lw8jhBplmUDiAeE-`3Lje^R7akfOJ0T%Ed{ahKe0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0"
        "+R-e0+R-e0+R-e0+R-e0+R-e0=}F01*fP5&#+l0TKWL5di}c0sq7R7XSeP0RaF20000000000000F50|NiV02&"
        "Yg0s{d70000000000000000s#bJ6cPW#02ToO0RaF20000000000000041qT1b02mPg00RL400000000000000"
        "00s{mT|Jncy0|5X65d#qbKL8OcV7gYq#Pz4wpn6upbgh8rtorm1O4uxwuoU&5UV*&WFU^7a%II*B1S)JbZPFlt"
        "O#0iTK?9lfwDJf!Pyg8"
    ),
    "4-1-1.jpg": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9M"
        "r4R(ZFhTtf`Lw8jhBplmUDiAeE-`3Lje^R7akfOJ0T%Ed{ahKe0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0"
        "+R-e0+R-e0+R-e0+R-e0+R-e0=}F01*fP5&#+l0YLx)5di}c0sq7R761VO0RR910000000000000951^>hV8V~"
        ">i0|5a50000000000000020R&+b5&y&h6#)SO000000000000000000C9|HJ?o5dZ@L0RR9100000000000009"
        "7Au<2j01N{G00I#M5dc2`#7fvYR>9J?3C)EY8>3-n3YD;Qt%D_O7n=!Hw?IP7AtDDzfzlvPAPt=h4-fy@"
    ),
    "more-chroma.jpg": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9M"
        "r4R(ZFhTtf`Lw8jhBplmUDiAeE-`3Lje^R7akfOJ0T%Ed{ahKe0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0"
        "+R-e0+R-e0+R-e0+R-e0+R-e0=}F01*fP5&#+l0TBQKA^`&t0sq7R6aWDL000000000000000000F4!~hx)00I"
        "I700000000000000000RXvAwgpQ!~hoo0RaI40000000000000001ONpF|HJ?q5di@K0RaI400000000000006"
        "51QQ`K|Jncy0|5X65d#qbKL8qIxjHM<JJf5`JJf!DgBKl&6MBv69qK=;Z!V99r$(KHX*n))S3vA^o0)z;|Je"
    ),
    "arithmetic.jpg": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9M"
        "r4R(ZFhTtf`Lw8jhBplmUDiAeE-`3Lje^R7akfOJ0T%Ed{ahKe0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0"
        "+R-e0+R-e0+R-e0+R-e0+R-e0=}O01*fP5&#+l0U`hb5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#07x"
        "cKK}$ZZw()kZU6#(<Nu6K*om1TOtfTyXgf$u?DN}N$nt?jtEHt28@hid}z5tn57$N`J"
    ),
    "arithmetic-progressive.jpg": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV02B@n5)Ta&5)cv>6%-gAG9exu93DL^E+jHZKuk+VKt@GST61DhRc%&9M"
        "r4R(ZFhTtf`Lw8jhBplmUDiAeE-`3Lje^R7akfOJ0T%Ed{ahKe0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0+R-e0"
        "+R-e0+R-e0+R-e0+R-e0+R-e0=}P01*fP5&#+l0U`hb5di}c0sqVZ1^^HN5dYc$3<CiG0uTcb00060knIY4<e>"
        "dbz&kOQ3)Vhp0>J;w00a;P|Jncu0RaF31p=evBF?stfd9+@1Q7-Q+5iXv0|5a)0UC8lZ9xCb00a>Q|Jncu0RjO"
        "5KLI_^l`44u%m4%s1^?Or2mt{A20sG8|I7dc5C#9*00;pA00BQC-)UVJ!2j9+3<CiG0ssR5000oP#RC7#00a>Q"
        "|Jncu0RsU6KM<e7aR1Bz1Q7-Q+5iXv0s#R(5DnG;%m4%s1^?Or2mt{A0Y4DaKwmEy#q{+5*#"
    ),
}
