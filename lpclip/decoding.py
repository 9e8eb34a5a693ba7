"""Images of a dataset as pixels, decoded by threads of this process or by worker processes.

Beside a GPU, what threads decode is resized there.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lpclip.data import Source, read_encoded, read_image
from lpclip.data._jpeg import decode_plain
from lpclip.errors import BadImageError, LpclipError
from lpclip.resampling import Resampling

# Rows that a worker process decodes as one: a chunk would take long to come and much memory.
GROUP_ROWS = 32
# Images of one size that a GPU resizes as one: more would take its memory and save no time.
RESIZED_AT_ONCE = 64
# Larger ones are resized by Pillow: chunks of them would fill the memory of a GPU.
LARGEST_PIXELS = 1 << 20
# Chunks that threads decode ahead of a GPU, which is done with one in hundredths of a second.
CHUNKS_AHEAD = 2

_Item: TypeAlias = npt.NDArray[np.uint8] | LpclipError  # an image [H, W, 3]
_Group: TypeAlias = Tensor | list[LpclipError]  # images uint8 [n, H, W, 3]
_Chunks: TypeAlias = Callable[[], Iterator[range]]
_Found = TypeVar("_Found")


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

    def at_own_size(self, row: int) -> Tensor | LpclipError:
        """An image, uint8 ``[3, H, W]``: not resized yet if it is a JPEG file of moderate size."""
        try:
            encoded = read_encoded(self._source, self._paths[row])
        except LpclipError as error:
            return error
        pixels = decode_plain(encoded, largest=LARGEST_PIXELS) if encoded else None
        if pixels is not None:
            return pixels
        item = self[row]
        if isinstance(item, LpclipError):
            return item
        return torch.from_numpy(item.copy()).permute(2, 0, 1)


def decoded(
    images: Images, chunks: _Chunks, *, workers: int
) -> Iterator[Tensor | list[BadImageError]]:
    """Pixels of chunks of rows, uint8 ``[n, 3, H, W]``, or the bad images of a chunk.

    Args:
        images: what to decode.
        chunks: gives the chunks, in order, whenever it is called.
        workers: processes that decode, ahead of the caller; with 0, as many threads of this
            process as torch uses, while the caller waits: they would take the encoder's cores.

    Raises:
        LpclipError: an error that is not an image's.
    """
    if workers:
        found = _by_processes(images, chunks, workers)
    else:
        found = ([_stack(items)] for items in _by_threads(images.__getitem__, chunks, ahead=0))
    for groups in found:
        errors = [error for group in groups if isinstance(group, list) for error in group]
        if errors:
            yield _bad_images(errors)
            continue
        # Laid out as images made tensors one by one are: another layout rounds otherwise.
        pixels = torch.cat([group for group in groups if isinstance(group, Tensor)])
        yield pixels.permute(0, 3, 1, 2).contiguous()


def decoded_on(
    device: torch.device, images: Images, chunks: _Chunks, resample: Resampling
) -> Iterator[Tensor | list[BadImageError]]:
    """As ``decoded``, by threads ahead of the caller, with pixels that the device has resized.

    Args:
        device: holds the pixels.
        images: what to decode.
        chunks: gives the chunks, in order, whenever it is called.
        resample: what ``images`` does to their size.

    Raises:
        LpclipError: an error that is not an image's.
    """
    own = threading.local()

    def on_device(row: int) -> Tensor | LpclipError:
        pixels = images.at_own_size(row)
        if isinstance(pixels, LpclipError) or device.type != "cuda":
            return pixels
        # On a stream of the thread, since a copy would wait for all that the encoder has to do.
        if not hasattr(own, "stream"):
            own.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(own.stream):
            copy = pixels.to(device)
        own.stream.synchronize()
        copy.record_stream(torch.cuda.default_stream(device))
        return copy

    for items in _by_threads(on_device, chunks, ahead=CHUNKS_AHEAD):
        errors = [item for item in items if isinstance(item, LpclipError)]
        if errors:
            yield _bad_images(errors)
            continue
        yield _resampled([item for item in items if isinstance(item, Tensor)], device, resample)


def _resampled(pixels: Sequence[Tensor], device: torch.device, resample: Resampling) -> Tensor:
    """Images of many sizes in the model's, without waiting for the device."""
    order = sorted(range(len(pixels)), key=lambda number: pixels[number].shape)
    groups: list[list[Tensor]] = []
    for number in order:
        image = pixels[number]
        if not groups or image.shape != groups[-1][0].shape or len(groups[-1]) == RESIZED_AT_ONCE:
            groups.append([])
        groups[-1].append(image)
    made = torch.cat([resample(torch.stack(group).to(device)) for group in groups])
    place = torch.tensor(order).argsort()
    if device.type == "cuda":
        place = place.pin_memory()
    return made[place.to(device, non_blocking=True)]


def _by_processes(images: Images, chunks: _Chunks, workers: int) -> Iterator[list[_Group]]:
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
    decode: Callable[[int], _Found], chunks: _Chunks, *, ahead: int
) -> Iterator[list[_Found]]:
    # Decoders work without Python's lock, so that threads do it side by side.
    pool = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="decode")
    asked: deque[list[Future[_Found]]] = deque()

    def first() -> list[_Found]:
        return [future.result() for future in asked.popleft()]

    try:
        for chunk in chunks():
            asked.append([pool.submit(decode, row) for row in chunk])
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


def _bad_images(errors: Sequence[LpclipError]) -> list[BadImageError]:
    """All errors, unless one is not an image's, which is raised."""
    for error in errors:
        if not isinstance(error, BadImageError):
            raise error
    return [error for error in errors if isinstance(error, BadImageError)]
