"""Decode the images of a dataset, in threads of this process or in worker processes.

With a GPU, images are copied there at their own size and resized there.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL.Image import Image
from torch import Tensor

from lpclip.data.base import Source, read_encoded, read_image
from lpclip.data.jpeg import decode_plain
from lpclip.errors import BadImageError, LpclipError
from lpclip.features.parallel import in_groups, made_ahead
from lpclip.models.resampling import Resampling

log = logging.getLogger(__name__)

# Images of one size that a GPU resizes together: more would need memory and save no time.
RESIZED_AT_ONCE = 64
# Larger images are resized by Pillow: chunks of them would fill the memory of a GPU.
LARGEST_PIXELS = 1 << 20
# Chunks that are prefetched for a GPU, which takes hundredths of a second for one.
CHUNKS_AHEAD = 2

_Pixels: TypeAlias = npt.NDArray[np.uint8] | LpclipError  # an image [H, W, 3]
_Chunks: TypeAlias = Callable[[], Iterator[range]]


@dataclass(frozen=True)
class _Packed:
    """Images of many sizes, uint8: concatenated in ``values``, each ``[H, W, 3]``."""

    values: Tensor
    sizes: list[tuple[int, int]]

    def on(self, device: torch.device) -> list[Tensor]:
        """Copy the images ``[3, H, W]`` to a device, all at once."""
        values = self.values.to(device, non_blocking=True)
        parts = torch.split(values, [3 * height * width for height, width in self.sizes])
        images = zip(parts, self.sizes, strict=True)
        return [part.view(*size, 3).permute(2, 0, 1) for part, size in images]


class Images:
    """Decoded, resized and cropped images by row: uint8 ``[H, W, 3]``.

    Errors are returned as items: raised in a worker, they would have a traceback in their text.
    """

    def __init__(
        self, source: Source, paths: Sequence[str], prepare: Callable[[Image], Image]
    ) -> None:
        self._source, self._paths, self._prepare = source, paths, prepare

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> _Pixels:
        try:
            return np.asarray(self._prepare(read_image(self._source, self._paths[row])))
        except LpclipError as error:
            return error

    def at_own_size(self, row: int) -> Tensor | LpclipError:
        """Decode an image, uint8 ``[H, W, 3]``; a JPEG file of moderate size is not resized yet."""
        try:
            encoded = read_encoded(self._source, self._paths[row])
        except LpclipError as error:
            return error
        pixels = decode_plain(encoded, largest=LARGEST_PIXELS) if encoded else None
        if pixels is not None:
            return pixels.permute(1, 2, 0)  # in the decoder's layout
        item = self[row]
        return item if isinstance(item, LpclipError) else torch.from_numpy(item.copy())


def decoded(
    images: Images, chunks: _Chunks, *, workers: int
) -> Iterator[Tensor | list[BadImageError]]:
    """Iterate over the pixels of chunks, uint8 ``[n, 3, H, W]``, or the bad images of a chunk.

    Worker processes decode ahead of the caller. Without any, as many threads as torch uses decode
    while the caller waits, so that they do not compete with the encoder for cores.

    Raises:
        LpclipError: an error that does not concern an image.
    """
    for groups in in_groups(partial(_stacked, images), chunks, workers=workers, ahead=0):
        if errors := _bad_images(groups):
            yield errors
            continue
        # The layout of images converted one by one: another layout rounds differently.
        pixels = torch.cat([group for group in groups if isinstance(group, Tensor)])
        yield pixels.permute(0, 3, 1, 2).contiguous()


def decoded_on(
    device: torch.device, images: Images, chunks: _Chunks, resample: Resampling, *, workers: int
) -> Iterator[Tensor | list[BadImageError]]:
    """As ``decoded``, but always prefetching, and resized on the device as ``images`` does it."""
    on_cuda = device.type == "cuda"
    # A worker process must not use the GPU.
    make = partial(_packed, images, pin_for=device if on_cuda and not workers else None)
    found = in_groups(make, chunks, workers=workers, ahead=CHUNKS_AHEAD)

    def made() -> Generator[Tensor | list[BadImageError]]:
        if on_cuda:
            torch.cuda.set_device(device)  # of this thread
        # A separate stream, since a copy waits for all earlier work of its stream.
        stream = torch.cuda.Stream(device) if on_cuda else None  # type: ignore[no-untyped-call]
        at_once = RESIZED_AT_ONCE
        for groups in found:
            if errors := _bad_images(groups):
                yield errors
                continue
            packed = [group for group in groups if isinstance(group, _Packed)]
            with torch.cuda.stream(stream):
                pixels, at_once = _resampled_as_fits(packed, device, resample, at_once)
            if stream is not None:
                stream.synchronize()
                pixels.record_stream(torch.cuda.default_stream(device))
            yield pixels

    return made_ahead(made(), CHUNKS_AHEAD)


def _resampled_as_fits(
    groups: Sequence[_Packed], device: torch.device, resample: Resampling, at_once: int
) -> tuple[Tensor, int]:
    """Run ``_resampled``, halving the batch size whenever memory runs out; also return the size.

    If not even one image fits, the host resizes this chunk.
    """
    while True:
        try:
            return _resampled(groups, device, resample, at_once), at_once
        except torch.OutOfMemoryError:
            if at_once == 1:
                break
        at_once //= 2
        log.warning("%s: out of memory, resizing %d images at once", device, at_once)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return _resampled(groups, torch.device("cpu"), resample, RESIZED_AT_ONCE).to(device), at_once


def _resampled(
    groups: Sequence[_Packed], device: torch.device, resample: Resampling, at_once: int
) -> Tensor:
    """Resize images of many sizes to the model's."""
    pixels = [image for group in groups for image in group.on(device)]
    order = sorted(range(len(pixels)), key=lambda number: pixels[number].shape)
    alike: list[list[Tensor]] = []
    for number in order:
        image = pixels[number]
        if not alike or image.shape != alike[-1][0].shape or len(alike[-1]) == at_once:
            alike.append([])
        alike[-1].append(image)
    made = torch.cat([resample(torch.stack(images)) for images in alike])
    return made[torch.tensor(order).argsort().to(device)]


