"""Files that other programs have open: wait, name the program, share reads, never delete."""

import errno
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import lpclip
from lpclip.errors import LpclipError
from lpclip.storage import locks, opening
from lpclip.storage.hdf5 import create, open_file, read_provenance
from lpclip.storage.tables import read_table, write_table

# A notebook: opens and closes files with pandas on command, one per line.
NOTEBOOK = """
import json, sys, warnings
import pandas as pd
warnings.simplefilter("ignore")
store = None
for line in sys.stdin:
    if store is not None:
        store.close()
        store = None
    if arguments := json.loads(line):
        store = pd.HDFStore(*arguments)
    print("done", flush=True)
"""
SAMPLES = pd.DataFrame({"id": ["a", "b"], "path": ["a.png", "b.png"]})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "clean.h5"
    with create(path, kind="features", provenance={"index": "x"}) as file:
        file["features/clean"] = np.ones((2, 4), np.float16)
        write_table(file, "samples", SAMPLES)
    return path


class Notebook:
    """A program that has at most one file open, through pandas."""

    def __init__(self):
        self._child = subprocess.Popen(
            [sys.executable, "-c", NOTEBOOK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._child.pid

    def open(self, *arguments):
        self._child.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        self._child.stdin.flush()
        assert self._child.stdout.readline() == "done\n"

    def close(self):
        self.open()

    def end(self):
        self._child.communicate()


@pytest.fixture(scope="module")
def started():
    notebook = Notebook()
    yield notebook
    notebook.end()


@pytest.fixture
def notebook(started):
    yield started
    started.close()


def test_a_file_that_a_notebook_holds_is_refused_with_its_process_and_not_deleted(
    path, notebook, monkeypatch
):
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.3)
    before = path.read_bytes()
    notebook.open(path)
    with pytest.raises(LpclipError, match="open for writing in another program") as refused:
        read_provenance(path)
    text = str(refused.value)
    assert f"HDF5's file lock: process {notebook.pid} (" in text
    assert "Close it there" in text
    assert "elete" not in text
    assert "forcerun" not in text
    notebook.close()
    assert read_provenance(path) == {"index": "x"}
    assert path.read_bytes() == before


def test_a_writer_that_closes_within_some_seconds_is_waited_for(path, notebook, monkeypatch):
    monkeypatch.setattr(locks, "WAIT_SECONDS", 60.0)
    notebook.open(path)
    asked = threading.Event()
    free = locks._is_free

    def close_once_it_was_tried(opened):
        found = free(opened)
        if not found and not asked.is_set():
            asked.set()
            notebook.close()
        return found

    monkeypatch.setattr(locks, "_is_free", close_once_it_was_tried)
    assert read_provenance(path) == {"index": "x"}
    assert asked.is_set()


def test_lpclip_reads_what_a_notebook_reads(path, notebook):
    notebook.open(path, "r")
    with open_file(path) as one, open_file(path) as two:
        assert one["features/clean"][0, 0] == two["features/clean"][0, 0] == 1


def test_a_notebook_may_open_a_file_for_appending_while_lpclip_reads_it(path, notebook):
    with open_file(path) as file:
        notebook.open(path)
        np.testing.assert_array_equal(file["features/clean"][...], np.ones((2, 4)))
        notebook.close()


@pytest.mark.parametrize("wish", [None, True, False, "best-effort"])
def test_a_reader_of_the_same_process_may_hold_the_lock(path, wish):
    with h5py.File(path, "r", locking=wish):
        assert read_provenance(path) == {"index": "x"}


def test_a_store_of_the_same_process_is_named_without_waiting(path, monkeypatch):
    monkeypatch.setattr(locks, "WAIT_SECONDS", 3600.0)
    with (
        pd.HDFStore(path),
        pytest.raises(LpclipError, match=f"process {os.getpid()}, which is this one"),
    ):
        read_provenance(path)


def test_what_changed_while_it_was_read_is_not_believed(path):
    with (  # noqa: PT012
        pytest.raises(LpclipError, match="was changed by another program while lpclip read it"),
        open_file(path) as file,
    ):
        assert len(read_table(file, "samples")) == 2
        content = bytearray(path.read_bytes())
        content[-1] ^= 255
        with path.open("r+b") as other:
            other.write(content)
        os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("code", sorted(locks.NO_LOCKS))
def test_a_file_system_without_locks_is_read(path, monkeypatch, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    assert read_provenance(path) == {"index": "x"}


def test_a_lock_that_the_library_insists_on_but_cannot_have_is_a_sentence(path, monkeypatch):
    def refuse(*_, **__):
        text = f"Unable to open file (unable to lock file, errno = {errno.ENOLCK}, error message)"
        raise OSError(errno.ENOLCK, text)

    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "TRUE")
    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(LpclipError, match="without file locks, but HDF5_USE_FILE_LOCKING=TRUE"):
        read_provenance(path)


def test_an_error_of_the_disk_is_not_said_to_be_the_files(path, monkeypatch):
    text = "Unable to open file (file read failed: errno = 5, error message = 'Input/output error')"

    def fail(*_, **__):
        raise OSError(errno.EIO, text)

    monkeypatch.setattr(h5py, "File", fail)
    monkeypatch.setattr(opening, "_raised_by_hdf5", lambda _: True)
    with pytest.raises(LpclipError, match=r"over the network .* The file may be whole") as refused:
        read_provenance(path)
    assert "forcerun" not in str(refused.value)


def test_no_sentence_advises_to_delete():
    """A file to be deleted may be intact; ``make_again`` gives the advice instead."""
    texts = {path: path.read_text() for path in Path(lpclip.__file__).parent.rglob("*.py")}
    advice = re.compile(r"\b[Dd]elet(e|ing)\b")
    assert [path for path, text in texts.items() if advice.search(text)] == []
