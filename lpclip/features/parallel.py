"""Ordered parallel map over groups of rows, with prefetching, by threads or worker processes."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from lpclip.utils import plugins

# Rows of a group: more would delay the first result and fill the shared memory.
GROUP_ROWS = 16

_Group = TypeVar("_Group")


def in_groups(
    make: Callable[[range], _Group],
    chunks: Callable[[], Iterator[range]],
    *,
    workers: int,
    ahead: int,
) -> Iterator[list[_Group]]:
    """Iterate over the results of each chunk, a list with one item per group of rows.

    Worker processes start at once and prefetch. Without any, as many threads as torch uses stay
    ``ahead`` of the caller by this number of chunks.
    """
    return _by_processes(make, chunks, workers) if workers else _by_threads(make, chunks, ahead)


def made_ahead(items: Generator[_Group], count: int) -> Generator[_Group]:
    """Prefetch ``count`` items in a thread; none of the items may be None."""
    with ThreadPoolExecutor(1, "ahead") as thread:
        pending = deque(thread.submit(next, items, None) for _ in range(count))
        try:
            while (item := pending.popleft().result()) is not None:
                pending.append(thread.submit(next, items, None))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
            items.close()


class _Made(Dataset[_Group]):
    """Map from groups of rows to results, for DataLoader."""

    def __init__(self, make: Callable[[range], _Group]) -> None:
        self._make = make

    def __getitem__(self, rows: range) -> _Group:
        return self._make(rows)

    def __reduce__(self) -> tuple[Any, ...]:
        # Where workers do not start as forks, they load the files of plugins first.
        return _received, (plugins.used(), bytes(ForkingPickler.dumps(self._make)))


def _received(files: Sequence[str], make: bytes) -> _Made[Any]:
    plugins.use(files)
    return _Made(ForkingPickler.loads(make))


def _by_processes(
    make: Callable[[range], _Group], chunks: Callable[[], Iterator[range]], workers: int
) -> Iterator[list[_Group]]:
    loader = DataLoader(
        _Made(make),
        batch_size=None,
        sampler=(rows for chunk in chunks() for rows in _groups_of(chunk)),  # iterated once
        num_workers=workers,
        collate_fn=_as_it_is,
    )
    # Start the workers here: they must not outlive the thread that starts them.
    groups: Iterator[_Group] = iter(loader)
    return ([next(groups) for _ in _groups_of(chunk)] for chunk in chunks())


def _by_threads(
    make: Callable[[range], _Group], chunks: Callable[[], Iterator[range]], ahead: int
) -> Iterator[list[_Group]]:
    # Decoders release the GIL, so threads run in parallel.
    pool = ThreadPoolExecutor(torch.get_num_threads(), "decode")
    pending: deque[list[Future[_Group]]] = deque()

    def first() -> list[_Group]:
        return [future.result() for future in pending.popleft()]

    try:
        for chunk in chunks():
            pending.append([pool.submit(make, rows) for rows in _groups_of(chunk)])
            if len(pending) > ahead:
                yield first()
        while pending:
            yield first()
    finally:
        pool.shutdown(cancel_futures=True)


def _groups_of(chunk: range) -> list[range]:
    return [chunk[start : start + GROUP_ROWS] for start in range(0, len(chunk), GROUP_ROWS)]


def _as_it_is(group: _Group) -> _Group:
    return group
