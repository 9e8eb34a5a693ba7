"""A GPU for each process: leases by file lock, so that concurrent jobs use different devices.

Snakemake limits how many jobs use a GPU at once (``--resources gpu=4``), but not which GPU each one
uses. A process therefore takes the device with the fewest holders and locks a byte of one file per
machine for it. Nobody waits: if all devices are taken, they are shared.

The locks are POSIX record locks. The kernel releases them with the process, however it ends, and a
forked child, such as a worker that decodes images, does not have them.
"""

import errno
import fcntl
import logging
import os
import stat
import struct
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

log = logging.getLogger(__name__)

# The same for all users and for every TMPDIR. It stays empty: only its bytes' numbers are locked.
FILE = Path("/tmp/lpclip-gpus.lock")
# Bytes of the file that belong to one device: so many processes are counted there.
SLOTS = 64
# ``struct flock`` of 64-bit Linux: type, whence, start, length, process.
_FLOCK = "hhqqi4x"


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use.

    Attributes:
        index: its number in this process, as in ``cuda:1``.
        uuid: what identifies the device in every process of the machine.
        free: free memory in bytes; None if it is unknown.
    """

    index: int
    uuid: str
    free: int | None = None


class Lease:
    """A device that this process holds until the lease is garbage-collected, or to its end.

    Attributes:
        gpu: the device.
        others: other processes that hold it too; None if that is unknown.
    """

    def __init__(self, gpu: Gpu, others: int | None) -> None:
        self.gpu, self.others = gpu, others
        self._process = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether this process holds it: a forked child does not."""
        return self._process == os.getpid()


_leases: weakref.WeakValueDictionary[str, Lease] = weakref.WeakValueDictionary()
_one_thread = threading.Lock()
_opened: int | None = None


def lease(gpus: Sequence[Gpu], *, wanted: int = 0) -> Lease:
    """Lease one of several GPUs, at least one of which is given; return at once.

    In this order: a device that this process holds already; one with the wanted memory; the one
    with the fewest holders; the one with the most free memory.

    Args:
        gpus: candidates.
        wanted: bytes of free memory; a device with less is leased only where none has as much.
    """
    with _one_thread:
        for gpu in gpus:
            held = _leases.get(gpu.uuid)
            if held is not None and held.is_ours:
                return held
        try:
            new = _lock_best(_file(), gpus, wanted)
        except OSError as error:
            log.info("no leases of GPUs: %s cannot be locked (%s)", FILE, error.strerror)
            new = Lease(min(gpus, key=lambda gpu: _rank(gpu, 0, wanted)), None)
        shared = f", shared with {new.others} other processes of lpclip" if new.others else ""
        log.info("running on cuda:%d (%s)%s", new.gpu.index, new.gpu.uuid, shared)
        _leases[new.gpu.uuid] = new
    return new


def _lock_best(file: int, gpus: Sequence[Gpu], wanted: int) -> Lease:
    while True:
        taken = {gpu.uuid: _taken(file, gpu) for gpu in gpus}
        gpu = min(gpus, key=lambda gpu: _rank(gpu, len(taken[gpu.uuid]), wanted))
        new = Lease(gpu, len(taken[gpu.uuid]))
        free = [slot for slot in range(SLOTS) if slot not in taken[gpu.uuid]]
        if not free:
            return new
        byte = _first_byte(gpu) + free[0]
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                continue  # another process has taken it since: count again
            raise
        # Not by closing the file, which would release all locks of this process.
        release = weakref.finalize(new, fcntl.lockf, file, fcntl.LOCK_UN, 1, byte)
        release.atexit = False  # the kernel does it
        return new


def _rank(gpu: Gpu, holders: int, wanted: int) -> tuple[bool, int, int]:
    small = gpu.free is not None and gpu.free < wanted
    return small, holders, -(gpu.free or 0)


def _taken(file: int, gpu: Gpu) -> set[int]:
    """Return the slots of a device that other processes hold, without taking any."""
    first = _first_byte(gpu)
    if not _is_locked(file, first, SLOTS):
        return set()
    return {slot for slot in range(SLOTS) if _is_locked(file, first + slot, 1)}


def _is_locked(file: int, start: int, length: int) -> bool:
    question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    found: int = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, question))[0]
    return found != fcntl.F_UNLCK


def _first_byte(gpu: Gpu) -> int:
    return int.from_bytes(sha256(gpu.uuid.encode()).digest()[:5]) * SLOTS


def _file() -> int:
    """Open the file with the locks, once per process.

    Raises:
        OSError: it cannot be used.
    """
    global _opened
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only on Linux")
    if _opened is None or not _is_current(_opened):
        # An older one stays open: closing it would release locks.
        _opened = _open_or_create()
    with suppress(OSError):  # it belongs to another user
        os.utime(_opened)  # programs that clean temporary folders go by it
    return _opened


def _is_current(file: int) -> bool:
    try:
        return os.path.samestat(os.fstat(file), FILE.lstat())
    except FileNotFoundError:
        return False


def _open_or_create() -> int:
    # A link or a pipe that another user has put there is refused.
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.open(FILE, flags)
    except FileNotFoundError:
        _create()
        file = os.open(FILE, flags)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file


def _create() -> None:
    """Create the file, writable for all users from its first moment on."""
    with tempfile.NamedTemporaryFile(dir=FILE.parent, prefix=f"{FILE.name}.") as temporary:
        os.fchmod(temporary.fileno(), 0o666)
        with suppress(FileExistsError):
            os.link(temporary.name, FILE, follow_symlinks=False)
