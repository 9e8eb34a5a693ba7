"""Text tables and lists: encoding by byte order mark, separator by the header, cells as text.

Nothing is guessed. A file without a byte order mark is UTF-8; the separator is the one that splits
the first line into names; every line has as many cells as the first.
"""

import bz2
import codecs
import contextlib
import csv
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from lpclip.errors import LpclipError, did_you_mean
from lpclip.storage.file_kinds import (
    CSV,
    EMPTY,
    HTML,
    JSON,
    SPECIAL,
    TEXT,
    UNKNOWN,
    UTF_16,
    type_of,
)

SEPARATORS = (",", ";", "\t")
# Columns of a list: a path in every line and, after a tab or blanks, an optional label.
LIST_COLUMNS = ("path", "label")

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MARKS = (  # the mark of UTF-16 is a prefix of that of UTF-32
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
# Unknown ones may be text of another encoding; a pipe is what a shell makes of <(command).
_TEXTS = (CSV, TEXT, UTF_16, HTML, JSON, EMPTY, SPECIAL, UNKNOWN)
_OPENERS: Mapping[str, Callable[..., IO[Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}


class Header(NamedTuple):
    """The first line of a table."""

    names: list[str]  # of the columns, in their order, perhaps with repetitions
    separator: str  # between cells


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file, compressed or not: by its mark, else UTF-8."""
    with open_bytes(path) as file:
        start = file.read(4)
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a text file as bytes, decompressed by its suffix (gz, bz2, xz)."""
    return _opener(path)(path, "rb")


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, decompressed by its suffix (gz, bz2, xz).

    Raises:
        LpclipError: it cannot be opened, decompressed or decoded.
    """
    try:
        if _opener(path) is open and (found := type_of(path)) not in _TEXTS:
            raise LpclipError(f"{path} is {found}, not a text file. Save it as text.")
        encoding = encoding_of(path)
        with _opener(path)(path, "rt", encoding=encoding, newline="") as file:
            yield file
    except UnicodeError as error:
        raise LpclipError(
            f"{path} cannot be read as text ({error}). Save it as UTF-8, or as UTF-16 with a byte "
            "order mark."
        ) from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LpclipError(f"{path} cannot be read ({reason}). Is it whole?") from error


def read_text(path: Path) -> str:
    """Read the whole text of a file; errors as in ``open_text``."""
    with open_text(path) as file:
        return file.read()


def read_header(path: Path, needed: Sequence[str] = ()) -> Header:
    """Read the column names of a table, and find the separator.

    The separator is the one of comma, semicolon and tab that splits the first line into the needed
    names or, if none are needed, into several names. A ``.tsv`` file has tabs.

    Raises:
        LpclipError: no text, no first line, or more than one possible separator.
    """
    separators = ("\t",) if ".tsv" in map(str.lower, path.suffixes) else SEPARATORS
    headers, errors = list[Header](), list[LpclipError]()
    for each in separators:
        try:
            headers.append(Header(_first_row(path, each), each))
        except LpclipError as error:  # quotes may only close properly with one of the separators
            errors.append(error)
    if not headers:
        raise errors[0]
    fitting = [h for h in headers if len(h.names) > 1 and set(needed) <= set(h.names)]
    if len(fitting) > 1:
        raise LpclipError(
            f"{path}: its first line has {' and '.join(_NAMES[h.separator] for h in fitting)}, "
            "each of which may separate columns. Save it with one of them."
        )
    return fitting[0] if fitting else max(headers, key=lambda header: len(header.names))


def position(path: Path, names: Sequence[str], column: str) -> int:
    """Return the position of a column.

    Raises:
        LpclipError: no column, or more than one, has that name.
    """
    places = [place for place, name in enumerate(names) if name == column]
    if not places:
        raise LpclipError(f"{path} has no column '{column}'. {did_you_mean(column, names)}")
    if len(places) > 1:
        raise LpclipError(
            f"{path} has the column '{column}' twice, in places {places[0] + 1} and "
            f"{places[1] + 1}. Rename or remove one."
        )
    return places[0]


def read_columns(path: Path, header: Header, columns: Sequence[str]) -> dict[str, list[str]]:
    """Read columns of a table as text; empty lines are left out.

    Raises:
        LpclipError: a column is missing or repeated; a line has more or fewer cells than the first.
    """
    places = [position(path, header.names, column) for column in columns]
    found: list[list[str]] = [[] for _ in columns]
    for number, row in _rows(path, header.separator):
        if len(row) != len(header.names):
            raise LpclipError(
                f"{path} cannot be read: line {number} has {len(row)} cells, but the first line "
                f"{len(header.names)}. Put a cell that holds {_NAMES[header.separator]} in quotes, "
                "and give every line all its cells."
            )
        for values, place in zip(found, places, strict=True):
            _refuse_zeros(path, number, row[place])
            values.append(row[place])
    # The first row is the header.
    return {column: values[1:] for column, values in zip(columns, found, strict=True)}


def read_list(path: Path) -> dict[str, list[str]]:
    """Read a list without a header: columns ``path`` and, if lines have one, ``label``.

    Raises:
        LpclipError: a line has more than two words, or another number than the first line.
    """
    rows: list[list[str]] = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            _refuse_zeros(path, number, line)
            row = line.strip("\r\n").split("\t") if "\t" in line.strip() else line.split()
            if len(row) > len(LIST_COLUMNS) or (rows and len(row) != len(rows[0])):
                raise LpclipError(
                    f"{path} cannot be read as a list: line {number} has {len(row)} words. Every "
                    "line is a path, or a path and a label; where a path has blanks, put a tab "
                    "before the label, or make it a .csv file whose first line names the columns."
                )
            rows.append([row[0], *map(str.strip, row[1:])])
    if rows and tuple(rows[0]) == LIST_COLUMNS[: len(rows[0])]:
        del rows[0]  # it has a header after all
    width = len(rows[0]) if rows else len(LIST_COLUMNS)
    return {name: [row[i] for row in rows] for i, name in enumerate(LIST_COLUMNS[:width])}


def _first_row(path: Path, separator: str) -> list[str]:
    _, row = next(_rows(path, separator), (0, None))
    if row is None:
        raise LpclipError(f"{path} cannot be read: it is empty. Is it whole?")
    _refuse_zeros(path, 1, "".join(row))
    return row


def _rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Iterate over rows: the line in which each ends, and its cells."""
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except csv.Error as error:
            raise LpclipError(
                f"{path} cannot be read: line {reader.line_num}: {error}. Is it whole, and every "
                "quote closed?"
            ) from error


def _refuse_zeros(path: Path, number: int, text: str) -> None:
    if "\0" in text:
        raise LpclipError(
            f"{path} cannot be read: line {number} has zero bytes. Save it as UTF-8, or as UTF-16 "
            "with a byte order mark."
        )


def _opener(path: Path) -> Callable[..., IO[Any]]:
    return _OPENERS.get(path.suffix.lower(), open)
