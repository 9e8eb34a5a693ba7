"""Create HDF5 files so that a failed write (disk full) is an error and not a crash.

The HDF5 library cannot recover from a failed write: it tries again when the file is closed and when
the process ends, and then crashes. Here it writes to an object that keeps the first error for the
caller and drops all later writes. An interrupt (Ctrl-C) is delayed while the library is inside such
a write.
"""

import base64
import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import h5py

from lpclip.storage.json_text import read_object
from lpclip.utils.atomic import replace_file

# Delay after which an interrupt that arrived inside a write is sent again.
RETRY_SECONDS = 0.02


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Create an HDF5 file, open for writing while the block runs.

    Raises:
        OSError: the first write that failed (disk full, quota, size limit, damaged disk).
    """
    output = _Output(path)
    try:
        with _interrupts_between_calls(), h5py.File(output, "w") as file:
            yield file
    except Exception as error:
        # Reading back data that was dropped fails, too: report the first error.
        if output.error is None:
            raise
        raise output.error from error
    finally:
        output.close()
    if output.error is not None:
        raise output.error


@contextlib.contextmanager
def changed_hdf5(path: Path, *, journal: Path | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 file and change it when the block ends; an error in the block changes nothing.

    With a journal, a crash leaves either the file as it was, or the journal from which
    ``apply_journal`` makes the changes.

    Raises:
        OSError: the first read or write that failed.
    """
    changes = _Changes(path)
    try:
        with _interrupts_between_calls(), h5py.File(changes, "r+") as file:
            yield file
    finally:
        changes.close()
    if changes.error is not None:
        raise changes.error
    if journal is None:
        _apply(path, changes.made, changes.size)
        return
    writes = [(place, base64.b64encode(data).decode()) for place, data in changes.made]
    text = json.dumps({"size": changes.size, "writes": writes})
    replace_file(journal, text.encode())
    apply_journal(path, journal)


def apply_journal(path: Path, journal: Path) -> None:
    """Make the changes of a journal, once or once more; the file is not synced."""
    noted = read_object(journal)
    made = [(place, base64.b64decode(data)) for place, data in noted["writes"]]
    _apply(path, made, noted["size"])


def write_at(descriptor: int, data: bytes | memoryview, position: int) -> None:
    """Write all bytes at a position of a file."""
    rest = memoryview(data).cast("B")
    while rest:
        written = os.pwrite(descriptor, rest, position)
        rest, position = rest[written:], position + written


def _apply(path: Path, made: list[tuple[int, bytes]], size: int) -> None:
    with path.open("rb+", buffering=0) as file:
        for place, data in made:
            write_at(file.fileno(), data, place)
        os.ftruncate(file.fileno(), size)


class _Output:
    """A file object for ``h5py``: seek, then read or write."""

    def __init__(self, path: Path, mode: str = "wb+") -> None:
        self._file = path.open(mode, buffering=0)
        self._position = self._end = 0
        self.error: OSError | None = None  # the first one

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (self._end if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        data = bytearray()
        while size > len(data) and self.error is None:
            try:
                found = os.pread(self._file.fileno(), size - len(data), self._position + len(data))
            except OSError as error:
                self.error = error
                break
            if not found:
                break
            data += found
        self._position += size
        return bytes(data).ljust(size, b"\0")

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                write_at(self._file.fileno(), data, self._position)
            except OSError as error:
                self.error = error
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def truncate(self, size: int) -> int:
        self._end = size
        if self.error is None:
            try:
                os.ftruncate(self._file.fileno(), size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        self._file.close()


class _Changes(_Output):
    """A file object that reads a file and keeps what is written to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._end = self.size = os.fstat(self._file.fileno()).st_size
        self.made: list[tuple[int, bytes]] = []

    def read(self, size: int) -> bytes:
        start = self._position
        data = bytearray(super().read(size))
        for place, written in self.made:
            first, last = max(start, place), min(start + size, place + len(written))
            if first < last:
                data[first - start : last - start] = written[first - place : last - place]
        return bytes(data)

    def write(self, data: bytes) -> int:
        self.made.append((self._position, bytes(data)))
        self._position += len(data)
        self._end = self.size = max(self._end, self._position)
        return len(data)

    def truncate(self, size: int) -> int:
        self._end = self.size = size
        return size


_NAMES = ("seek", "tell", "read", "write", "truncate", "flush")
_CALLBACKS = {getattr(kind, name).__code__ for kind in (_Output, _Changes) for name in _NAMES}


def _drops_exceptions(frame: FrameType) -> bool:
    """Whether an exception raised in this frame is swallowed, by HDF5 or by a weak reference."""
    return frame.f_code in _CALLBACKS or frame.f_globals.get("__name__") == "weakref"


@contextlib.contextmanager
def _interrupts_between_calls() -> Iterator[None]:
    """Delay interrupts whose exception would not reach the caller."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield  # no exception is raised here
        return

    def handle(number: int, frame: FrameType | None) -> None:
        inside = frame
        while inside is not None and not _drops_exceptions(inside):
            inside = inside.f_back
        if inside is None:
            previous(number, frame)
            return
        again = threading.Timer(RETRY_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
