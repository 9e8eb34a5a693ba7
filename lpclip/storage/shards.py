"""Shards of a feature cache: ordinary caches of some rows, which are joined and freed.

A shard is freed once its rows are on the disk in the unfinished cache. A small file with its
provenance takes its place, so that Snakemake, which removes it in the end, finds the shard made.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage import checksums, made_from
from lpclip.storage.features import KIND, stored_view
from lpclip.storage.hdf5 import (
    Provenance,
    check_provenance,
    open_file,
    provenance_of,
    read_provenance,
)
from lpclip.storage.json_text import read_object
from lpclip.storage.opening import damaged, make_again
from lpclip.storage.unfinished import Piece, Unfinished
from lpclip.types import FloatArray
from lpclip.utils.atomic import atomic_path, file_to_write, resumable_folder

# Bytes of features that are copied at once.
_COPY_BYTES = 64 << 20
_START, _STOP = "rows_start", "rows_stop"


class _Shard(NamedTuple):
    path: Path
    rows: range  # of the dataset
    provenance: dict[str, Any]  # without the rows
    is_freed: bool


def range_of(rows: range) -> dict[str, int]:
    """Return the attributes of a shard that name its rows."""
    return {_START: rows.start, _STOP: rows.stop}


def is_freed(path: Path) -> bool:
    """Return whether a shard was joined, so that only its note is there."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError:
        return False


def is_lost(shard: Path) -> bool:
    """Return whether a shard was freed for a cache of which there is nothing, finished or not.

    Shards lie in ``{name}.shards`` next to ``{name}.h5``.
    """
    if not is_freed(shard):
        return False
    cache = shard.parent.with_suffix(".h5")
    if cache.is_file() or any(cache.parent.glob(f".{cache.name}.*.parts")):
        return False
    first = min(shard.parent.glob("*.h5"))
    return is_freed(first) or _START in read_provenance(first)


