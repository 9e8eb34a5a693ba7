"""Embed the views of decoded images; halve the batch size when memory runs out."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lpclip.errors import BadImageError, LpclipError
from lpclip.features.pixels import Images, decoded, decoded_on
from lpclip.models.clip import Model
from lpclip.storage.chunks import Parts
from lpclip.storage.features import CHUNK_ROWS
from lpclip.types import FloatArray
from lpclip.utils.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Views:
    """One view of every image, in one or several versions.

    Attributes:
        name: name of the view in the cache.
        versions: 0 for a view without versions, stored ``[N, D]``; else stored ``[V, N, D]``.
        make: ``(pixels [B, 3, H, W], ids, version) -> pixels [B, 3, H, W]``; from uint8 to uint8
            or float32 in 0..1.
    """

    name: str
    versions: int
    make: Callable[[Tensor, Sequence[str], int], Tensor]


def automatic_batch_size(model: Model) -> int:
    """Return the fastest batch size on a CPU; a whole chunk on other devices.

    A CPU is fastest while a batch fits its caches: about 32 images of 224 pixels.
    """
    if model.device.type != "cpu":
        return CHUNK_ROWS
    fitting = 32 * 224**2 / model.image_size**2
    return min(CHUNK_ROWS, 1 << max(0, round(math.log2(fitting))))


def encode_all(
    images: Images,
    ids: Sequence[str],
    parts: Parts,
    shown: Progress,
    *,
    model: Model,
    views: Sequence[Views],
    workers: int,
) -> list[BadImageError]:
    """Embed the chunks of rows that have no part yet.

    If the images are several versions of n rows, each chunk occurs once per version.

    Returns:
        Images that cannot be read. After the first one, the rest is decoded but not embedded, so
        that one run finds all unreadable images.
    """
    n, starts = len(ids), [number * CHUNK_ROWS for number in parts.missing]
    on_cpu = model.device.type == "cpu"

    def chunks() -> Iterator[range]:
        for start in starts:
            for version in range(0, len(images), n):
                yield range(version + start, version + min(start + CHUNK_ROWS, n))

    bad: list[BadImageError] = []
    encoded: deque[tuple[Callable[[], FloatArray], int]] = deque()
    versions: list[FloatArray] = []

    def finish(waiting: int) -> None:
        """Store the embedded chunks, except the last few."""
        while len(encoded) > waiting:
            fetch, batch_size = encoded.popleft()
            with shown.spending("encode"):
                versions.append(fetch())
            model.check(versions[-1])
            if len(versions) == len(images) // n:
                with shown.spending("write"):
                    parts.add(np.concatenate(versions), batch_size=batch_size)
                shown.add(versions[-1].shape[1])
                versions.clear()

    resample = model.resampling
    if on_cpu or resample is None:
        found = decoded(images, chunks, workers=workers)
    else:
        found = decoded_on(model.device, images, chunks, resample, workers=workers)
    for chunk in chunks():
        with shown.spending("decode"):
            pixels = next(found)
        if isinstance(pixels, list):
            if not bad:
                log.warning("%s Looking for others.", pixels[0])
            bad += pixels
        if bad:
            continue
        assert isinstance(pixels, Tensor)
        start = chunk[0] % n
        own_ids = ids[start : start + len(chunk)]
        encode = partial(_encode, pixels, own_ids, model=model, views=views, shown=shown)
        encoded.append(_what_fits(encode, parts, model))
        # A GPU embeds one chunk while the previous one is fetched and written.
        finish(0 if on_cpu else 1)
    finish(0)
    return bad


def _what_fits(
    encode: Callable[..., Callable[[], FloatArray]], parts: Parts, model: Model
) -> tuple[Callable[[], FloatArray], int]:
    """Encode, halving the batch size whenever memory runs out; also return the size."""
    while True:
        size = parts.batch_size
        try:
            return encode(batch_size=size), size
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise LpclipError(
                    f"Model '{model.spec.name}': the memory of {model.device} does not hold one "
                    "image at a time. Stop other programs there, or set another device."
                ) from error
        parts.batch_size = half = (size + 1) // 2
        log.warning("%s: out of memory with %d images at once, trying %d", model.device, size, half)
        if model.device.type == "cuda":
            torch.cuda.empty_cache()


def _encode(
    pixels: Tensor,
    ids: Sequence[str],
    *,
    model: Model,
    views: Sequence[Views],
    batch_size: int,
    shown: Progress,
) -> Callable[[], FloatArray]:
    """Start to embed all views of one chunk of pixels, uint8 ``[n, 3, H, W]`` on any device.

    The result is a function that waits for the features, ``[sum of versions, n, D]`` float16.
    """
    if model.device.type == "cuda" and pixels.device.type == "cpu":
        pixels = pixels.pin_memory()
    pixels = pixels.to(model.device, non_blocking=True)
    rows: list[list[Tensor]] = []
    for start in range(0, len(pixels), batch_size):
        images = pixels[start : start + batch_size]
        batch_ids, features = ids[start : start + batch_size], list[Tensor]()
        for view in views:
            for version in range(max(1, view.versions)):
                with shown.spending("views"):
                    changed = view.make(images, batch_ids, version)
                with shown.spending("encode"):
                    features.append(model.features(changed).half())
        rows.append(features)
    whole = torch.stack([torch.cat(batches) for batches in zip(*rows, strict=True)])
    if model.device.type != "cuda":
        return lambda: whole.cpu().numpy()
    host = torch.empty(whole.shape, dtype=whole.dtype, pin_memory=True)
    host.copy_(whole, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record(torch.cuda.current_stream(model.device))

    def fetch() -> FloatArray:
        copied.synchronize()
        return host.numpy()

    return fetch
