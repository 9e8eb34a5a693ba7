"""Images that a dataset would hold twice: refused, and both named.

Two paths are the same file if they lead to it, directly or over links. Copies, hard links among
them, are images of their own: what is in a file is not compared.
"""

import os
import re
import stat
from collections.abc import Callable, Hashable, Iterable, Sequence

from lpclip.data.base import Sample
from lpclip.errors import LpclipError

LONGEST = 8192  # characters of an id or path: two paths of the longest that Linux has

# A place inside a file: a member of a shard, or a row.
_PLACE = re.compile(r"(.+?)(::.*|\[[0-9]+\])", re.DOTALL)

# What identifies a file, and a place inside it.
Identity = tuple[object, ...]


def refuse_same_file(paths: Sequence[str], names: Sequence[str], *, where: str) -> None:
    """Refuse paths of which two lead to the same file; one that leads to none is passed over.

    Args:
        paths: of the images.
        names: what the user calls them, for the text of the error.
        where: what lists them, for the text of the error.

    Raises:
        LpclipError: the first two, by name.
    """
    if found := first_pair(map(file_identity, paths)):
        first, second = (names[row] for row in found)
        raise LpclipError(
            f"{where}: '{first}' and '{second}' (numbers {found[0] + 1} and {found[1] + 1}) are "
            "the same file. Remove one, so that no image counts twice."
        )


def refuse_repeated(samples: Sequence[Sample], *, where: str) -> None:
    """Refuse samples of which two have the same id or the same path, or an id as long as a file.

    Raises:
        LpclipError: the first two, by path or id.
    """
    if found := first_pair(sample.id for sample in samples):
        first, second = (samples[row] for row in found)
        raise LpclipError(
            f"{where} has two images with the id '{_short(first.id)}': {_short(first.path)} and "
            f"{_short(second.path)} (numbers {found[0] + 1} and {found[1] + 1}). Remove one, or "
            "give each an id of its own."
        )
    if found := first_pair(sample.path for sample in samples):
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
    """Refuse parts of a pool that take the same image, of one source or of files in common.

    Args:
        parts: name of each part, and what identifies an image of it by its path.
        samples: what each part takes.

    Raises:
        LpclipError: the first image, by both names.
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


def first_pair(keys: Iterable[object]) -> tuple[int, int] | None:
    """Places of the first key that is there twice; None is no key."""
    seen: dict[object, int] = {}
    for place, key in enumerate(keys):
        if key is not None and (before := seen.setdefault(key, place)) != place:
            return before, place
    return None


def file_identity(path: str) -> Identity | None:
    """The same for two paths if and only if they lead to the same file; None if there is no file.

    Hard links to one file differ.
    """
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
    """As ``file_identity``, also of a place inside a file: ``shard.tar::…`` or ``file.npy[3]``."""
    if found := file_identity(path):
        return found
    inside = _PLACE.fullmatch(path)
    container = file_identity(inside[1]) if inside else None
    return (*container, inside[2]) if inside and container else None


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
