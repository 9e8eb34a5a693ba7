"""Nothing half-written: outputs appear under their own name only when they are whole.

Temporary names carry host and process, so two writers of one output never share a file. What a
killed process left behind is swept, or carried on, by the next writer of the same output.
"""

import contextlib
import errno
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from lpclip.errors import LpclipError

# Another machine's process cannot be asked whether it lives; its file is left alone this long.
FOREIGN_OWNER_SECONDS = 24 * 3600


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Temporary path beside ``target``; renamed to it, once on disk, if the block ends well.

    The folder is made where it is missing. An error inside the block removes the temporary file.

    Raises:
        LpclipError: the disk is full or the folder cannot be written.
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in leftovers(target, "part"):
            leftover.unlink(missing_ok=True)
        temporary = temporary_name(target, "part")
        try:
            temporary.touch()
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def resumable_folder(target: Path) -> Iterator[Path]:
    """Folder beside ``target`` for work that outlives a kill; removed if the block ends well.

    The folder of a writer that is gone is taken over, with what is in it; an error inside the
    block leaves it for the next attempt.
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = temporary_name(target, "parts")
        for leftover in leftovers(target, "parts"):
            if leftover == folder:
                continue  # left by this process, or by one that had its number
            if folder.exists():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                # Two heirs may try at once: the rename of one of them finds nothing.
                with contextlib.suppress(FileNotFoundError):
                    leftover.rename(folder)
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder)


def temporary_name(target: Path, suffix: str) -> Path:
    """Hidden name beside ``target`` that only this process uses."""
    return target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.{suffix}")


def leftovers(target: Path, suffix: str) -> list[Path]:
    """Temporary files or folders of ``target`` whose writers are gone, in the order of names."""
    prefix, ending = f".{target.name}.", f".{suffix}"
    found = []
    for path in sorted(target.parent.iterdir()):
        if path.name.startswith(prefix) and path.name.endswith(ending):
            host, _, process = path.name[len(prefix) : -len(ending)].rpartition(".")
            if process.isdigit() and _is_gone(path, host, int(process)):
                found.append(path)
    return found


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn errors of the file system into sentences that name ``target``."""
    try:
        yield
    except OSError as error:
        # The HDF5 library reports the system's reason as text alone.
        text = str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text:
            raise LpclipError(
                f"{target}: the disk is full. Free some space and run the same command again; "
                "what is finished is kept."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LpclipError(
                f"{target}: no permission to write in {target.parent}. "
                "Change the folder's permissions or work in another folder."
            ) from error
        if error.errno == errno.EFBIG:
            raise LpclipError(
                f"{target}: the file is larger than the system allows (ulimit -f)."
            ) from error
        raise


def _is_gone(path: Path, host: str, process: int) -> bool:
    if host != socket.gethostname():
        with contextlib.suppress(FileNotFoundError):
            return time.time() - path.stat().st_mtime > FOREIGN_OWNER_SECONDS
        return False
    if process == os.getpid():
        return True  # a number used again: this process has not begun to write yet
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
