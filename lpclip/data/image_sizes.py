"""Whether the images that an index lists are still those that were there when it was made.

They are told apart by their files' sizes, which are found without opening them. Dates are not
looked at: equal images in two places are the same images.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip.data.base import Source, read_image, size_of
from lpclip.errors import BadImageError, LpclipError
from lpclip.storage.opening import make_again
from lpclip.storage.samples import read_samples, read_sizes
from lpclip.types import IntArray

# Files that are looked at when a run starts; of a larger set, so many, evenly spread.
AT_START = 5_000


def sizes_of(source: Source, paths: Iterable[str]) -> IntArray:
    """Bytes of the files of images, int64 ``[N]``; 0 where an image is in no file of its own."""
    return np.array([size_of(source, path) for path in paths], dtype=np.int64)


def check_sizes(index: Path, source: Source, samples: pd.DataFrame) -> None:
    """Refuse images that were replaced since the index was made.

    One that is not there, or cannot be read, is left to whoever reads it.

    Args:
        index: the index, for the error's text.
        source: of the images.
        samples: rows of the index; one of an older index, without sizes, is taken as it is.

    Raises:
        LpclipError: names the first one and both sizes.
    """
    if "size" not in samples:
        return
    for path, change in _changes(source, samples["path"], samples["size"]):
        with contextlib.suppress(BadImageError):
            read_image(source, path)
            raise LpclipError(
                f"{change}, so it is another image than the one that {index} lists. "
                f"{make_again(index).strip()}"
            )


def changed_image(index: Path, source: Source, *, at_most: int = AT_START) -> str | None:
    """What is different about the images of a source since the index was made.

    Images may be deleted once they are embedded; what counts is one that was replaced, or that the
    index does not list.

    Args:
        index: an index of the source; one without sizes is taken as it is.
        source: of the images; one whose sizes take long to find, by its attribute
            ``size_takes_long``, is left to ``check_sizes``.
        at_most: so many images are looked at, evenly spread. A source that lists its images
            quickly, by its attribute ``lists_quickly``, is listed where the index has no more, or
            where some of them are gone.
    """
    if not hasattr(source, "size") or getattr(source, "size_takes_long", False):
        return None
    before = read_sizes(index, at_most=at_most)
    if before is None:
        return None
    for _, change in _changes(source, before.paths, before.sizes):
        return change
    n, listed = before.n_rows, before.n_listed
    gone = any(size_of(source, path) == 0 for path in before.paths)
    if not getattr(source, "lists_quickly", False) or (n > at_most and not gone):
        return None
    try:
        now = [sample.path for sample in source.samples()]
    except LpclipError:
        return None  # left to the job that indexes it, if there is one
    if gone and n == listed:
        known = set(read_samples(index, labels=False)["path"])
        new = next((path for path in now if path not in known), None)
        return None if new is None else f"{new} is there, which it does not list"
    return f"{len(now):,} are there, not {listed:,}" if len(now) > listed else None


def _changes(
    source: Source, paths: Iterable[str], sizes: Iterable[int]
) -> Iterator[tuple[str, str]]:
    """Images whose file is there with another size, and what is different."""
    for path, size in zip(paths, sizes, strict=True):
        if (now := size_of(source, path)) not in (0, size):
            yield path, f"{path} has {now} bytes, not {size}"
