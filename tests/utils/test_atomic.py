"""Atomic writing: complete or not at all; leftovers of killed jobs are removed or resumed."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lpclip.errors import LpclipError
from lpclip.utils import atomic, writers


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out.h5"


@pytest.fixture(scope="module")
def dead():
    """Return a writer whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"host-{process.pid}-1-{writers._place()}"


@pytest.fixture
def alive():
    """Yield a writer whose process is waiting."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield f"host-{process.pid}-{writers._started(process.pid)}-{writers._place()}"
        process.communicate(b"\n")


def names(folder):
    return [path.name for path in folder.iterdir()]


def fail(path, error):
    """Write half of the file, then stop."""
    path.write_text("half")
    raise error


def leftover(target, writer, *, suffix="part"):
    return target.with_name(f".{target.name}.{writer}.{suffix}")


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


def test_only_what_a_dead_process_left_is_swept_and_named(target, dead, alive, caplog):
    caplog.set_level("INFO", "lpclip")
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
    assert f"{gone}: left by process {dead.split('-')[1]} on host, which is gone" in caplog.text


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
    for writer in (dead, f"other-{dead}"):
        folder = leftover(target, writer, suffix="parts")
        folder.mkdir()
        (folder / "part").write_text("done")
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
        (errno.EDQUOT, "your quota on the disk is used up"),
        (errno.EIO, "the disk failed"),
        (errno.EACCES, "no permission to write in"),
        (errno.EROFS, "can only be read"),
        (errno.EFBIG, "larger than the system allows"),
    ],
)
def test_errors_of_the_disk_are_sentences_that_name_the_file(target, number, sentence):
    with pytest.raises(LpclipError, match=f"out.h5: .*{sentence}"), atomic.atomic_path(target):
        raise OSError(number, os.strerror(number))
    assert names(target.parent) == []


def test_an_error_of_another_file_is_not_said_of_the_target(target):
    with pytest.raises(PermissionError), atomic.atomic_path(target):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/image.png")


def test_other_errors_of_the_system_pass_through(target):
    with pytest.raises(IsADirectoryError), atomic.disk_errors(target):
        raise IsADirectoryError(errno.EISDIR, "x")


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "large").mkdir()
    link, file = tmp_path / "out.h5", tmp_path / "large/stored.h5"
    link.symlink_to("large/stored.h5")
    for text in ("new", "replaced"):
        with atomic.atomic_path(link) as temporary:
            assert temporary.parent == tmp_path / "large"
            temporary.write_text(text)
        assert link.is_symlink()
        assert file.read_text() == text
    assert names(tmp_path / "large") == ["stored.h5"]


@pytest.mark.parametrize("kind", ["a folder", "a device", "a pipe", "a socket"])
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_file_is_not_replaced(tmp_path, kind, linked):
    path = tmp_path / "out.csv"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as open_socket:
            open_socket.bind(str(path))
    else:
        path = Path(os.devnull)
    if linked:
        link = tmp_path / "link.csv"
        link.symlink_to(path)
        path = link
    for context in (atomic.atomic_path, atomic.resumable_folder):
        with pytest.raises(LpclipError, match=f"is {kind}, not a file"), context(path):
            pass
    assert not path.is_file()


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
