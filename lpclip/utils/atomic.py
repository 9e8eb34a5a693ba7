"""Atomic outputs, and a working directory that survives a crash and is resumed.

Outputs appear under their own name only when they are complete. Temporary names identify their
writer, so two writers of one output never share a file. What a killed process left behind is
removed, or resumed, by the next writer of the same output.
"""

import contextlib
import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from lpclip.errors import LpclipError
from lpclip.utils.writers import Writer, heartbeat, parse_writer, this_writer, without_writer

log = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``target``, which is synced and renamed after the block.

    A missing folder is created. An error inside the block removes the temporary file.

    Raises:
        LpclipError: the disk is full or the folder is not writable; the target is not a file; the
            temporary file was removed by another run.
    """
    with disk_errors(target):
        target = file_to_write(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover, writer in leftovers(target, "part").items():
            _sweep(leftover, writer)
        temporary = temporary_name(target, "part")
        try:
            temporary.touch()
            with heartbeat(temporary, at_once=False):
                yield temporary
                try:
                    with temporary.open("rb+") as file:
                        os.fsync(file.fileno())
                    temporary.replace(target)
                except FileNotFoundError as error:
                    raise _taken_over(target) from error
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def resumable_folder(target: Path) -> Iterator[Path]:
    """Yield a working directory next to ``target`` that survives a crash and is resumed.

    The directory of a dead writer is taken over with its content. It is removed after the block;
    an error inside the block leaves it for the next attempt.

    Raises:
        LpclipError: as in ``atomic_path``; another run has taken the directory over, since this
            process was suspended for so long that it was considered dead.
    """
    with disk_errors(target):
        target = file_to_write(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = temporary_name(target, "parts")
        for leftover, writer in leftovers(target, "parts").items():
            if folder.exists():
                _sweep(leftover, writer)
            else:
                # Two successors may try at once: the rename of one of them fails.
                with contextlib.suppress(FileNotFoundError):
                    leftover.rename(folder)
                    log.info("%s: taken over from %s, which is gone", leftover, writer)
        folder.mkdir(exist_ok=True)
        try:
            with heartbeat(folder, at_once=True):
                yield folder
        except FileNotFoundError as error:
            if folder.exists():
                raise
            raise _taken_over(target) from error
        shutil.rmtree(folder, ignore_errors=True)


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """Write a small file at once: a crash leaves the file before, or all of this one."""
    # Under a name of this process alone: once suspended, it must not write to its successor's file.
    temporary = path.with_name(f"{path.name}.{this_writer()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, such as that of a file just replaced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_to_write(target: Path) -> Path:
    """Return the file that a path refers to: symbolic links are followed, as a shell's ``>`` does.

    Raises:
        LpclipError: it is a folder, a device, a pipe or a socket, which must not be replaced.
        OSError: the path cannot be resolved.
    """
    path = Path(os.path.realpath(target)) if target.is_symlink() else target
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return path
    if stat.S_ISREG(mode):
        return path
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    kind = kinds.get(stat.S_IFMT(mode), "something else")
    raise LpclipError(f"{target} is {kind}, not a file. Name a file to write.")


def temporary_name(target: Path, suffix: str) -> Path:
    """Return a hidden name next to ``target`` that only this process uses."""
    return target.with_name(f".{target.name}.{this_writer()}.{suffix}")


def leftovers(target: Path, suffix: str) -> dict[Path, Writer]:
    """Return the temporary files or folders of ``target`` whose writers are dead, sorted."""
    prefix, ending = f".{target.name}.", f".{suffix}"
    mine = temporary_name(target, suffix)
    found = {}
    for path in sorted(target.parent.iterdir()):
        if path != mine and path.name.startswith(prefix) and path.name.endswith(ending):
            writer = parse_writer(path.name[len(prefix) : -len(ending)])
            if writer is not None:
                found[path] = writer
    return {path: found[path] for path in without_writer(found)}


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn errors of the file system into sentences that name ``target``."""
    try:
        yield
    except OSError as error:
        sentence = _SENTENCES.get(error.errno or 0)
        if sentence is None or not _concerns(error, target):
            raise
        raise LpclipError(f"{target}: {sentence.format(folder=target.parent)}") from error


_FREE = "Free some space and run the same command again; what is finished is kept."
_CLOSED = (
    "no permission to write in {folder}. Change the folder's permissions or work in another folder."
)
_NO_FOLDER = "{folder} is no folder, or lies below a file. Name another folder."
_SENTENCES = {
    errno.ENOSPC: f"the disk is full. {_FREE}",
    errno.EDQUOT: f"your quota on the disk is used up. {_FREE}",
    errno.EFBIG: "the file is larger than the system allows. Raise the limit (ulimit -f), or "
    "write to a file system that takes larger files.",
    errno.EIO: "the disk failed (input/output error). Check it, or write to another one.",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: "{folder} is on a disk that can only be read. Work in another folder.",
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.ENAMETOOLONG: "the name is too long for the file system. Choose a shorter one.",
    errno.ELOOP: "the symbolic link leads back to itself. Name a file.",
}


def _concerns(error: OSError, target: Path) -> bool:
    """Whether an error concerns the target or its folders, not a file that the block reads."""
    if not isinstance(error.filename, str):
        return True
    path, folder = Path(error.filename).absolute(), target.parent.absolute()
    return folder in path.parents or path == folder or path in folder.parents


def _sweep(leftover: Path, writer: Writer) -> None:
    """Remove what dead writers left, if possible."""
    try:
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: left by %s, which is gone; not removed (%s)", leftover, writer, error)
    else:
        log.info("%s: left by %s, which is gone; removed", leftover, writer)


def _taken_over(target: Path) -> LpclipError:
    return LpclipError(
        f"{target}: this process gave no sign of life for so long that another run took over its "
        "unfinished work. Let that run finish, or run the same command again."
    )
