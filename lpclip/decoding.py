"""Images of a dataset as pixels, decoded by threads of this process or by worker processes."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lpclip.data import Source, read_image
from lpclip.errors import BadImageError, LpclipError

# Rows that a worker process decodes as one: a chunk would take long to come and much memory.
GROUP_ROWS = 32

_Item: TypeAlias = npt.NDArray[np.uint8] | LpclipError  # an image [H, W, 3]
_Group: TypeAlias = Tensor | list[LpclipError]  # images uint8 [n, H, W, 3]


class Images(Dataset[_Item]):
    """Decoded, resized and cropped images by row: uint8 ``[H, W, 3]``.

    An error is an item too: raised in a worker, it would come back with a traceback in its text.
    """

    def __init__(
        self, source: Source, paths: Sequence[str], prepare: Callable[[Image], Image]
    ) -> None:
        self._source, self._paths, self._prepare = source, paths, prepare

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> _Item:
        try:
            return np.asarray(self._prepare(read_image(self._source, self._paths[row])))
        except LpclipError as error:
            return error


def decoded(
    images: Images, chunks: Callable[[], Iterator[range]], *, workers: int, ahead: bool
) -> Iterator[Tensor | list[BadImageError]]:
    """Pixels of chunks of rows, uint8 ``[n, 3, H, W]``, or the bad images of a chunk.

    Args:
        images: what to decode.
        chunks: gives the chunks, in order, whenever it is called.
        workers: processes that decode; with 0, as many threads of this process as torch uses.
        ahead: whether threads decode the next chunk while the caller works on one. Not on a CPU,
            where they would take the encoder's cores. Workers always decode ahead.

    Raises:
        LpclipError: an error that is not an image's.
    """
    if workers:
        found = _by_processes(images, chunks, workers)
    else:
        found = _by_threads(images, chunks, ahead=ahead)
    for groups in found:
        errors = [error for group in groups if isinstance(group, list) for error in group]
        for error in errors:
            if not isinstance(error, BadImageError):
                raise error
        bad = [error for error in errors if isinstance(error, BadImageError)]
        # Laid out as images made tensors one by one are: another layout rounds otherwise.
        yield (
            bad
            or torch.cat([group for group in groups if isinstance(group, Tensor)])
            .permute(0, 3, 1, 2)
            .contiguous()
        )


def _by_processes(
    images: Images, chunks: Callable[[], Iterator[range]], workers: int
) -> Iterator[list[_Group]]:
    def groups() -> Iterator[range]:
        for chunk in chunks():
            for start in range(0, len(chunk), GROUP_ROWS):
                yield chunk[start : start + GROUP_ROWS]

    loader = DataLoader(
        images,
        batch_sampler=groups(),  # type: ignore[arg-type]  # iterated once
        num_workers=workers,
        collate_fn=_stack,
    )
    decoded_groups: Iterator[_Group] = iter(loader)
    for chunk in chunks():
        yield [next(decoded_groups) for _ in range(0, len(chunk), GROUP_ROWS)]


def _by_threads(
    images: Images, chunks: Callable[[], Iterator[range]], *, ahead: bool
) -> Iterator[list[_Group]]:
    # Pillow decodes and resizes without Python's lock, so that threads do it side by side.
    pool = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="decode")
    asked: deque[list[Future[_Item]]] = deque()

    def first() -> list[_Group]:
        return [_stack([future.result() for future in asked.popleft()])]

    try:
        for chunk in chunks():
            asked.append([pool.submit(images.__getitem__, row) for row in chunk])
            if len(asked) > ahead:
                yield first()
        while asked:
            yield first()
    finally:
        pool.shutdown(cancel_futures=True)


def _stack(items: Sequence[_Item]) -> _Group:
    """Pixels of the images of a group, or all errors among them."""
    errors = [item for item in items if isinstance(item, LpclipError)]
    pixels = [item for item in items if not isinstance(item, LpclipError)]
    return errors or torch.from_numpy(np.stack(pixels))
