"""Fingerprints that change when a user's file is replaced, found quickly and without dates."""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from lpclip.errors import LpclipError
from lpclip.storage.json_text import read_object
from lpclip.utils.atomic import atomic_path

# Files up to this size are read whole; of larger ones, so many blocks.
_SMALL = 16_000_000
_BLOCKS, _BLOCK_BYTES = 64, 4096
# Of files elsewhere: seconds until a server is asked again, and how many files at the same time.
ASKED_AGAIN, _ASKED_AT_ONCE = 600, 16


def marks_of(paths: Iterable[Path], *, known: Path | None = None) -> dict[str, str]:
    """Return a fingerprint of every existing file; a copy has the same one, whatever its date.

    Files of up to 16 MB are read whole, larger ones in 64 evenly spaced blocks. The JSON file
    ``known`` caches the fingerprints of files whose size and time did not change.
    """
    before: dict[str, list[Any]] = {} if known is None else read_object(known)
    found, marks = dict[str, Any](), dict[str, str]()
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            state = [status.st_size, status.st_mtime_ns, status.st_ino]
            *old, mark = before.get(str(path), [None])
            marks[str(path)] = mark if old == state else _mark_of(path, status.st_size)
            found[str(path)] = [*state, marks[str(path)]]
    if known is not None and any(before.get(key) != value for key, value in found.items()):
        with contextlib.suppress(LpclipError, OSError), atomic_path(known) as temporary:
            temporary.write_text(json.dumps({**before, **found}))
    return marks


def marks_at(addresses: Sequence[str], ask: Callable[[str], str], *, known: Path) -> dict[str, str]:
    """Return the mark of every file elsewhere, by its address, that ``ask`` gives.

    A server is asked about a file at most once in ``ASKED_AGAIN`` seconds. If it does not answer
    about the first, the marks of the last time are returned: nothing is made again for it.
    """
    if not addresses:
        return {}
    before = read_object(known)
    now = time.time()
    old = [one for one in addresses if now - before.get(one, [0])[0] > ASKED_AGAIN]
    try:
        first = [ask(one) for one in old[:1]]
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            marks = dict(zip(old, [*first, *pool.map(ask, old[1:])], strict=True))
    except LpclipError:
        marks = {}
    found = {**before, **{address: [now, mark] for address, mark in marks.items()}}
    if marks:
        with contextlib.suppress(LpclipError, OSError), atomic_path(known) as temporary:
            temporary.write_text(json.dumps(found))
    return {address: found[address][1] for address in addresses if address in found}


def _mark_of(path: Path, size: int) -> str:
    digest = sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _SMALL:
            digest.update(file.read())
        else:
            for number in range(_BLOCKS):
                file.seek(number * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()[:16]
