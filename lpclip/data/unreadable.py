"""Which images of a dataset can be read, found by reading them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import Any

from lpclip.data.base import Source, read_image
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError
from lpclip.utils.progress import progress

_CHUNK = 64


def reasons_unreadable(
    source: Mapping[str, Any], paths: Sequence[str], *, workers: int
) -> list[str]:
    """For each path why its image cannot be read, "" where it can.

    Every image is decoded in full, by the same code as when it is embedded: a header does not
    tell that a file is cut off.

    Args:
        source: ``kind`` and settings of the image source.
        paths: of samples.
        workers: processes that decode; 0 decodes in this one.
    """
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    found: list[str] = []
    with progress(total=len(paths), unit="images", label="check") as shown:
        for reasons in _checked(json.dumps(dict(source)), chunks, workers):
            found += reasons
            shown.add(len(reasons))
    return found


def _checked(source: str, chunks: Sequence[Sequence[str]], workers: int) -> Iterator[list[str]]:
    check = partial(_check, source)
    if workers < 1:
        yield from map(check, chunks)
        return
    # New processes, since a library of the source's may run threads, which a fork leaves behind.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
        yield from executor.map(check, chunks)


def _check(source: str, paths: Sequence[str]) -> list[str]:
    opened = _opened(source)
    reasons = []
    for path in paths:
        try:
            read_image(opened, path)
            reasons.append("")
        except BadImageError as error:
            reasons.append(error.reason)
    return reasons


@lru_cache(maxsize=1)
def _opened(source: str) -> Source:
    """The source, opened once in every process."""
    settings = json.loads(source)
    return open_source(settings.pop("kind"), settings)
