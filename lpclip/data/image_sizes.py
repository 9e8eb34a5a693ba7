"""Check that the images of an index were not replaced since it was made.

The check compares file sizes, without opening the files. It ignores dates, so that copies of the
images are equivalent.
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

# Files that are checked when a run starts; of a larger set, so many, evenly spaced.
AT_START = 5_000


def sizes_of(source: Source, paths: Iterable[str]) -> IntArray:
    """Return the sizes of image files in bytes, int64 ``[N]``; 0 for images without a file."""
    return np.fromiter((size_of(source, path) for path in paths), dtype=np.int64)


def check_sizes(index: Path, source: Source, samples: pd.DataFrame) -> None:
    """Refuse images that were replaced since the index was made.

    Missing or unreadable images are ignored: they are reported where they are read. The samples,
    rows of the index, are not checked if it is an older one without sizes.

    Raises:
        LpclipError: names the first one, with both sizes.
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
    """Describe how the images of a source changed since the index was made; None if they did not.

    Images may be deleted once they are embedded; replaced and new images count as changes. An index
    without sizes is not checked, and a source with the attribute ``size_takes_long`` is left to
    ``check_sizes``. One that ``lists_quickly`` is also listed if the index is no longer than
    ``at_most``, the number of images to check, or if images are missing.
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
        return None  # the job that indexes the source reports it
    if gone and n == listed:
        known = set(read_samples(index, labels=False)["path"])
        new = next((path for path in now if path not in known), None)
        return None if new is None else f"{new} is there, which it does not list"
    return f"{len(now):,} are there, not {listed:,}" if len(now) > listed else None


def _changes(
    source: Source, paths: Iterable[str], sizes: Iterable[int]
) -> Iterator[tuple[str, str]]:
    """Iterate over the images whose file has another size now, with a description."""
    for path, size in zip(paths, sizes, strict=True):
        if (now := size_of(source, path)) not in (0, size):
            yield path, f"{path} has {now} bytes, not {size}"
