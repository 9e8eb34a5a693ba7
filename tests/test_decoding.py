"""Decoding: the same pixels in the same order by threads and by processes."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from lpclip import decoding
from lpclip.data._images import _QUIET
from lpclip.decoding import Images, decoded
from lpclip.errors import BadImageError, LpclipError

N = 23


class Numbered:
    """Row i is a grey image of level i."""

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


WAYS = [
    {"workers": 0, "ahead": False},
    {"workers": 0, "ahead": True},
    {"workers": 2, "ahead": True},
]


def found(way, source, monkeypatch):
    monkeypatch.setattr(decoding, "GROUP_ROWS", 4)
    images = Images(source, [str(row) for row in range(N)], lambda image: image)
    return list(decoded(images, chunks, **way))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_row_comes_once_and_in_order(way, monkeypatch):
    parts = found(way, Numbered(), monkeypatch)
    assert [len(part) for part in parts] == [10, 10, 3]
    whole = torch.cat(parts)
    assert (whole.shape, whole.dtype) == ((N, 3, 4, 5), torch.uint8)
    np.testing.assert_array_equal(whole[:, 1, 2, 3], np.arange(N))
    assert all(part.is_contiguous() for part in parts)


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
