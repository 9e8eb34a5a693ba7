"""Create HDF5 files so that a failed write (disk full) is an error and not a crash.

The HDF5 library cannot recover from a failed write: it tries again when the file is closed and when
the process ends, and then crashes. Here it writes to an object that keeps the first error for the
caller and drops all later writes. An interrupt (Ctrl-C) is delayed while the library is inside such
a write.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import h5py

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


class _Output:
    """A file object for ``h5py``: seek, then read or write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb+", buffering=0)
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
        rest, position = memoryview(data), self._position
        while rest and self.error is None:
            try:
                written = os.pwrite(self._file.fileno(), rest, position)
            except OSError as error:
                self.error = error
                break
            rest, position = rest[written:], position + written
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


_NAMES = ("seek", "tell", "read", "write", "truncate", "flush")
_CALLBACKS = {getattr(_Output, name).__code__ for name in _NAMES}


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
