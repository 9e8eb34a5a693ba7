"""HDF5 on shared file systems: what takes a lock, read-only mounts, readers next to a writer."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

SETTINGS = [None, "TRUE", "FALSE", "BEST_EFFORT"]  # of HDF5_USE_FILE_LOCKING

# All readers of the package and pandas in a process of their own: HDF5 reads the variable once.
READERS = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
import lpclip
from lpclip.cli.inspect import describe
from lpclip.storage.arrays.registry import open_arrays
from lpclip.storage.made_from import read_record
from lpclip.storage.samples import read_samples
from lpclip.storage.verify import verify
folder = Path(sys.argv[1])
names = ("clean", "index", "probes", "own")
cache, index, probes, other = (folder / f"{name}.h5" for name in names)
assert len(lpclip.read_frame(cache)) == len(read_samples(index, labels=True)) == 3
assert lpclip.load_probe(probes).weight.shape == (2, 4)
assert open_arrays(cache).read("clean").shape == open_arrays(other).read("x").shape == (3, 4)
assert "features" in describe(cache)
assert read_record(cache)["stage"] == "embed-images"
assert not [one for one in verify([cache, index, probes]) if one.damages]
assert pd.read_hdf(cache, "frames/clean").shape == (3, 4)
"""
# Writes a file, and looks from another process for a lock on it while it is open.
WRITER = """
import subprocess, sys
from pathlib import Path
from lpclip.storage.hdf5 import create
probe = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
path = Path(sys.argv[1])
with create(path, kind="features", provenance={}) as file:
    file["x"] = [1.0]
    file.flush()
    (temporary,) = path.parent.glob(f".{path.name}.*.part")
    subprocess.run([sys.executable, "-c", probe, temporary], check=True)
assert not list(path.parent.glob(".*"))
"""
# Opens a file through the reader that is named, and looks for a lock on it meanwhile.
HOLDER = """
import fcntl, subprocess, sys
from contextlib import ExitStack
from pathlib import Path
import pandas as pd
from lpclip.storage.hdf5 import open_file
from lpclip.storage.opening import open_plain
path = Path(sys.argv[1])
def pandas(path):
    return pd.HDFStore(path, "r")
probe = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
with globals()[sys.argv[2]](path):
    probed = subprocess.run([sys.executable, "-c", probe, path], stderr=subprocess.PIPE, text=True)
    print("locked" if "BlockingIOError" in probed.stderr else "free")
"""


def run(program, *arguments, locking=None):
    variables = {key: value for key, value in os.environ.items() if key != "HDF5_USE_FILE_LOCKING"}
    if locking is not None:
        variables["HDF5_USE_FILE_LOCKING"] = locking
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def write_files(folder):
    """Write a file of every kind, and one that lpclip did not write."""
    from lpclip.methods.training.rounds import Round, rounds_table
    from lpclip.storage.features import write_features
    from lpclip.storage.made_from import recording
    from lpclip.storage.probes import Probes, write_probes
    from lpclip.storage.samples import fingerprint, write_samples

    names = ["a", "b", "c"]
    samples = pd.DataFrame({"id": names, "path": names, "label": np.int32([0, 1, 0])})
    index = {"dataset": "letters", "index": fingerprint(samples)}
    model = {"model": "tiny", "weights": "3f9a"}
    write_samples(folder / "index.h5", samples, index)
    with recording({"stage": "embed-images", "settings": {}, "inputs": {}}):
        write_features(
            folder / "clean.h5",
            samples=samples,
            versions={"clean": 0},
            parts=[np.ones((1, 3, 4), np.float16)],
            provenance=index | model,
        )
    weight = np.ones((1, 1, 2, 4), np.float32)
    probes = Probes(
        weight=weight,
        bias=weight[..., 0],
        scale=20.0,
        class_names=("one", "two"),
        seeds=(0,),
        rounds=rounds_table([Round(0, 0)]),
    )
    write_probes(folder / "probes.h5", probes, {**model, "benchmark": "letters", "method": "x"})
    with h5py.File(folder / "own.h5", "w") as file:
        file["x"] = np.ones((3, 4), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def read_only(folder):
    """The same folder, mounted so that nobody can write to it."""
    place = folder.parent / "read_only"
    place.mkdir(exist_ok=True)
    for arguments in (["--bind", folder, place], ["-o", "remount,bind,ro", place]):
        try:
            done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount")
        if done.returncode:
            subprocess.run(["umount", place], capture_output=True, check=False)
            pytest.skip("this user cannot mount a folder")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("locking", SETTINGS)
def test_every_reader_reads_a_read_only_mount(read_only, locking):
    with pytest.raises(OSError, match="Read-only"):
        (read_only / "new").touch()
    done = run(READERS, read_only, locking=locking)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("locking", SETTINGS)
def test_a_writer_holds_no_lock_since_its_file_is_its_own(tmp_path, locking):
    done = run(WRITER, tmp_path / "new.h5", locking=locking)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("reader", ["open_file", "open_plain"])
@pytest.mark.parametrize(
    ("locking", "state"), [(None, "free"), ("FALSE", "free"), ("TRUE", "locked")]
)
def test_a_reader_holds_a_lock_only_where_the_environment_requires_it(
    folder, reader, locking, state
):
    done = run(HOLDER, folder / "clean.h5", reader, locking=locking)
    assert done.stdout == f"{state}\n", done.stderr


def test_a_reader_of_pandas_holds_a_lock_unless_the_environment_forbids_it(folder):
    assert run(HOLDER, folder / "clean.h5", "pandas").stdout == "locked\n"
    assert run(HOLDER, folder / "clean.h5", "pandas", locking="FALSE").stdout == "free\n"


REPEATED_READER = """
import sys
from pathlib import Path
import numpy as np
from lpclip.storage.features import read_features
from lpclip.storage.hdf5 import open_file
path, seen = Path(sys.argv[1]), []
print("started", flush=True)
while not seen or seen[-1] < int(sys.argv[2]):
    with open_file(path) as file:
        found = np.unique(file["features/clean"][...])
        assert len(found) == 1 and found[0] == file.attrs["version"], found
        seen.append(int(found[0]))
assert seen == sorted(seen)
print(len(set(seen)))
"""
REPEATED_WRITER = """
import sys
from pathlib import Path
import numpy as np
from lpclip.storage.hdf5 import create
for version in range(int(sys.argv[2]), int(sys.argv[3]) + 1):
    with create(Path(sys.argv[1]), kind="features", provenance={"version": version}) as file:
        file["features/clean"] = np.full((2000, 64), version, np.float16)
"""


@pytest.mark.parametrize("locking", SETTINGS)
def test_two_readers_see_whole_files_while_a_writer_replaces_them(tmp_path, locking):
    path, last = tmp_path / "clean.h5", 40
    run(REPEATED_WRITER, path, 0, 0, locking=locking).check_returncode()
    variables = os.environ | ({} if locking is None else {"HDF5_USE_FILE_LOCKING": locking})
    command = [sys.executable, "-c", REPEATED_READER, path, str(last)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    readers = [subprocess.Popen(command, env=variables, **streams) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout.readline() == "started\n"
        written = run(REPEATED_WRITER, path, 1, last, locking=locking)
        assert written.returncode == 0, written.stderr
        for reader in readers:
            printed, errors = reader.communicate(timeout=120)
            assert reader.returncode == 0, errors
            assert int(printed) >= 1
    finally:
        for reader in readers:
            reader.kill()
    assert [path.name for path in Path(tmp_path).iterdir()] == ["clean.h5"]