def join_shards(
    output: Path,
    shards: Sequence[Path],
    *,
    samples: pd.DataFrame,
    views: Sequence[str],
    expected: Provenance,
    count: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the cache that one job would have written, byte for byte; free the shards meanwhile.

    Args:
        output: the cache.
        shards: caches of consecutive rows, in their order.
        samples: as in ``write_features``.
        views: names of the views, in the order of the settings.
        expected: provenance that all shards must have.
        count: is given the number of rows of each block that is copied.

    Raises:
        LpclipError: a shard is missing, damaged, or of another index, model or settings; shards
            that are not in order or not complete; or shards that were freed for an unfinished cache
            which is gone.
    """
    with resumable_folder(output) as folder:
        if _is_whole(shards[0], len(samples)):
            _publish_again(shards[0], output, expected)
            return
        found = [_read(path) for path in shards]
        _check(found, len(samples), expected)
        # If all are whole, they may have been made again since, by other code.
        resume = any(one.is_freed for one in found)
        cache = Unfinished(folder, identity=found[0].provenance, resume=resume)
        waiting = [one for one in found if one.rows.stop > cache.rows]
        if any(one.is_freed for one in waiting):
            raise _lost(output, [one.path for one in waiting if one.is_freed])
        for one in found:
            if one not in waiting and not one.is_freed:
                _free(one)
        versions = _versions(found[-1].path, views) if waiting else {}
        cache.fill(
            (Piece(_blocks(one, versions, count), partial(_free, one)) for one in waiting),
            samples=samples,
            versions=versions,
            provenance=found[0].provenance,
            freed=sum(one.path.stat().st_size for one in waiting),
        )
        # If this job is killed before Snakemake notes that it ended, the finished cache is removed.
        # The first shard then is the same file, at no cost; Snakemake removes it with the others.
        with contextlib.suppress(OSError), atomic_path(shards[0]) as temporary:
            temporary.unlink()
            os.link(cache.path, temporary)
        cache.publish(output)


def _read(path: Path) -> _Shard:
    if is_freed(path):
        note = read_object(path)
        provenance = dict(note.get("provenance", {}))
    else:
        with open_file(path, kind=KIND) as file:
            provenance = dict(provenance_of(file))
    start, stop = provenance.pop(_START, None), provenance.pop(_STOP, None)
    if not isinstance(start, int) or not isinstance(stop, int):
        raise LpclipError(f"{path} is no shard: it does not say which rows of a dataset it holds.")
    return _Shard(path, range(start, stop), provenance, is_freed(path))


def _check(shards: Sequence[_Shard], n: int, expected: Provenance) -> None:
    """Refuse shards that do not make up the whole."""
    for shard in shards:
        check_provenance(shard.path, shard.provenance, expected)
        _check_settings(shard.path)
    first = shards[0]
    for shard in shards[1:]:
        check_provenance(shard.path, shard.provenance, first.provenance)
        check_provenance(first.path, first.provenance, shard.provenance)
    end = 0
    for shard in shards:
        if shard.rows.start != end:
            raise LpclipError(
                f"{shard.path} holds the rows from {shard.rows.start:,} on, but those from {end:,} "
                "on come next. Give all shards of the dataset in their order, each once."
            )
        end = shard.rows.stop
    if end != n:
        raise LpclipError(
            f"The shards end with {shards[-1].path} at row {end:,}, but the dataset has {n:,} "
            "rows. Give all shards of the dataset."
        )


def _check_settings(path: Path) -> None:
    """Refuse a shard that was made with other settings than this job has."""
    now, before = made_from.current(), made_from.read_record(path)
    if now is None or before is None:
        return
    if changes := made_from.changed_settings(before, now["settings"]):
        raise LpclipError(
            f"{path} was made with other settings: {'; '.join(changes[:3])}.{make_again(path)}"
        )


def _versions(path: Path, views: Sequence[str]) -> dict[str, int]:
    """Return the number of versions of each view, 0 for a view without versions."""
    with open_file(path, kind=KIND) as file:
        data = {view: stored_view(path, file, view) for view in views}
        return {view: len(one) if one.ndim == 3 else 0 for view, one in data.items()}


def _blocks(
    shard: _Shard, versions: Mapping[str, int], count: Callable[[int], None]
) -> Iterator[FloatArray]:
    """Copy the rows of a shard, and compare them with their checksums after the last ones."""
    with open_file(shard.path, kind=KIND) as file:
        stored = [stored_view(shard.path, file, view) for view in versions]
        if stored[0].shape[-2] != len(shard.rows):
            raise damaged(shard.path, f"it has {stored[0].shape[-2]} rows, not {len(shard.rows)}")
        places = [(data, part) for data in stored for part in checksums.parts(data)]
        sums = [checksums.Sum(data, part) for data, part in places]
        dim = stored[0].shape[-1]
        step = max(1, _COPY_BYTES // (len(places) * dim * 2))
        for start in range(0, len(shard.rows), step):
            stop = min(start + step, len(shard.rows))
            block = np.empty((len(places), stop - start, dim), dtype=np.float16)
            for (data, part), rows, one in zip(places, block, sums, strict=True):
                data.read_direct(rows, np.s_[(*part, slice(start, stop))])
                one.update(rows)
            count(stop - start)
            yield block
        for one in sums:
            one.verify()


def _free(shard: _Shard) -> None:
    """Replace a shard by a note with its provenance and its time."""
    status = shard.path.stat()
    note = {"provenance": {**shard.provenance, **range_of(shard.rows)}}
    with atomic_path(shard.path) as temporary:
        temporary.write_text(json.dumps(note) + "\n")
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))


def _is_whole(path: Path, n: int) -> bool:
    """Return whether the first shard is the finished cache of a job that was killed at its end."""
    if is_freed(path):
        return False
    with open_file(path, kind=KIND) as file:
        found = provenance_of(file)
        return _START not in found and file["samples"].shape == (n,)


def _publish_again(whole: Path, output: Path, expected: Provenance) -> None:
    with open_file(whole, kind=KIND) as file:
        check_provenance(whole, provenance_of(file), expected)
    _check_settings(whole)
    with atomic_path(file_to_write(output)) as temporary:
        temporary.unlink()
        try:
            os.link(whole, temporary)
        except OSError:
            whole.replace(temporary)


def _lost(output: Path, freed: Sequence[Path]) -> LpclipError:
    return LpclipError(
        f"{freed[0]} was joined into a file next to {output} that was not finished and is gone, as "
        f"{len(freed)} shards were. To make them again, run your snakemake command with --forcerun "
        f"{freed[0].parent}/*.h5 (before its --)."
    )
