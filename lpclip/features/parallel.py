"""Rows in groups, by threads or by worker processes, in order and ahead of whoever asks."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

# Rows of a group: more take long to come, and much of the memory that processes share.
GROUP_ROWS = 16

_Group = TypeVar("_Group")


def in_groups(
    make: Callable[[range], _Group],
    chunks: Callable[[], Iterator[range]],
    *,
    workers: int,
    ahead: int,
) -> Iterator[list[_Group]]:
    """What is made of the groups of rows of each chunk.

    Args:
        make: the group of some rows.
        chunks: gives the chunks, in order, whenever it is called.
        workers: processes, which work ahead; they start at once. With 0, as many threads as torch
            uses.
        ahead: chunks that threads make before they are asked for.
    """
    return _by_processes(make, chunks, workers) if workers else _by_threads(make, chunks, ahead)


def made_ahead(items: Generator[_Group], count: int) -> Generator[_Group]:
    """The same items, none of them None, so many made by a thread before they are asked for."""
    with ThreadPoolExecutor(1, "ahead") as thread:
        asked = deque(thread.submit(next, items, None) for _ in range(count))
        try:
            while (item := asked.popleft().result()) is not None:
                asked.append(thread.submit(next, items, None))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
            items.close()


class _Made(Dataset[_Group]):
    """Groups by their rows, as DataLoader asks for them."""

    def __init__(self, make: Callable[[range], _Group]) -> None:
        self._make = make

    def __getitem__(self, rows: range) -> _Group:
        return self._make(rows)


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
    # They start here: of a thread that ends before them, they would not end well.
    groups: Iterator[_Group] = iter(loader)
    return ([next(groups) for _ in _groups_of(chunk)] for chunk in chunks())


def _by_threads(
    make: Callable[[range], _Group], chunks: Callable[[], Iterator[range]], ahead: int
) -> Iterator[list[_Group]]:
    # Decoders work without Python's lock, so that threads do it side by side.
    pool = ThreadPoolExecutor(torch.get_num_threads(), "decode")
    asked: deque[list[Future[_Group]]] = deque()

    def first() -> list[_Group]:
        return [future.result() for future in asked.popleft()]

    try:
        for chunk in chunks():
            asked.append([pool.submit(make, rows) for rows in _groups_of(chunk)])
            if len(asked) > ahead:
                yield first()
        while asked:
            yield first()
    finally:
        pool.shutdown(cancel_futures=True)


def _groups_of(chunk: range) -> list[range]:
    return [chunk[start : start + GROUP_ROWS] for start in range(0, len(chunk), GROUP_ROWS)]


def _as_it_is(group: _Group) -> _Group:
    return group
