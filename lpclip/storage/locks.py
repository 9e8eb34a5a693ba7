"""HDF5's file lock: wait while another program has a file open for writing, and name the program.

The HDF5 library locks a file with ``flock``: shared for readers, exclusive for writers.
``pandas.HDFStore(path)`` opens for writing by default.
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

# Errors of file systems without locks: NFS without its lock daemon, some FUSE.
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


def wait_for_writers(path: Path, opened: IO[bytes]) -> None:
    """Wait until no program holds the exclusive lock of a file.

    The lock is acquired and released at once: lpclip holds no lock while it reads, so that other
    programs can open the file meanwhile. Without locks, return at once.

    Raises:
        LpclipError: it is still locked after ``WAIT_SECONDS``; names the lock and its holders.
    """
    if os.environ.get("HDF5_USE_FILE_LOCKING", "").upper() in ("FALSE", "0"):
        return  # HDF5's own switch: there may be a lock that cannot be released
    end = time.monotonic() + WAIT_SECONDS
    while not _is_free(opened):
        holders = list(_holders(opened))
        # Waiting for a lock that this process holds would never end.
        if time.monotonic() >= end or os.getpid() in holders:
            raise LpclipError(locked(path, holders))
        time.sleep(_PAUSE_SECONDS)


def locked(path: Path, holders: list[int]) -> str:
    """Describe a file that is open for writing in another program."""
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
    """Describe a file system without locks where the environment requires them."""
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
    """Find the processes on this machine that hold a write lock on the file (Linux only).

    ``/proc`` lists the locks of every descriptor. Unlike ``/proc/locks``, this also works where the
    inode numbers differ from those of ``stat``, as on overlay file systems in containers.
    """
    status = os.fstat(opened.fileno())
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found = entry.stat()
            if (found.st_dev, found.st_ino) != (status.st_dev, status.st_ino):
                continue
            info = (entry.parents[1] / "fdinfo" / entry.name).read_text()
        except OSError:
            continue  # closed meanwhile, or another user's
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
