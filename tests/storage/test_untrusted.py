"""Untrusted HDF5 files: other files are not read; damage and crashes give short errors."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import lpclip
from lpclip.cli.command import main
from lpclip.cli.export import export
from lpclip.cli.inspect import describe
from lpclip.cli.predict import predict
from lpclip.errors import LpclipError
from lpclip.storage import opening, untrusted, walk
from lpclip.storage.arrays.registry import open_arrays
from lpclip.storage.features import read_features
from lpclip.storage.samples import read_samples
from lpclip.storage.text import read_head
from tests.storage.test_frames import folder  # noqa: F401 - a fixture

NAMES = ("features", "samples", "text", "pseudo_labels", "probes")


@pytest.fixture
def features(folder):  # noqa: F811
    return folder / "features.h5"


def external_link(file):
    file["features/more"] = h5py.ExternalLink("/etc/passwd", "/x")


def external_storage(file):
    file.create_dataset("features/more", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f2")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (4,))
    file.create_virtual_dataset("features/more", layout)


def huge(file):
    file.create_dataset("features/more", (10**9, 10**6), "f2", chunks=(64, 64))


@pytest.mark.parametrize(
    ("add", "sentence"),
    [
        (external_link, r"links to another file \('/features/more' to /etc/passwd\)"),
        (external_storage, r"stores '/features/more' in another file \(/etc/passwd\)"),
        (virtual, r"makes '/features/more' of another file \(/etc/other\.h5\)"),
        (huge, r"'/features/more' has shape \[1000000000, 1000000\], but only 0 bytes"),
    ],
)
def test_what_lies_in_another_file_or_nowhere_is_refused_by_every_reader(features, add, sentence):
    with h5py.File(features, "r+") as file:
        add(file)
    for read in (
        lambda: untrusted.check_untrusted(features),
        lambda: read_features(features, "clean", expected={}),
        lambda: lpclip.map_features(features),
        lambda: describe(features),
        lambda: open_arrays(features),
    ):
        with pytest.raises(LpclipError, match=sentence):
            read()


def test_what_stays_within_the_file_is_read(features):
    with h5py.File(features, "r+") as file:
        file["nowhere"] = h5py.SoftLink("/not/there")
        file["again"] = h5py.SoftLink("/features")
        file["features"]["loop"] = file["features"]
        file["texts"] = ["a", "b"]
        layout = h5py.VirtualLayout(file["features/clean"].shape, np.float16)
        layout[:] = h5py.VirtualSource(file["features/clean"])
        file.create_virtual_dataset("frame", layout)
        reference = file.create_dataset("reference", (1,), h5py.ref_dtype)
        reference[0] = file["samples"].ref
    untrusted.check_untrusted(features)
    assert "again" not in walk_of(features)
    assert read_features(features, "clean", expected={}).shape == (6, 4)


def walk_of(path):
    with h5py.File(path) as file:
        return str(walk.refusal(file, read=True))


def test_a_part_that_is_missing_is_named(folder):  # noqa: F811
    with h5py.File(folder / "probes.h5", "r+") as file:
        del file["bias"]
    with pytest.raises(LpclipError, match=r"probes\.h5 is damaged or lacks a part \(.*'bias'"):
        lpclip.load_probe(folder / "probes.h5")
    with h5py.File(folder / "samples.h5", "r+") as file:
        del file["samples"]
        file["samples"] = np.arange(3)
    with pytest.raises(LpclipError, match=r"samples\.h5 is damaged: 'samples' is not a table"):
        read_samples(folder / "samples.h5", labels=True)
    with h5py.File(folder / "text.h5", "r+") as file:
        del file["features"]
        file["features"] = np.ones((2, 4), np.float32)
    with pytest.raises(LpclipError, match=r"'features' has shape \[2, 4\], not \[C=3, D="):
        read_head(folder / "text.h5")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("[" * 100_000, "no JSON text .it is nested too deeply"),
        ('["a", 3, "c"]', "no list of texts"),
        ("nothing", "no JSON text"),
        (3, "no text"),
    ],
)
def test_an_attribute_that_is_not_what_it_should_be_is_named(folder, value, sentence):  # noqa: F811
    with h5py.File(folder / "probes.h5", "r+") as file:
        if isinstance(value, str) and len(value) > 60_000:
            file.attrs.create("class_names", value, dtype=h5py.string_dtype())
        else:
            file.attrs["class_names"] = value
    with pytest.raises(LpclipError, match=f"its attribute 'class_names' holds {sentence}"):
        lpclip.load_probe(folder / "probes.h5")
    with h5py.File(folder / "probes.h5", "r+") as file:
        del file.attrs["class_names"]
    with pytest.raises(LpclipError, match="lacks the attribute 'class_names'"):
        lpclip.load_probe(folder / "probes.h5")


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"it crashes the HDF5 library \(SIGSEGV\)"),
        ("import time; time.sleep(100)", "the HDF5 library is not done with it after 0 s"),
        ("raise SystemExit('odd')", r"could not be checked \(odd\)"),
    ],
)
def test_a_file_that_ends_its_reader_is_a_sentence(
    features, tmp_path, monkeypatch, program, sentence
):
    (tmp_path / "walk.py").write_text(program)
    monkeypatch.setattr(walk, "__file__", str(tmp_path / "walk.py"))
    monkeypatch.setattr(untrusted, "WAIT_SECONDS", 0.3 if "sleep" in program else 60.0)
    with pytest.raises(LpclipError, match=sentence):
        untrusted.check_untrusted(features)


def test_files_that_are_named_by_users_are_opened_in_a_child_first(features, monkeypatch):
    monkeypatch.setattr(untrusted, "_in_child", lambda *_: (-11, b"", b""))
    probes = features.with_name("probes.h5")
    for read in (
        lambda: describe(features),
        lambda: open_arrays(features),
        lambda: predict(probes=probes, inputs=[features]),
        lambda: predict(probes=probes, inputs=[Path("a.png")], adapt=features),
        lambda: export(probes=probes, to="safetensors", output=probes.parent),
    ):
        with pytest.raises(LpclipError, match=r"it crashes the HDF5 library \(SIGSEGV\)"):
            read()


def test_a_file_is_checked_once_and_again_after_it_changed(features, monkeypatch):
    calls = []
    monkeypatch.setattr(untrusted, "_in_child", lambda *_: calls.append(1) or (0, b"null", b""))
    untrusted.check_untrusted(features)
    untrusted.check_untrusted(features)
    assert len(calls) == 1
    os.utime(features, ns=(1, 1))
    untrusted.check_untrusted(features)
    assert len(calls) == 2
    untrusted.check_untrusted(features.with_name("not-there.h5"))


# The same walk in a process that forks for every file: starting Python for each of them would
# take most of the time.
SERVER = """
import json, os, resource, sys
sys.path.insert(0, sys.argv[1])
import walk
for line in sys.stdin:
    output, end = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))  # changed bytes can cause an endless loop
        os.dup2(end, 1)
        walk.main(line.rstrip("\\n"))
        sys.stdout.flush()
        os._exit(0)
    os.close(end)
    with open(output, "rb") as file:
        shown = file.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, shown]), flush=True)
