"""Plain JPEG files, of which torchvision's decoder makes the same pixels as Pillow's.

It lets other threads of Python run while it decodes, Pillow only in part. torchvision will drop it
one day (it is deprecated since 0.29); Pillow then does all.
"""

import struct
from collections.abc import Callable

import torch
import torchvision.io
from PIL import ExifTags, Image
from torch import Tensor

from lpclip.data._images import MAX_PIXELS, MAX_RATIO

_START, _END, _SCAN, _EXIF, _ADOBE = 0xD8, b"\xff\xd9", 0xDA, 0xE1, 0xEE
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, Huffman-coded
_ALONE = (0x01, *range(0xD0, 0xD8))  # markers without a length


def decode_plain(data: bytes, *, largest: int) -> Tensor | None:
    """Pixels of a plain JPEG file, uint8 ``[3, H, W]``; None of others, which Pillow is to read.

    Args:
        data: the file.
        largest: pixels of the largest image that is decoded.
    """
    decode: Callable[..., Tensor] | None = getattr(torchvision.io, "decode_jpeg", None)
    size = plain_size(data)
    if decode is None or size is None or size[0] * size[1] > largest:
        return None
    try:
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return decode(encoded, torchvision.io.ImageReadMode.RGB)
    except RuntimeError:  # damaged: Pillow's reader says how
        return None


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a plain JPEG file; None of any other file.

    Plain is a whole file of 8 bits, grey or YCbCr, that EXIF data do not turn, within the limits of
    ``lpclip.data._images``.
    """
    if not data.startswith(b"\xff\xd8\xff") or not data.endswith(_END):
        return None
    size, place = None, 2
    while place + 4 <= len(data):
        mark, kind, length = (
            data[place],
            data[place + 1],
            int.from_bytes(data[place + 2 : place + 4]),
        )
        segment = data[place + 4 : place + 2 + length] if kind != _SCAN else b""
        if mark != 0xFF or kind in _ALONE or length < 2:
            return None
        if kind == _SCAN:
            return size
        if kind == _EXIF and segment.startswith(b"Exif") and _turned(segment):
            return None
        # Adobe's transform 0 says that the three components are RGB themselves.
        if kind == _ADOBE and segment.startswith(b"Adobe") and segment[11:12] != b"\x01":
            return None
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            size = _size(segment) if kind in _FRAMES else None
            if size is None:
                return None
        place += 2 + length
    return None


def _turned(segment: bytes) -> bool:
    exif = Image.Exif()
    try:
        exif.load(segment)
        return bool(exif.get(ExifTags.Base.Orientation, 1) != 1)
    except Exception:  # whatever disorder raises: then it is Pillow that reads the file
        return True


def _size(frame: bytes) -> tuple[int, int] | None:
    if len(frame) < 9:
        return None
    bits, height, width, components = struct.unpack(">BHHB", frame[:6])
    # Components that are called R, G, B are just that.
    rgb = components == 3 and bytes(frame[6::3][:3]) == b"RGB"
    whole = bits == 8 and components in (1, 3) and not rgb and min(width, height) > 0
    fits = width * height <= MAX_PIXELS and max(width, height) <= MAX_RATIO * min(width, height)
    return (width, height) if whole and fits else None
