"""What files are: the kinds of lpclip's HDF5 files, and other files by their first bytes.

For errors about a file of the wrong kind, which say what it is, what was expected and what to do.
"""

import codecs
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple


class Kind(NamedTuple):
    """A kind of HDF5 file that lpclip writes."""

    name: str  # with an article where it has one
    place: str  # where the workflow writes such a file
    content: str  # in a few words


KINDS: Mapping[str, Kind] = {
    "samples": Kind(
        "an index of images",
        "cache/data/DATASET/samples.h5",
        "the index of a dataset: its images in order, and their labels",
    ),
    "text": Kind(
        "a file of text features",
        "cache/MODEL/text/BENCHMARK.h5",
        "the features of the class names, which form the zero-shot head",
    ),
    "features": Kind(
        "a feature cache",
        "cache/MODEL/images/DATASET/clean.h5",
        "the features of a dataset's images",
    ),
    "pseudo_labels": Kind(
        "a file of pseudo-labels",
        "results/MODEL/BENCHMARK/pseudo_labels/LABELLING.h5",
        "pseudo-labels of zero-shot CLIP for unlabelled images",
    ),
    "probes": Kind(
        "a file of probes",
        "results/MODEL/BENCHMARK/METHOD/probes.h5",
        "the probe of every round and seed of one method",
    ),
    "predictions": Kind(
        "a file of predictions",
        "results/predictions.h5",
        "what every method predicted for the test images",
    ),
    "layout": Kind(
        "a layout of images",
        "results/MODEL/BENCHMARK/layout.h5",
        "a place in the plane for every image of a benchmark",
    ),
    "thumbnails": Kind(
        "a file of thumbnails",
        "cache/data/DATASET/thumbnails.h5",
        "small pictures of a dataset's images",
    ),
}

HDF5, TEXT, CSV = "an HDF5 file", "a text file", "a CSV file"
UTF_16 = "a text file in UTF-16"
HTML, JSON = "an HTML page", "a JSON file"
EMPTY, ZEROS, UNKNOWN = "an empty file", "a file of zero bytes only", "a file of unknown type"
SPECIAL = "a pipe, a socket or a device"

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"PK\x03\x04", "a zip archive, as checkpoints of PyTorch and .npz files are"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"%PDF-", "a PDF file"),
    (b"%!PS-Adobe-", "a PostScript file"),
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS (git lfs pull fetches it)"),
)
START = 4096  # bytes to look at
_BINARY = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f]")


def type_of(path: Path) -> str:
    """Return what a file is, with an article, or ``UNKNOWN``; HDF5 files are not opened.

    Raises:
        OSError: it does not exist or cannot be read.
    """
    if path.is_dir():
        return "a folder"
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would block
        return SPECIAL
    with path.open("rb") as file:
        if is_hdf5(file):
            return HDF5
        start = file.read(START)
        whole = len(start) < START
        if start and not any(start) and (whole or not any(file.read(START))):
            return ZEROS
    return type_of_bytes(start, is_table=path.suffix.lower() in (".csv", ".tsv"))


def type_of_bytes(start: bytes, *, is_table: bool = False) -> str:
    """Return what a file is that starts so; ``is_table``: whether it is named like a CSV file."""
    if not start:
        return EMPTY
    if start.startswith(_HDF5_SIGNATURE):
        return HDF5
    text = _text(start)
    for signature, name in _STARTS:
        # Text may start with the letters of a short signature, but hardly with those of a long one.
        if start.startswith(signature) and (text is None or len(signature) > 8):
            return name
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP image"
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < 1 << 32:
        return "a safetensors file"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return UTF_16
    return UNKNOWN if text is None else _type_of_text(text.strip(), is_table)


def is_hdf5(file: IO[bytes]) -> bool:
    """Whether an open file has the signature of HDF5 where the library looks for it, or its start.

    A file with the signature that cannot be opened is truncated or damaged.
    """
    number, place = file.fileno(), 0
    size = os.fstat(number).st_size
    start = os.pread(number, len(_HDF5_SIGNATURE), 0)
    if start and _HDF5_SIGNATURE.startswith(start):
        return True
    while (place := place * 2 or 512) < size:  # after a block of the user's
        if os.pread(number, len(_HDF5_SIGNATURE), place) == _HDF5_SIGNATURE:
            return True
    return False


def kind_of(kind: object) -> str:
    """Return what an HDF5 file of lpclip is by its attribute ``kind``."""
    known = KINDS.get(str(kind))
    return f"{known.name} of lpclip" if known else f"a file of lpclip of kind '{kind}'"


def expected(kind: str | None) -> tuple[str, str]:
    """Return what was expected in place of a file of another kind, and what to do."""
    known = KINDS.get(kind or "")
    if known is None:
        return "an HDF5 file of lpclip", " Name a file that lpclip wrote."
    return known.name, f" Name a file such as {known.place}."


def _text(start: bytes) -> str | None:
    """Return the start of a file as text; None if it is no text in UTF-8."""
    try:
        text = start[: _whole_characters(start)].decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if _BINARY.search(text) else text


def _whole_characters(start: bytes) -> int:
    """Return the length without a character of UTF-8 that is cut at the end."""
    for cut in range(1, min(4, len(start) + 1)):
        if start[-cut] >= 0xC0:  # the first byte of a character
            return len(start) - cut
        if start[-cut] < 0x80:
            break
    return len(start)


def _type_of_text(text: str, is_table: bool) -> str:
    if re.match(r"<!doctype html|<html", text, re.IGNORECASE):
        return HTML
    if text.startswith(("{", "[{", '["')):
        return JSON
    first, _, rest = text.partition("\n")
    second = rest.partition("\n")[0]
    counts = [(first.count(mark), second.count(mark)) for mark in ",;\t"]
    return CSV if is_table or any(one == other > 0 for one, other in counts) else TEXT
