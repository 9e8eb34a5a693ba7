"""Atomic writing: whole or not at all, and what the killed left behind is swept or carried on."""

import errno
import os
import subprocess
import sys
import time

import pytest

from lpclip import atomic
from lpclip.errors import LpclipError


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out.h5"


@pytest.fixture(scope="module")
def dead():
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def alive():
    """Number of a process that waits for us."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(b"\n")


def names(folder):
    return [path.name for path in folder.iterdir()]


def fail(path, error):
    """Write a half, then stop."""
    path.write_text("half")
    raise error


def leftover(target, process, *, host=None, suffix="part"):
    host = host or atomic.socket.gethostname()
    return target.with_name(f".{target.name}.{host}.{process}.{suffix}")


def test_the_file_appears_when_the_block_ends(target):
    with atomic.atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_text() == "whole"
    assert names(target.parent) == ["out.h5"]


def test_a_missing_folder_is_made(tmp_path):
    with atomic.atomic_path(tmp_path / "a/b/c.csv") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "a/b/c.csv").read_text() == "x"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_exception(target, error):
    with pytest.raises(error), atomic.atomic_path(target) as temporary:
        fail(temporary, error)
    assert names(target.parent) == []


def test_an_exception_leaves_the_old_file(target):
    target.write_text("old")
    with pytest.raises(ValueError, match="x"), atomic.atomic_path(target) as temporary:
        fail(temporary, ValueError("x"))
    assert target.read_text() == "old"


def test_only_what_a_dead_process_left_is_swept(target, dead, alive):
    gone = leftover(target, dead)
    kept = [
        leftover(target, alive),
        leftover(target.with_name("other.h5"), dead),
        target.with_name("notes.part"),
        leftover(target, "draft"),
    ]
    for path in [gone, *kept]:
        path.write_text("half")
    with atomic.atomic_path(target) as temporary:
        temporary.write_text("whole")
    assert not gone.exists()
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize(("age", "stays"), [(60, True), (25 * 3600, False)])
def test_a_file_of_another_machine_is_kept_while_it_is_young(target, dead, age, stays):
    foreign = leftover(target, dead, host="node7.cluster")
    foreign.write_text("half")
    then = time.time() - age
    os.utime(foreign, (then, then))
    with atomic.atomic_path(target) as temporary:
        temporary.write_text("whole")
    assert foreign.exists() == stays


def test_the_folder_of_a_dead_process_is_taken_over_with_its_contents(target, dead):
    old = leftover(target, dead, suffix="parts")
    old.mkdir()
    (old / "00000000.npy").write_text("done")
    with atomic.resumable_folder(target) as folder:
        assert (folder / "00000000.npy").read_text() == "done"
        assert not old.exists()
    assert names(target.parent) == []


def test_the_folder_of_a_live_process_is_left_alone(target, alive):
    other = leftover(target, alive, suffix="parts")
    other.mkdir()
    (other / "00000000.npy").write_text("its own")
    with atomic.resumable_folder(target) as folder:
        assert names(folder) == []
    assert names(other) == ["00000000.npy"]


def test_of_two_abandoned_folders_one_is_carried_on_and_none_stays(target, dead):
    for host in (None, "node7"):
        folder = leftover(target, dead, host=host, suffix="parts")
        folder.mkdir()
        (folder / "part").write_text("done")
        os.utime(folder, (0, 0))
    with atomic.resumable_folder(target) as folder:
        assert names(folder) == ["part"]
        assert names(target.parent) == [folder.name]


def test_an_error_leaves_the_folder_for_the_next_attempt(target):
    with pytest.raises(ValueError, match="x"), atomic.resumable_folder(target) as folder:
        fail(folder / "part", ValueError("x"))
    with atomic.resumable_folder(target) as folder:
        assert (folder / "part").read_text() == "half"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "no permission to write in"),
        (errno.EROFS, "no permission to write in"),
        (errno.EFBIG, "larger than the system allows"),
    ],
)
def test_errors_of_the_disk_are_sentences_that_name_the_file(target, number, sentence):
    with pytest.raises(LpclipError, match=f"out.h5: .*{sentence}"), atomic.atomic_path(target):
        raise OSError(number, os.strerror(number))
    assert names(target.parent) == []


def test_the_hdf5_librarys_own_text_for_a_full_disk_is_understood(target):
    text = "Can't write data (file write failed: errno = 28, error message = 'No space left')"
    with pytest.raises(LpclipError, match="the disk is full"), atomic.disk_errors(target):
        raise OSError(text)


def test_other_errors_of_the_system_pass_through(target):
    with pytest.raises(IsADirectoryError), atomic.disk_errors(target):
        raise IsADirectoryError(errno.EISDIR, "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with (
            pytest.raises(LpclipError, match="no permission"),
            atomic.atomic_path(tmp_path / "x.h5"),
        ):
            pass
    finally:
        tmp_path.chmod(0o700)
