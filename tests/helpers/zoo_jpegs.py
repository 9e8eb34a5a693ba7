"""Unusual JPEG files: their encodings and orientation tags."""

import base64
import struct

import numpy as np
from PIL import Image, ImageCms

from tests.helpers.zoo_parts import PHOTO, TURNED, Odd, encoded, exif, in_jpeg, pillow, xmp


def jpegs() -> dict[str, Odd]:
    """JPEG files without orientation, plain and unusual."""
    photo = Image.fromarray(PHOTO)
    plain = encoded(photo, "JPEG", quality=90)
    ink = np.full((16, 16, 4), (200, 30, 120, 60), np.uint8)
    four = encoded(
        Image.frombytes("CMYK", (16, 16), ink.tobytes()), "JPEG", quality=100, subsampling=0
    )
    adobe = four.index(b"Adobe") + 11
    # Without chroma, cyan, magenta and yellow equal Y, which is stored as 255 - 155.
    grey_ink = np.full((16, 16, 4), (155, 127, 127, 60), np.uint8)
    ycck = encoded(
        Image.frombytes("CMYK", (16, 16), grey_ink.tobytes()), "JPEG", quality=100, subsampling=0
    )
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
    # Cut in the middle, with an end marker: the decoder fills in the rest.
    found["torn.jpg"] = Odd(plain[: len(plain) * 2 // 3] + b"\xff\xd9", None)
    found["photoshop-part-torn.jpg"] = Odd(in_jpeg(plain, (0xED, b"Photoshop 3.0\x008BIM\4")), None)
    found["profile-torn.jpg"] = Odd(in_jpeg(plain, (0xE2, b"ICC_PROFILE\0")), None)
    found["jfif-torn.jpg"] = Odd(in_jpeg(plain, (0xE0, b"JFIF\0")), None)
    found["pictures-torn.jpg"] = Odd(in_jpeg(plain, (0xE2, b"MPF\0II*\0\xff\xff")), None)
    found["unknown-part.jpg"] = Odd(in_jpeg(plain, (0xEB, b"JP anything")), pillow(plain))
    return found


def turned_jpegs() -> dict[str, Odd]:
    """JPEG files with an orientation, in every format and position."""
    plain = encoded(PHOTO, "JPEG", quality=90)
    upright = pillow(plain)
    head, xmp_head = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
    # A text entry whose offset is beyond the end.
    astray = struct.pack("<HHII", 0x010E, 2, 500, 0xFFFFFF)
    # Version and size of the thumbnail have invalid types, so they cannot be written back.
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
