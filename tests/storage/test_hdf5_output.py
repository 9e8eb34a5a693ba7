"""Full disks and interrupts while HDF5 is written: an ordinary error, no crash at exit."""

import errno
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from lpclip.errors import LpclipError
from lpclip.storage import hdf5_output
from lpclip.storage.hdf5 import create

# Writes features under every limit on the size of the file, up to the whole file.
EVERY_LIMIT = """
import resource, sys
from pathlib import Path
import numpy as np
import pandas as pd
from lpclip.errors import LpclipError
from lpclip.storage.features import read_features, write_features
path, whole = Path(sys.argv[1]), None
samples = pd.DataFrame({"id": [f"{n:020}" for n in range(5000)], "path": "a path"})
def write():
    write_features(path, samples=samples, versions={"clean": 0, "weak": 2},
        parts=[np.ones((3, 1000, 8), np.float16)] * 5, provenance={"model": "tiny"})
write()
size = path.stat().st_size
path.unlink()
for limit in [0, 1, 96, 2000, 2048, 5000, *range(10_000, size, size // 40), size - 1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write()
    except LpclipError as error:
        assert "larger than the system allows" in str(error), error
    else:
        raise AssertionError(limit)
    assert list(path.parent.iterdir()) == []
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
write()
assert read_features(path, "weak", expected={}).shape == (2, 5000, 8)
"""

INTERRUPTED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from lpclip.storage import hdf5_output
# A background job of a shell would ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
path, at = Path(sys.argv[1]), int(sys.argv[2])
calls, pwrite = 0, os.pwrite
def counting(*arguments):
    global calls
    calls += 1
    if calls == at:
        signal.raise_signal(signal.SIGINT)
    return pwrite(*arguments)
os.pwrite = counting
hdf5_output.RETRY_SECONDS = 0.001
try:
    with hdf5_output.new_hdf5(path) as file:
        table = np.zeros(3000, dtype=[("id", "S30")])
        file.create_dataset("table", data=table, chunks=(1000,), maxshape=(None,))
        features = file.create_dataset("features", (10_000, 8), "f4")
        while True:
            features[100:200] = 1
except KeyboardInterrupt:
    print("interrupted after", calls >= at)
"""


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_limit_of_any_size_is_a_sentence_and_the_process_ends_well(tmp_path):
    done = run(EVERY_LIMIT, tmp_path / "f.h5")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("at", [1, 5, 30])
def test_an_interrupt_inside_a_write_stops_the_work_and_crashes_nothing(tmp_path, at):
    done = run(INTERRUPTED, tmp_path / "f.h5", at)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted after True\n", "")


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["pwrite", "ftruncate"])
def test_what_the_disk_refuses_in_any_call_reaches_the_caller(tmp_path, monkeypatch, number, call):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "f.h5"
    monkeypatch.setattr(hdf5_output.os, call, refuse)
    with (
        pytest.raises(LpclipError) as caught,
        create(path, kind="text", provenance={}) as file,
    ):
        file["text"] = np.ones((300, 300))
    assert caught.value.__cause__.errno == number
    assert list(tmp_path.iterdir()) == []


def test_writes_that_the_system_splits_are_put_together(tmp_path, monkeypatch):
    whole, pwrite = tmp_path / "whole.h5", os.pwrite
    split = tmp_path / "split.h5"
    for path in (whole, split):
        with hdf5_output.new_hdf5(path) as file:
            file["a/b"] = np.arange(3000)
            file.attrs["name"] = "x"
        monkeypatch.setattr(hdf5_output.os, "pwrite", lambda f, data, at: pwrite(f, data[:7], at))
    assert whole.read_bytes() == split.read_bytes()
    with h5py.File(split) as file:
        assert file["a/b"][-1] == 2999


def test_an_error_of_the_caller_is_the_callers(tmp_path):
    with pytest.raises(ZeroDivisionError), hdf5_output.new_hdf5(tmp_path / "f.h5") as file:
        file["a"] = 1 / 0
