"""Into which shards a dataset is divided: ranges of rows, each embedded by a job of its own."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from lpclip.config.checked import Checked
from lpclip.storage.features import CHUNK_ROWS

# A set of at most so many images is embedded by one job.
LARGEST_SINGLE = 20_480
_MOST_SHARDS = 64


def may_have_shards(config: Checked, dataset: str) -> bool:
    """Return whether a dataset may be larger than a shard, as far as its settings show."""
    rows, known = config.datasets[dataset].rows_per_shard, most_rows(config, dataset)
    single = LARGEST_SINGLE if rows == "auto" else _whole_chunks(rows)
    return known is None or known > single


def most_rows(config: Checked, dataset: str) -> int | None:
    """Return how many images a dataset may have, where its settings show it."""
    bounds = [config.datasets[dataset].limit, getattr(config.sources[dataset], "at_most", None)]
    return min((bound for bound in bounds if bound is not None), default=None)


def shards_of(config: Checked, dataset: str, cache: str, n: int) -> list[str]:
    """Return the paths of the shards of a cache, in order; none if one job embeds its n rows."""
    rows = config.datasets[dataset].rows_per_shard
    rows = _whole_chunks(max(LARGEST_SINGLE, -(-n // _MOST_SHARDS)) if rows == "auto" else rows)
    if n <= rows:
        return []
    folder = folder_of(cache)
    # Digits for a thousand million rows: names sort as the rows do.
    return [f"{folder}/{start:09d}-{min(start + rows, n):09d}.h5" for start in range(0, n, rows)]


def shards_before(cache: str, made: str, inputs: Iterable[str]) -> list[str]:
    """Return the shards of a cache among the inputs of a finished one, in order.

    Where the workflow is part of another one, ``made`` and its inputs have a prefix.
    """
    found = map(PurePosixPath, inputs)
    names = sorted(path.name for path in found if str(path.parent) == folder_of(made))
    return [f"{folder_of(cache)}/{name}" for name in names]


def folder_of(cache: str) -> str:
    """Return the folder of the shards of a cache.

    >>> folder_of("cache/tiny/images/digits/clean.h5")
    'cache/tiny/images/digits/clean.shards'
    """
    return str(PurePosixPath(cache).with_suffix(".shards"))


def _whole_chunks(rows: int) -> int:
    return -(-rows // CHUNK_ROWS) * CHUNK_ROWS
