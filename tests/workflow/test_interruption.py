"""Kills, full disks, damaged files and files that lpclip did not write."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.storage.features import read_features, write_features
from lpclip.storage.hdf5 import open_file
from lpclip.storage.samples import fingerprint, read_samples

SETTINGS = {
    "dataset": "photos",
    "source": {"kind": "photo_patches", "n": 700},
    "model": {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"},
    "views": {"clean": {}, "strong": {"versions": 12}},
}


def command(samples, output, **changes):
    return [
        sys.executable, "-m", "lpclip", "embed-images", "--samples", str(samples),
        "--output", str(output), "--settings", json.dumps(SETTINGS | changes),
        "--log", str(output.with_suffix(".log")), "--threads", "1",
    ]  # fmt: skip


def run(arguments, **options):
    return subprocess.run(arguments, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "samples.h5"
    index_samples(output=path, dataset="photos", source=SETTINGS["source"])
    return path


def test_a_killed_extraction_continues_and_ends_with_the_same_bytes(samples, tmp_path):
    whole, killed = tmp_path / "whole/clean.h5", tmp_path / "killed/clean.h5"
    done = run(command(samples, whole))
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(command(samples, killed))
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("killed/.*.parts/00000000.npy")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    done = run(command(samples, killed))
    assert done.returncode == 0, done.stderr
    assert "continuing an interrupted run after" in killed.with_suffix(".log").read_text()
    assert killed.read_bytes() == whole.read_bytes()
    assert {path.name for path in killed.parent.iterdir()} == {"clean.h5", "clean.log"}


def test_workers_and_threads_change_no_bit_and_batches_no_more_than_rounding(samples, tmp_path):
    views = {"clean": {}, "weak": {"versions": 1}}
    first, second, third = (tmp_path / name for name in ("a.h5", "b.h5", "c.h5"))
    assert run(command(samples, first, views=views)).returncode == 0
    assert (
        run([*command(samples, second, views=views), "--workers", "2", "--threads", "2"]).returncode
        == 0
    )
    assert run(command(samples, third, views=views, batch_size=50)).returncode == 0
    assert first.read_bytes() == second.read_bytes()
    for view in views:
        one, other = (read_features(path, view, expected={}) for path in (first, third))
        assert abs(one - other).max() < 2e-3


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("size", ["300k", "3500k"], ids=["first part", "the cache itself"])
def test_a_full_disk_is_a_sentence_and_leaves_no_output(samples, tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr}")
    try:
        arguments = command(samples, disk / "clean.h5")
        arguments[arguments.index("--log") + 1] = str(tmp_path / "log")
        done = run(arguments)
        assert done.returncode == 1
        assert "the disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (disk / "clean.h5").exists()
    finally:
        run(["umount", str(disk)])


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.executable, [sys.executable, "-m", "lpclip", *sys.argv[2:]])
"""


@pytest.mark.parametrize("limit", [2000, 20_000], ids=["at its beginning", "in the middle"])
def test_a_file_size_limit_is_a_sentence_and_leaves_no_output(tmp_path, limit):
    settings = json.dumps({"dataset": "photos", "source": SETTINGS["source"]})
    arguments = ["index-samples", "--output", str(tmp_path / "s.h5"), "--settings", settings]
    done = run([sys.executable, "-c", LIMITED, str(limit), *arguments])
    assert done.returncode == 1
    assert "larger than the system allows" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def quota(tmp_path):
    """A folder limited to 300 kB on a larger disk: btrfs limits root too."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    image.touch()
    os.truncate(image, 128 << 20)
    for command in (
        ["mkfs.btrfs", "-q", image],
        ["mount", "-o", "loop", image, disk],
        ["btrfs", "quota", "enable", disk],
        ["btrfs", "subvolume", "create", disk / "limited"],
        ["btrfs", "qgroup", "limit", "300k", disk / "limited"],
    ):
        if shutil.which(command[0]) is None or run(list(map(str, command))).returncode:
            run(["umount", str(disk)])
            pytest.skip(f"no quota here: {command[0]} is missing or fails")
    yield disk / "limited"
    run(["umount", str(disk)])


def test_a_quota_that_is_used_up_is_a_sentence_and_leaves_no_output(quota):
    with contextlib.suppress(OSError), (quota / "fill").open("wb", buffering=0) as file:
        while file.write(os.urandom(4096)):
            pass
    settings = json.dumps({"dataset": "photos", "source": SETTINGS["source"]})
    arguments = ["index-samples", "--output", str(quota / "s.h5"), "--settings", settings]
    done = run([sys.executable, "-m", "lpclip", *arguments])
    assert done.returncode == 1
    assert "your quota on the disk is used up" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in quota.iterdir()] == ["fill"]


def test_a_folder_without_write_permission_is_a_sentence(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    script = (
        "import os\n"
        "from pathlib import Path\n"
        "from lpclip.utils.atomic import atomic_path\n"
        "from lpclip.errors import LpclipError\n"
        "os.geteuid() or os.setresuid(65534, 65534, 65534)\n"
        "try:\n"
        f"    with atomic_path(Path({str(closed / 'x.h5')!r})): pass\n"
        "except LpclipError as error: print(error)\n"
    )
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)  # the script changes to a user without access to pytest's folders
    done = run([sys.executable, "-c", script])
    assert "no permission to write" in done.stdout, done.stderr


@pytest.fixture
def features(samples, tmp_path):
    path = tmp_path / "features.h5"
    rows = read_samples(samples, labels=False)
    write_features(
        path,
        samples=rows,
        versions={"clean": 0},
        parts=[np.ones((1, len(rows), 4), np.float16)],
        provenance={"model": "tiny", "weights": "aaaa", "index": fingerprint(rows)},
    )
    return path


def test_a_cache_of_another_model_is_refused_by_the_field_that_differs(features):
    with pytest.raises(Exception, match="made with weights 'aaaa', not 'bbbb'"):
        read_features(features, "clean", expected={"weights": "bbbb"})


def test_a_truncated_file_is_a_sentence(features):
    features.write_bytes(features.read_bytes()[:3000])
    done = run([sys.executable, "-m", "lpclip", "inspect", str(features)])
    assert done.returncode == 1
    assert "is truncated." in done.stderr
    assert "Traceback" not in done.stderr


def test_an_incomplete_file_is_refused(features):
    with h5py.File(features, "r+") as file:
        file.attrs["complete"] = 0
    with pytest.raises(Exception, match="not complete"), open_file(features):
        pass


def test_an_unreadable_image_is_named(tmp_path):
    image = tmp_path / "images/a/broken.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"no image")
    source = {"kind": "folder", "root": str(tmp_path / "images")}
    assert open_source("folder", {"root": source["root"]}).class_names == ["a"]
    index = tmp_path / "samples.h5"
    index_samples(output=index, dataset="photos", source=source)
    done = run(command(index, tmp_path / "clean.h5", source=source, views={"clean": {}}))
    assert done.returncode == 1
    assert str(image) in done.stderr
    assert "Traceback" not in done.stderr
    assert Path(image).exists()
