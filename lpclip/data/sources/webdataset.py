"""Tar shards in WebDataset's format; each image is read by its position in the shard."""

import os
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

from PIL import Image

from lpclip.data.base import Sample
from lpclip.data.label_values import label_index, named_classes, numbers_or_text
from lpclip.data.read_image import decode
from lpclip.data.remote import is_address, open_address, place_of, read_range
from lpclip.data.repeated import refuse_same_file
from lpclip.data.shards import expand
from lpclip.data.sources.folder import ENDINGS
from lpclip.data.tar_members import Place, samples_in
from lpclip.errors import BadImageError, LpclipError, did_you_mean
from lpclip.storage.json_text import parse_json

_AT_ONCE = 16  # shards elsewhere that are listed at the same time
_PATH = re.compile(r"(.+?)::(.*)@([0-9]+):([0-9]+)", re.DOTALL)


class Source:
    """Samples of shards, in the order of the shards and of their members.

    As in the webdataset library, members whose names agree up to the first dot are one sample;
    hidden members, whose names start with a dot, and ``__MACOSX`` are ignored. An id is
    ``shard/key``; a path, ``shard.tar::member@offset:size``, holds the position of the bytes, so
    that reading an image is one seek, or one request. Hence shards must be uncompressed files.

    Of shards at an address only headers and labels are read to list them, by blocks of 64 KiB.
    Errors that may pass are attempted again, four times in 8 seconds. Credentials are taken from
    the environment, ``~/.aws`` or ``~/.config/fsspec``, never from the settings.

    Args:
        shards: paths or addresses that fsspec opens (``s3://…``, ``https://…``, ``gs://…``), with
            braces and wildcards (``train-{000..146}.tar``, ``val/*.tar``), one or a list. Web
            servers list no files, so that their addresses have no wildcards.
        label: suffix of the member that holds the label as text, a class name or an index
            (``cls``), or a field of a JSON member (``json:class``); none for an unlabelled set.
        image: suffix of the image member (``jpg``); optional if samples have only one image.
        class_names: indices index them, and names are numbered in their order. By default every
            shard is read before the first job; names are numbered in alphabetical order, and the
            names of indices are the numbers. Required with labels of shards at an address.

    Raises:
        LpclipError: a pattern without shards, too many shards, a repeated shard, an invalid
            pattern, or labels at an address without class names.
    """

    def __init__(
        self,
        shards: str | Sequence[str],
        label: str | None = None,
        image: str | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        patterns = [shards] if isinstance(shards, str) else list(shards)
        self._shards = [path for each in patterns for path in expand(each)]
        if not self._shards:
            raise LpclipError("shards is an empty list. Give the path of one shard or more.")
        refuse_same_file(self._shards, self._shards, where="shards")
        ending, colon, field = (label or "").partition(":")
        self._label = ending.removeprefix(".").lower() or None
        self._field = field if colon else None
        self._image = None if image is None else image.removeprefix(".").lower()
        self._given_names = class_names
        if self._label and class_names is None and self.addresses():
            raise LpclipError(
                f"{self.addresses()[0]} is not read before the first job, to find the names of its "
                "classes. Name them in 'class_names', in the order of their indices."
            )

    def files(self) -> list[Path]:
        """Return the shards on this machine."""
        return [Path(shard) for shard in self._shards if not is_address(shard)]

    def addresses(self) -> list[str]:
        """Return the shards elsewhere."""
        return [shard for shard in self._shards if is_address(shard)]

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """Names as given, or derived from the labels; None without labels."""
        if self._label is None:
            return None
        labels = [] if self._given_names is not None else [each.label for each in self._index]
        values = numbers_or_text(labels, self._given_names)
        return named_classes(values, self._given_names, where=self._where)

    def samples(self) -> list[Sample]:
        """Return every sample, including incomplete ones.

        Raises:
            LpclipError: a shard that is not a complete tar file; a sample with several images; a
                label that is not a class; no sample with image and label.
        """
        problems = self.problems()
        if problems and len(problems) == len(self._index):
            raise LpclipError(next(iter(problems.values())))
        values = numbers_or_text([each.label for each in self._index], self._given_names)
        labels = label_index(values, self.class_names or (), where=self._where)
        return [Sample(x.id, x.path, int(y)) for x, y in zip(self._index, labels, strict=True)]

    def problems(self) -> dict[str, str]:
        """Return the problem of each sample without image or label, by path."""
        return {each.path: each.problem for each in self._index if each.problem}

    def read(self, path: str) -> Image.Image:
        """Read the image at a position in a shard, RGB, see ``lpclip.data.read_image``."""
        return decode(self.encoded(path), path)

    def encoded(self, path: str) -> bytes:
        """Read the member at a position in a shard."""
        if not (found := _PATH.fullmatch(path)):
            place = "shard.tar::member@offset:size"
            raise LpclipError(f"There is no image '{path}'; a path is {place}.")
        shard, _, offset, size = found.groups()
        try:
            if is_address(shard):
                data = read_range(shard, int(offset), int(size))
            else:
                with Path(shard).open("rb") as file:
                    file.seek(int(offset))
                    data = file.read(int(size))
        except OSError as error:
            raise BadImageError(path, (error.strerror or str(error)).lower()) from error
        if len(data) < int(size):
            raise BadImageError(path, "the shard ends before")
        return data

    def size(self, path: str) -> int:
        """Return the size of a member in bytes, from its path."""
        found = _PATH.fullmatch(path)
        return int(found[4]) if found else 0

    @cached_property
    def _index(self) -> list["_Entry"]:
        # Shards elsewhere are waited for together.
        with ThreadPoolExecutor(_AT_ONCE if self.addresses() else 1) as pool:
            found = pool.map(self._entries, self._shards, _names(self._shards))
            return [entry for entries in found for entry in entries]

    def _entries(self, shard: str, name: str) -> list["_Entry"]:
        try:
            with _open(shard) as members, _open(shard) as labels:
                return [
                    self._entry(shard, name, key, found, labels)
                    for key, found in samples_in(shard, members)
                ]
        except (tarfile.TarError, ValueError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise LpclipError(
                f"{shard} cannot be read as a shard ({reason}). Is it a whole tar file?"
            ) from error

    def _entry(
        self, shard: str, name: str, key: str, members: Mapping[str, Place], file: IO[bytes]
    ) -> "_Entry":
        where = f"{shard}: sample '{key}'"
        path, label = f"{shard}::{key}", None
        try:
            place = members[self._image_ending(members, where)]
            path = f"{shard}::{place.name}@{place.offset}:{place.size}"
            if self._label is not None:
                if self._label not in members:
                    raise _no_member(f"'{self._label}' for its label", self._label, members, where)
                file.seek(members[self._label].offset)
                label = _label(file.read(members[self._label].size), self._field, where)
        except _IncompleteError as error:
            return _Entry(f"{name}/{key}", path, None, str(error))
        return _Entry(f"{name}/{key}", path, label, "")

    def _image_ending(self, members: Mapping[str, Any], where: str) -> str:
        if self._image is not None:
            if self._image in members:
                return self._image
            raise _no_member(f"'{self._image}'", self._image, members, where)
        images = [ending for ending in members if f".{ending.rpartition('.')[2]}" in ENDINGS]
        if len(images) == 1:
            return images[0]
        listed = ", ".join(sorted(members))
        if not images:
            raise _IncompleteError(f"{where} has no image among its members {listed}.")
        dotted = [ending for ending in images if "." in ending]  # the dot may be of the file's name
        advice = "" if len(dotted) == len(images) else " Name the ending of one as 'image'."
        raise LpclipError(
            f"{where} has {len(images)} images among its members {listed}.{advice}"
            f"{_ABOUT_DOTS if dotted else ''}"
        )

    @property
    def _where(self) -> str:
        several = f" and {len(self._shards) - 1} other shards" if len(self._shards) > 1 else ""
        return f"{self._shards[0]}{several}"


class _Entry(NamedTuple):
    id: str
    path: str
    label: str | None
    problem: str  # why it is incomplete, or ""


class _IncompleteError(LpclipError):
    """A sample without image or label, which may be left out."""


_ABOUT_DOTS = (
    " The key of a sample ends at the first dot of a member's name. If a dot belongs to the names "
    "of images, write the shards again with another character in its place."
)


def _no_member(what: str, ending: str, members: Iterable[str], where: str) -> _IncompleteError:
    """Explain dots in names, too, if a member has the suffix after another dot."""
    dots = _ABOUT_DOTS if any(member.endswith(f".{ending}") for member in members) else ""
    hint = did_you_mean(ending, members)
    return _IncompleteError(f"{where} has no member {what}. {hint}{dots}")


def _open(shard: str) -> IO[bytes]:
    return open_address(shard) if is_address(shard) else Path(shard).open("rb")


def _names(shards: Sequence[str]) -> list[str]:
    """Return a name of each shard for ids, which does not depend on the folder of the shards."""
    paths = [place_of(one) if is_address(one) else str(Path(one).absolute()) for one in shards]
    parent = os.path.commonpath([Path(path).parent for path in paths])
    places = [Path(path).relative_to(parent) for path in paths]
    names = [place.with_suffix("").as_posix() for place in places]
    if len(set(names)) < len(names):  # set.tar.0, set.tar.1
        names = [place.as_posix() for place in places]
    return names


def _label(data: bytes, field: str | None, where: str) -> str | None:
    """Return the label in a member: its text, or a field of its JSON."""
    try:
        text = data.decode().strip()
        if field is None:
            return text
        values = parse_json(text)
    except ValueError as error:
        raise _IncompleteError(f"{where}: its label cannot be read ({error}).") from error
    known = values if isinstance(values, dict) else {}
    if field not in known:
        raise _IncompleteError(f"{where} has no field '{field}'. {did_you_mean(field, known)}")
    value = known[field]
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise _IncompleteError(
            f"{where}: '{field}' is {str(value)[:50]}, but a label is text or a whole number."
        )
    return None if value is None else str(value)
