"""Refuse datasets that contain an image twice.

Two paths are the same file if they resolve to it, directly or through links. Copies, also hard
links, are different images: contents are not compared.
"""

import os
import re
import stat
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import attrgetter

import numpy as np

from lpclip.data.base import Sample
from lpclip.data.remote import is_address
from lpclip.errors import LpclipError

LONGEST = 8192  # characters of an id or path: twice the longest path of Linux

# A place inside a file: a member of a shard, or a row.
_PLACE = re.compile(r"(.+?)(::.*|\[[0-9]+\])", re.DOTALL)
Identity = tuple[object, ...]  # of a file, and a place inside it


def refuse_same_file(paths: Sequence[str], names: Sequence[str], *, where: str) -> None:
    """Refuse paths, with names for the error, of which two resolve to the same existing file."""
    if found := first_pair(map(file_identity, paths)):
        first, second = (names[row] for row in found)
        raise LpclipError(
            f"{where}: '{first}' and '{second}' (numbers {found[0] + 1} and {found[1] + 1}) are "
            "the same file. Remove one, so that no image counts twice."
        )


def refuse_repeated(samples: Sequence[Sample], *, where: str) -> None:
    """Refuse samples with repeated ids or paths, or with an id or path as long as a file."""
    if found := _first_repeated(samples, "id"):
        first, second = (samples[row] for row in found)
        raise LpclipError(
            f"{where} has two images with the id '{_short(first.id)}': {_short(first.path)} and "
            f"{_short(second.path)} (numbers {found[0] + 1} and {found[1] + 1}). Remove one, or "
            "give each an id of its own."
        )
    if found := _first_repeated(samples, "path"):
        first, second = (samples[row] for row in found)
        raise LpclipError(
            f"{where} has the image {_short(first.path)} twice, as '{_short(first.id)}' and "
            f"'{_short(second.id)}'. Remove one."
        )
    for sample in samples:
        if max(len(sample.id), len(sample.path)) > LONGEST:
            raise LpclipError(
                f"{where} has an id or path of more than {LONGEST:,} characters, which begins "
                f"'{_short(sample.id)}'. Is it what an image is called?"
            )


def refuse_in_two_parts(
    parts: Sequence[tuple[str, Callable[[str], Hashable]]], samples: Sequence[Sequence[Sample]]
) -> None:
    """Refuse parts of a pool that contain the same image, from one source or from shared files.

    A part has a name, a function from a path to the identity of its image, and samples.
    """
    seen: dict[Hashable, tuple[str, Sample]] = {}
    for (where, identity), taken in zip(parts, samples, strict=True):
        for sample in taken:
            other, before = seen.setdefault(identity(sample.path), (where, sample))
            if other == where:
                continue
            paths = dict.fromkeys((_short(before.path), _short(sample.path)))
            raise LpclipError(
                f"{other} and {where} both take '{_short(sample.id)}' ({' and '.join(paths)}). "
                "Give them different classes, files or rows."
            )


def _first_repeated(samples: Sequence[Sample], field: str) -> tuple[int, int] | None:
    """As ``first_pair`` of one field; of millions of texts, only their hashes are kept."""
    key = attrgetter(field)
    hashes = np.fromiter((hash(key(one)) for one in samples), np.int64, count=len(samples))
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    rows = np.unique(order[np.concatenate([same, same + 1])])
    found = first_pair(key(samples[row]) for row in rows)
    return None if found is None else (int(rows[found[0]]), int(rows[found[1]]))


def first_pair(keys: Iterable[object]) -> tuple[int, int] | None:
    """Return the positions of the first repeated key; None values are ignored."""
    seen: dict[object, int] = {}
    for place, key in enumerate(keys):
        if key is not None and (before := seen.setdefault(key, place)) != place:
            return before, place
    return None


def file_identity(path: str) -> Identity | None:
    """Return a key of a file, whatever path leads to it; hard links differ. None without a file.

    An address is a key itself.
    """
    if is_address(path):
        return None if "::" in path else (path,)
    try:
        status = os.stat(path)  # noqa: PTH116  # a Path for each of a million takes seconds
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_nlink > 1:
            return (os.path.realpath(path),)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def place_identity(path: str) -> Identity | None:
    """As ``file_identity``, also for a place inside a file: ``shard.tar::…`` or ``file.npy[3]``."""
    if found := file_identity(path):
        return found
    inside = _PLACE.fullmatch(path)
    container = file_identity(inside[1]) if inside else None
    return (*container, inside[2]) if inside and container else None


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
