"""Find the unreadable images of a dataset by reading all of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import Any

from lpclip.data.base import Source, read_image
from lpclip.data.registry import modules, open_source
from lpclip.errors import BadImageError
from lpclip.utils import plugins
from lpclip.utils.progress import progress

_CHUNK = 64


def reasons_unreadable(
    source: Mapping[str, Any], paths: Sequence[str], *, workers: int
) -> list[str]:
    """Return for each path why its image cannot be read, or "".

    Every image is decoded completely, by the code that decodes it for embedding: the header of a
    truncated file is intact. 0 workers decode in this process.
    """
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    found: list[str] = []
    with progress(total=len(paths), unit="images", label="check") as shown:
        files = tuple(plugins.files_of(modules(source)))
        for reasons in _checked(json.dumps(dict(source)), files, chunks, workers):
            found += reasons
            shown.add(len(reasons))
    return found


def _checked(
    source: str, files: tuple[str, ...], chunks: Sequence[Sequence[str]], workers: int
) -> Iterator[list[str]]:
    check = partial(_check, source, files)
    if workers < 1:
        yield from map(check, chunks)
        return
    # Spawned processes, since the source's library may run threads, which do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
        yield from executor.map(check, chunks)


def _check(source: str, files: tuple[str, ...], paths: Sequence[str]) -> list[str]:
    opened = _opened(source, files)
    reasons = []
    for path in paths:
        try:
            read_image(opened, path)
            reasons.append("")
        except BadImageError as error:
            reasons.append(error.reason)
    return reasons


@lru_cache(maxsize=1)
def _opened(source: str, files: tuple[str, ...]) -> Source:
    """Open the source, of the files of plugins, once per process."""
    plugins.use(files)
    settings = json.loads(source)
    return open_source(settings.pop("kind"), settings)
