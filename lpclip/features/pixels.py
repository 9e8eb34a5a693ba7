"""Images of a dataset as pixels, decoded by threads of this process or by worker processes.

Beside a GPU they are handed over as they come out of their files and resized there.
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

# Images of one size that a GPU resizes as one: more would take its memory and save no time.
RESIZED_AT_ONCE = 64
# Larger ones are resized by Pillow: chunks of them would fill the memory of a GPU.
LARGEST_PIXELS = 1 << 20
# Chunks that are made ready ahead of a GPU, which is done with one in hundredths of a second.
CHUNKS_AHEAD = 2

_Pixels: TypeAlias = npt.NDArray[np.uint8] | LpclipError  # an image [H, W, 3]
_Chunks: TypeAlias = Callable[[], Iterator[range]]


@dataclass(frozen=True)
class _Packed:
    """Images of many sizes, uint8: one after another in ``values``, each ``[H, W, 3]``."""

    values: Tensor
    sizes: list[tuple[int, int]]

    def on(self, device: torch.device) -> list[Tensor]:
        """The images ``[3, H, W]`` on a device, in one copy."""
        values = self.values.to(device, non_blocking=True)
        parts = torch.split(values, [3 * height * width for height, width in self.sizes])
        images = zip(parts, self.sizes, strict=True)
        return [part.view(*size, 3).permute(2, 0, 1) for part, size in images]


class Images:
    """Decoded, resized and cropped images by row: uint8 ``[H, W, 3]``.

    An error is an item too: raised in a worker, it would come back with a traceback in its text.
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
        """An image, uint8 ``[H, W, 3]``: not resized yet if it is a JPEG file of moderate size."""
        try:
            encoded = read_encoded(self._source, self._paths[row])
        except LpclipError as error:
            return error
        pixels = decode_plain(encoded, largest=LARGEST_PIXELS) if encoded else None
        if pixels is not None:
            return pixels.permute(1, 2, 0)  # as the decoder writes them
        item = self[row]
        return item if isinstance(item, LpclipError) else torch.from_numpy(item.copy())


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
    for groups in in_groups(partial(_stacked, images), chunks, workers=workers, ahead=0):
        if errors := _bad_images(groups):
            yield errors
            continue
        # Laid out as images made tensors one by one are: another layout rounds otherwise.
        pixels = torch.cat([group for group in groups if isinstance(group, Tensor)])
        yield pixels.permute(0, 3, 1, 2).contiguous()


def decoded_on(
    device: torch.device, images: Images, chunks: _Chunks, resample: Resampling, *, workers: int
) -> Iterator[Tensor | list[BadImageError]]:
    """As ``decoded``, always ahead of the caller, with pixels that the device has resized.

    Args:
        device: holds the pixels.
        images: what to decode.
        chunks: gives the chunks, in order, whenever it is called.
        resample: what ``images`` does to their size.
        workers: processes that decode; with 0, as many threads as torch uses.

    Raises:
        LpclipError: an error that is not an image's.
    """
    on_cuda = device.type == "cuda"
    # A worker process may not touch the GPU.
    make = partial(_packed, images, pinned=on_cuda and not workers)
    found = in_groups(make, chunks, workers=workers, ahead=CHUNKS_AHEAD)

    def made() -> Generator[Tensor | list[BadImageError]]:
        # A stream of its own, since a copy waits for all that its stream has to do before.
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
    """``_resampled``, and how many images at once: half as many whenever memory runs out.

    Where it does not hold one, the encoder needs it: the host then resizes this chunk.
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
    """Images of many sizes in the model's."""
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
    """Pixels of some rows, uint8 ``[n, H, W, 3]``, or all errors among them."""
    items = [images[row] for row in rows]
    pixels = [item for item in items if not isinstance(item, LpclipError)]
    return _errors_among(items) or torch.from_numpy(np.stack(pixels))


def _packed(images: Images, rows: range, *, pinned: bool) -> _Packed | list[LpclipError]:
    """Images of some rows in one piece of memory, or all errors among them.

    Pinned memory is copied to a GPU without waiting, and torch uses it again.
    """
    items = [images.at_own_size(row) for row in rows]
    if errors := _errors_among(items):
        return errors
    pixels = [item for item in items if isinstance(item, Tensor)]
    parts = [image.reshape(-1).numpy() for image in pixels]
    values = torch.empty(sum(map(len, parts)), dtype=torch.uint8, pin_memory=pinned)
    np.concatenate(parts, out=values.numpy())  # in this thread, where torch would use its own
    return _Packed(values, [(image.shape[0], image.shape[1]) for image in pixels])


def _errors_among(items: Iterable[object]) -> list[LpclipError]:
    return [item for item in items if isinstance(item, LpclipError)]


def _bad_images(groups: Sequence[object]) -> list[BadImageError]:
    """All errors of the groups, unless one is not an image's, which is raised."""
    errors = [error for group in groups if isinstance(group, list) for error in group]
    for error in errors:
        if not isinstance(error, BadImageError):
            raise error
    return errors
