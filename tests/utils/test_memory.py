"""Arrays by rows, in memory or in a temporary file."""

import errno
import os
import tempfile

import numpy as np
import pytest

from lpclip.errors import LpclipError
from lpclip.utils import memory
from lpclip.utils.memory import DEFAULT_MEMORY_GB, Scratch, empty_rows, limit_memory, parts, select


@pytest.fixture
def filled():
    """Return an array in a file, and the same in memory."""
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    stored = Scratch(*values.shape)
    stored[slice(0, 50)] = values
    return stored, values


@pytest.mark.parametrize(
    "rows",
    [
        slice(None),
        slice(7, 9),
        slice(9, 9),
        np.array([], dtype=np.int64),
        np.array([3, 4, 5]),
        np.array([49, 0, 0]),
        np.array([[1, 2], [40, 3]]),
    ],
)
def test_rows_in_a_file_are_those_of_an_array(filled, rows):
    stored, values = filled
    np.testing.assert_array_equal(stored[rows], values[rows])


@pytest.mark.parametrize("rows", [slice(2, 4), np.array([2, 3]), np.array([30, 2])])
def test_rows_are_overwritten(filled, rows):
    stored, values = filled
    stored[rows] = np.ones((2, 3))
    values[rows] = 1
    np.testing.assert_array_equal(stored[:], values)


def test_columns_and_selections_are_those_of_an_array(filled, monkeypatch):
    stored, values = filled
    monkeypatch.setattr(memory, "BLOCK_BYTES", 100)
    np.testing.assert_array_equal(stored.columns(slice(1, 3)), values[:, 1:3])
    rows, columns = np.array([4, 20, 21]), np.array([0, 2])
    np.testing.assert_array_equal(select(stored, rows, columns), values[rows[:, None], columns])


def test_parts_are_all_rows_in_order(filled, monkeypatch):
    stored, values = filled
    monkeypatch.setattr(memory, "BLOCK_BYTES", 100)
    found = list(parts(stored))
    assert len(found) > 1
    np.testing.assert_array_equal(np.concatenate([part for _, part in found]), values)
    assert [rows for rows, _ in parts(values)] == [slice(0, 50)]


def test_an_array_beyond_the_budget_is_in_a_file():
    assert isinstance(empty_rows(100, 10), np.ndarray)
    try:
        limit_memory(1e-6)
        assert isinstance(empty_rows(100, 10), Scratch)
    finally:
        limit_memory(DEFAULT_MEMORY_GB)


def test_a_full_disk_is_found_at_once_and_names_the_folder(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space") as found:
        Scratch(10, 10)
    assert found.value.filename == tempfile.gettempdir()


def test_a_file_system_that_reserves_nothing_is_written_to_all_the_same(monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    stored = Scratch(4, 2)
    stored[slice(1, 2)] = np.ones((1, 2))
    assert stored[:].tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("gigabytes", [0, -1, float("nan")])
def test_a_budget_is_positive(gigabytes):
    with pytest.raises(LpclipError, match="positive"):
        limit_memory(gigabytes)
