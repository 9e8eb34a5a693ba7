"""Decoding: threads and processes give the same pixels in the same order."""

import io
import multiprocessing
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode

from lpclip.data.read_image import _QUIET, decode
from lpclip.errors import BadImageError, LpclipError
from lpclip.features import parallel, pixels
from lpclip.features.pixels import Images, decoded, decoded_on
from lpclip.models.resampling import Resampling, resampling_of

N = 23


class Numbered:
    """A source whose row i is a grey image of level i."""

    class_names = None

    def __init__(self, failing=None):
        self._failing = failing or {}

    def samples(self):
        raise NotImplementedError

    def read(self, path):
        if error := self._failing.get(path):
            raise error
        return Image.new("RGB", (5, 4), (int(path),) * 3)


def chunks():
    return (range(start, min(start + 10, N)) for start in range(0, N, 10))


CPU = torch.device("cpu")
SAME_SIZE = Resampling((4, 5), (4, 5), InterpolationMode.BICUBIC)
WAYS = [(on_device, workers) for on_device in (False, True) for workers in (0, 2)]


def found(way, source, monkeypatch):
    monkeypatch.setattr(parallel, "GROUP_ROWS", 4)
    images = Images(source, [str(row) for row in range(N)], lambda image: image)
    on_device, workers = way
    if on_device:
        return list(decoded_on(CPU, images, chunks, SAME_SIZE, workers=workers))
    return list(decoded(images, chunks, workers=workers))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_row_comes_once_and_in_order(way, monkeypatch):
    parts = found(way, Numbered(), monkeypatch)
    assert [len(part) for part in parts] == [10, 10, 3]
    whole = torch.cat(parts)
    assert (whole.shape, whole.dtype) == ((N, 3, 4, 5), torch.uint8)
    np.testing.assert_array_equal(whole[:, 1, 2, 3], np.arange(N))
    assert all(part.is_contiguous() for part in parts)


@pytest.mark.parametrize("on_device", [False, True])
def test_worker_processes_end_well(on_device):
    images = Images(Numbered(), [str(row) for row in range(N)], lambda image: image)
    if on_device:
        parts = decoded_on(CPU, images, chunks, SAME_SIZE, workers=2)
    else:
        parts = decoded(images, chunks, workers=2)
    next(parts)
    workers = multiprocessing.active_children()
    assert len(list(parts)) == 2
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]


class Files(Numbered):
    """A source of JPEG and PNG files in memory, of many sizes."""

    def __init__(self, files):
        self._files = files

    def encoded(self, path):
        return self._files[int(path)]

    def read(self, path):
        return decode(self._files[int(path)], path)


def test_a_device_makes_the_pixels_that_pillow_makes(monkeypatch):
    rng = np.random.default_rng(0)
    files = []
    for number in range(N):
        size = [(40, 30), (30, 40), (25, 25), (90, 70)][number % 4]
        small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
        image.save(buffer, "PNG" if number % 7 == 3 else "JPEG")
        files.append(buffer.getvalue())
    monkeypatch.setattr(pixels, "LARGEST_PIXELS", 80 * 70)
    monkeypatch.setattr(pixels, "RESIZED_AT_ONCE", 2)
    *steps, _, _ = open_clip.image_transform(24, is_train=False).transforms

    def prepare(image):
        for step in steps:
            image = step(image)
        return image

    images = Images(Files(files), [str(row) for row in range(N)], prepare)
    expected = torch.cat(list(decoded(images, chunks, workers=0)))
    resample = resampling_of(steps)
    found, by_processes = (
        torch.cat(list(decoded_on(CPU, images, chunks, resample, workers=workers)))
        for workers in (0, 2)
    )
    assert torch.equal(by_processes, found)
    assert (found.int() - expected.int()).abs().max() <= 1
    assert (found != expected).float().mean() < 1e-3
    own_sizes = {tuple(images.at_own_size(row).shape[:2]) for row in range(N)}
    # A PNG file and a large image are returned in the model's size.
    assert own_sizes == {(30, 40), (40, 30), (25, 25), (24, 24)}


def test_a_device_resizes_fewer_images_at_once_where_memory_ends(caplog, monkeypatch):
    monkeypatch.setattr(pixels, "RESIZED_AT_ONCE", 10)
    tried = []

    def resample(images):
        tried.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError
        return SAME_SIZE(images)

    images = Images(Numbered(), [str(row) for row in range(N)], lambda image: image)
    whole = torch.cat(list(decoded_on(CPU, images, chunks, resample, workers=0)))
    np.testing.assert_array_equal(whole[:, 1, 2, 3], np.arange(N))
    assert tried == [10, 5, *5 * [2], *5 * [2], 2, 1]
    assert "resizing 2 images at once" in caplog.text


def test_the_host_resizes_what_a_device_has_no_memory_for(monkeypatch):
    monkeypatch.setattr(pixels, "RESIZED_AT_ONCE", 10)
    tried = []

    def resample(images):
        tried.append(len(images))
        if tried in ([10], [10, 5], [10, 5, 2], [10, 5, 2, 1]):
            raise torch.OutOfMemoryError
        return SAME_SIZE(images)

    images = Images(Numbered(), [str(row) for row in range(10)], lambda image: image)
    (whole,) = decoded_on(CPU, images, lambda: iter([range(10)]), resample, workers=0)
    np.testing.assert_array_equal(whole[:, 1, 2, 3], np.arange(10))
    assert tried == [10, 5, 2, 1, 10]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_bad_images_take_the_place_of_their_chunk_alone(way, monkeypatch):
    bad = {row: BadImageError(row, "damaged") for row in ("11", "18")}
    parts = found(way, Numbered(bad), monkeypatch)
    assert [error.path for error in parts[1]] == ["11", "18"]
    assert [len(parts[0]), len(parts[2])] == [10, 3]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_another_error_ends_it(way, monkeypatch):
    with pytest.raises(LpclipError, match="no such row"):
        found(way, Numbered({"7": LpclipError("no such row")}), monkeypatch)


def test_threads_that_read_side_by_side_leave_the_filters_of_warnings_as_they_were():
    before = list(warnings.filters)

    def read(_):
        for _ in range(50):
            with _QUIET:
                warnings.warn("of odd metadata", stacklevel=1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))
    assert list(warnings.filters) == before


def test_every_thread_that_uses_a_gpu_sets_it_first(monkeypatch):
    current, pinned = threading.local(), []
    empty, resampled = torch.empty, pixels._resampled_as_fits

    def checked(*size, pin_memory=False, **more):
        if pin_memory:
            pinned.append(current.gpu)
        return empty(*size, **more)

    class Stream:
        def __init__(self, place):
            assert current.gpu == place.index

        def synchronize(self):
            pass

    monkeypatch.setattr(
        torch.cuda, "set_device", lambda place: vars(current).update(gpu=place.index)
    )
    monkeypatch.setattr(torch, "empty", checked)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "default_stream", lambda _: None)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: None)
    monkeypatch.setattr(
        pixels, "_resampled_as_fits", lambda groups, _, *more: resampled(groups, CPU, *more)
    )
    images = Images(Numbered(), [str(row) for row in range(N)], lambda image: image)
    parts = list(decoded_on(torch.device("cuda:2"), images, chunks, SAME_SIZE, workers=0))
    assert torch.cat(parts)[:, 0, 0, 0].tolist() == list(range(N))
    assert set(pinned) == {2}
