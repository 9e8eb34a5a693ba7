"""HDF5's file lock: wait while another program has a file open for writing, and name the program.

The HDF5 library locks a file with ``flock``: shared for readers, exclusive for whoever opens it for
writing, which ``pandas.HDFStore(path)`` does by default.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lpclip.errors import LpclipError

WAIT_SECONDS = 5.0  # how long readers wait for a writer to close a file
_PAUSE_SECONDS = 0.1

# What file systems answer that have no locks: NFS without its lock daemon, some FUSE.
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def wait_for_writers(path: Path, opened: IO[bytes]) -> None:
    """Return once no program holds the exclusive lock of a file; at once where there are no locks.

    The lock is tried and given back: readers of lpclip hold none, so that whatever opens the file
    next to them, for reading or with a default that asks for writing, can do so.

    Args:
        path: the file, for the error.
        opened: the file, open for reading.

    Raises:
        LpclipError: it is still locked after ``WAIT_SECONDS``; names the lock and its holders.
    """
    if os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0"):
        return  # the library's own switch: there may be a lock that nobody can release
    end = time.monotonic() + WAIT_SECONDS
    while not _is_free(opened):
        holders = list(_holders(opened))
        # A program that waits for itself waits in vain.
        if time.monotonic() >= end or os.getpid() in holders:
            raise LpclipError(locked(path, holders))
        time.sleep(_PAUSE_SECONDS)


def locked(path: Path, holders: list[int]) -> str:
    """Sentences for a file that is open for writing elsewhere."""
    who = ", ".join(map(_described, holders)) or (
        "a program that cannot be seen from here, perhaps on another machine"
    )
    return (
        f"{path} is open for writing in another program, which holds HDF5's file lock: {who}. "
        "The file may be whole. Close it there and run the same command again. "
        "(A notebook may hold it: pandas.HDFStore(path) opens for writing, and "
        "pandas.HDFStore(path, 'r') does not.)"
    )


def without_locks(path: Path) -> str:
    """Sentences for a file system without locks where the library insists on them."""
    return (
        f"{path} lies on a file system without file locks, but HDF5_USE_FILE_LOCKING="
        f"{os.environ.get('HDF5_USE_FILE_LOCKING', '')} requires one. "
        "The file may be whole. Unset that variable: lpclip needs no locks."
    )


def _is_free(opened: IO[bytes]) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return True
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    fcntl.flock(opened, fcntl.LOCK_UN)
    return True


def _holders(opened: IO[bytes]) -> Iterator[int]:
    """Processes of this machine that have the file locked for writing, where Linux lists them.

    Each descriptor's entry in ``/proc`` tells its locks. This finds the file also where the numbers
    of ``/proc/locks`` are not those of ``stat``, as on overlay file systems in containers.
    """
    status = os.fstat(opened.fileno())
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found = entry.stat()
            if (found.st_dev, found.st_ino) != (status.st_dev, status.st_ino):
                continue
            info = (entry.parents[1] / "fdinfo" / entry.name).read_text()
        except OSError:
            continue  # closed by now, or another user's
        if "WRITE" in info:
            yield int(entry.parents[1].name)


def _described(process: int) -> str:
    if process == os.getpid():
        return f"process {process}, which is this one"
    try:
        command = Path(f"/proc/{process}/cmdline").read_text(errors="replace")
    except OSError:
        return f"process {process}"
    return f"process {process} ({' '.join(command.split(chr(0))).strip()[:100]})"
