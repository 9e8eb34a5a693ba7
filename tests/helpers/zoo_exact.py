"""Unusual files whose pixels follow from their bytes: PNG, TIFF, BMP, PPM and animations."""

import struct
import zlib

import numpy as np
from PIL import Image, features

from tests.helpers.zoo_parts import (
    ALPHA,
    DEEP,
    GREY,
    NOISE,
    PALETTE,
    PHOTO,
    PLACES,
    TURNED,
    Odd,
    bmp,
    chunk,
    encoded,
    exif,
    grey,
    on_white,
    packed,
    pillow,
    png,
    tiff,
    xmp,
)


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
    near = deep >> 8  # Pillow keeps the upper 8 bits, so a near colour is transparent too
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
    """Animations, of which the first frame counts, and GIF files."""
    solid = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    red = np.full((6, 8, 3), (255, 0, 0))
    whole = {"save_all": True, "append_images": solid[1:]}
    places = Image.fromarray(PLACES[..., 0].astype(np.uint8))
    places.putpalette(PALETTE.tobytes())
    still = encoded(places, "GIF", transparency=1)
    part = bytearray(encoded(places, "GIF"))
    part[6:10] = struct.pack("<HH", 12, 9)  # on a larger screen
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
