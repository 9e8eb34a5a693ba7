"""Decode plain JPEG files with torchvision, which gives the same pixels as Pillow.

torchvision's decoder releases the GIL entirely, Pillow's only in part. It is deprecated since 0.29;
once it is gone, Pillow decodes all files.

A file is plain if no segment changes the result: segments that may (EXIF, XMP and other application
data) are first read by Pillow.
"""

import struct
from collections.abc import Callable

import torch
import torchvision.io
from torch import Tensor

from lpclip.data.read_image import MAX_PIXELS, MAX_RATIO, is_upright_jpeg

_END, _SCAN = b"\xff\xd9", 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, Huffman-coded
_TABLES = (0xC4, 0xDB, 0xDD, 0xFE)  # Huffman codes, quantization, restarts, comments
_JFIF, _PROFILE, _ADOBE = 0xE0, 0xE2, 0xEE
_APPLICATIONS = range(0xE0, 0xF0)


def decode_plain(data: bytes, *, largest: int) -> Tensor | None:
    """Decode a plain JPEG file, uint8 ``[3, H, W]``; None for others and for too many pixels."""
    decode: Callable[..., Tensor] | None = getattr(torchvision.io, "decode_jpeg", None)
    size = plain_size(data)
    if decode is None or size is None or size[0] * size[1] > largest:
        return None
    try:
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return decode(encoded, torchvision.io.ImageReadMode.RGB)
    except RuntimeError:  # damaged: Pillow's reader reports the reason
        return None


def plain_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a plain JPEG file; None for any other file.

    Plain is a complete file of 8 bits, grey or YCbCr, that needs no rotation and is within the
    limits of ``lpclip.data.read_image``.
    """
    if not data.startswith(b"\xff\xd8\xff") or not data.endswith(_END):
        return None
    size, place, known = None, 2, True
    while place + 4 <= len(data):
        mark, kind = data[place], data[place + 1]
        length = int.from_bytes(data[place + 2 : place + 4])
        if mark != 0xFF or length < 2:
            return None
        if kind == _SCAN:
            return size if known or is_upright_jpeg(data) else None
        segment = data[place + 4 : place + 2 + length]
        if kind in _FRAMES and size is None:
            if (size := _size(segment)) is None:
                return None
        elif kind == _ADOBE and segment.startswith(b"Adobe"):
            # Adobe's transform 0 means that the three components are RGB.
            if segment[11:12] != b"\x01":
                return None
        elif kind in _APPLICATIONS:
            known = known and _changes_nothing(kind, segment)
        elif kind not in _TABLES:
            return None
        place += 2 + length
    return None


def _changes_nothing(kind: int, segment: bytes) -> bool:
    """Whether an application segment neither rotates nor invalidates the image."""
    return (kind == _JFIF and segment.startswith(b"JFIF\0") and len(segment) >= 12) or (
        kind == _PROFILE and segment.startswith(b"ICC_PROFILE\0") and len(segment) >= 14
    )


def _size(frame: bytes) -> tuple[int, int] | None:
    if len(frame) < 9:
        return None
    bits, height, width, components = struct.unpack(">BHHB", frame[:6])
    # Components with the ids R, G, B are RGB.
    rgb = components == 3 and bytes(frame[6::3][:3]) == b"RGB"
    whole = bits == 8 and components in (1, 3) and not rgb and min(width, height) > 0
    fits = width * height <= MAX_PIXELS and max(width, height) <= MAX_RATIO * min(width, height)
    return (width, height) if whole and fits else None