def _stacked(images: Images, rows: range) -> Tensor | list[LpclipError]:
    """Return the pixels of some rows, uint8 ``[n, H, W, 3]``, or all their errors."""
    items = [images[row] for row in rows]
    pixels = [item for item in items if not isinstance(item, LpclipError)]
    return _errors_among(items) or torch.from_numpy(np.stack(pixels))


def _packed(
    images: Images, rows: range, *, pin_for: torch.device | None
) -> _Packed | list[LpclipError]:
    """Return the images of some rows in one block of memory, or all their errors.

    The memory is pinned for a GPU, which copies it asynchronously.
    """
    items = [images.at_own_size(row) for row in rows]
    if errors := _errors_among(items):
        return errors
    pixels = [item for item in items if isinstance(item, Tensor)]
    parts = [image.reshape(-1).numpy() for image in pixels]
    if pin_for is not None:
        # Threads begin with the first GPU, and pinning can start CUDA on a thread's own device.
        torch.cuda.set_device(pin_for)
    length = sum(map(len, parts))
    values = torch.empty(length, dtype=torch.uint8, pin_memory=pin_for is not None)
    np.concatenate(parts, out=values.numpy())  # in this thread: torch would use several
    return _Packed(values, [(image.shape[0], image.shape[1]) for image in pixels])


def _errors_among(items: Iterable[object]) -> list[LpclipError]:
    return [item for item in items if isinstance(item, LpclipError)]


def _bad_images(groups: Sequence[object]) -> list[BadImageError]:
    """Return all errors of the groups; raise one that does not concern an image."""
    errors = [error for group in groups if isinstance(group, list) for error in group]
    for error in errors:
        if not isinstance(error, BadImageError):
            raise error
    return errors