"""


@pytest.fixture(scope="module")
def in_fork():
    server = subprocess.Popen(
        [sys.executable, "-P", "-c", SERVER, str(Path(walk.__file__).parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(path, _seconds):
        server.stdin.write(f"{path.absolute()}\n")
        server.stdin.flush()
        status, shown = json.loads(server.stdout.readline())
        return status, shown.encode(), b""

    yield run
    server.communicate()


CHANGES = st.one_of(
    st.tuples(st.just("byte"), st.integers(0, 10**6), st.integers(0, 255)),
    st.tuples(st.just("bit"), st.integers(0, 10**6), st.integers(0, 7)),
    st.tuples(st.just("zeros"), st.integers(0, 10**6), st.integers(1, 64)),
    st.tuples(st.just("ones"), st.integers(0, 10**6), st.integers(1, 16)),
)


def change(content, kind, place, value):
    """Change one of the non-zero bytes: most of a small HDF5 file is empty."""
    used = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))
    start = int(used[place % len(used)])
    if kind == "byte":
        content[start] = value
    elif kind == "bit":
        content[start] ^= 1 << value
    else:
        stop = min(start + value, len(content))
        content[start:stop] = bytes([255 * (kind == "ones")]) * (stop - start)


def read_all(path):
    """Read a file of a kind with all of lpclip's commands and public functions."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(["inspect", str(path)])
        except SystemExit as error:
            if error.code not in (0, 1, 2):
                raise
    readers = (lpclip.read_frame, lpclip.load_probe, lpclip.map_features, read_head, read_arrays)
    for read in readers:
        with contextlib.suppress(LpclipError):
            read(path)


def read_arrays(path):
    arrays = open_arrays(path)
    for name in arrays.shapes():
        with contextlib.suppress(LpclipError):
            arrays.read(name)


@settings(
    phases=[Phase.explicit, Phase.generate],  # shrinking takes long
    max_examples=50,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(name=st.sampled_from(NAMES), changes=st.lists(CHANGES, min_size=1, max_size=3))
def test_changed_bytes_are_read_or_refused_in_a_sentence(
    folder,  # noqa: F811
    in_fork,
    name,
    changes,
):
    content = bytearray((folder / f"{name}.h5").read_bytes())
    for how in changes:
        change(content, *how)
    path = folder / "changed.h5"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untrusted, "_in_child", in_fork)
        patch.setattr(untrusted, "_passed", set())
        patch.setattr(opening, "_checked", {})
        try:
            untrusted.check_untrusted(path)
        except LpclipError:
            return
        read_all(path)
