"""Members of tar files, as samples of WebDataset's format, by name and position."""

import os
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import IO, NamedTuple

from lpclip.data.sources.folder import LEFT_BY_SYSTEMS
from lpclip.errors import LpclipError

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_META = re.compile(r"__[^/]*__($|/)")  # metadata members, ignored
_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)  # key and suffix of a member


class Place(NamedTuple):
    """Where the bytes of a member are in its file."""

    name: str
    offset: int
    size: int


def samples_in(shard: str, file: IO[bytes]) -> Iterator[tuple[str, dict[str, Place]]]:
    """Iterate over runs of members with the same key: the key, and members by lower-case suffix."""
    places = _members(shard, file)
    named = ((found, place) for place in places if (found := _NAME.fullmatch(place.name)))
    for key, group in groupby(named, key=lambda pair: pair[0][1]):
        members: dict[str, Place] = {}
        for found, place in group:
            if members.setdefault(found[2].lower(), place) is not place:
                raise tarfile.ReadError(f"{place.name}: duplicate file name")
        yield key.removeprefix("./"), members


def _members(shard: str, file: IO[bytes]) -> Iterator[Place]:
    """Iterate over the name and position of every regular file of a shard."""
    if file.read(6).startswith(_COMPRESSED):
        raise LpclipError(
            f"{shard} is compressed, so that no image has a place of its own. Decompress it; "
            "images in it are compressed already."
        )
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if member.offset_data + member.size > end:
                raise tarfile.ReadError("it ends within a member")
            if not member.isreg() or _is_left_out(member.name):
                continue
            if member.issparse():
                raise tarfile.ReadError(f"'{member.name}' is a sparse file")
            yield Place(member.name, member.offset_data, member.size)
        # tarfile mistakes a damaged header for the end.
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"the header at byte {archive.offset} is damaged")


def _is_left_out(name: str) -> bool:
    """Whether a member is metadata, hidden, or in a folder that systems create."""
    *folders, last = name.split("/")
    hidden = last.startswith(".") or not LEFT_BY_SYSTEMS.isdisjoint(folders)
    return hidden or _META.match(name) is not None
