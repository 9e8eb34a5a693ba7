"""New HDF5 files on disks that may fill up: the HDF5 library never sees a write that failed.

The library cannot recover from a failed write. It tries again when the file is closed and once more
when the process ends, and then crashes. Here it writes to an object that keeps the first error for
the caller and from then on drops what it is given. An interrupt (Ctrl-C) waits until the library is
not inside such a write.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import h5py

# An interrupt that meets the library inside a write is sent again after this long.
RETRY_SECONDS = 0.02


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """New HDF5 file at ``path``, open for writing while the block runs.

    Raises:
        OSError: the first write that failed (disk full, quota, size limit, damaged disk).
    """
    output = _Output(path)
    try:
        with _interrupts_between_calls(), h5py.File(output, "w") as file:
            yield file
    except Exception as error:
        # What could not be written cannot be read again either.
        if output.error is None:
            raise
        raise output.error from error
    finally:
        output.close()
    if output.error is not None:
        raise output.error


class _Output:
    """A file as ``h5py`` uses it: seek, then read or write.

    Attributes:
        error: the first error of the disk, if any.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb+", buffering=0)
        self._position = self._end = 0
        self.error: OSError | None = None

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


_CALLBACKS = {
    method.__code__
    for method in (
        _Output.seek,
        _Output.tell,
        _Output.read,
        _Output.write,
        _Output.truncate,
        _Output.flush,
    )
}


def _drops_exceptions(frame: FrameType) -> bool:
    """Whether the library, or Python (of what a weak reference calls), catches what is raised."""
    return frame.f_code in _CALLBACKS or frame.f_globals.get("__name__") == "weakref"


@contextlib.contextmanager
def _interrupts_between_calls() -> Iterator[None]:
    """Put off interrupts that would raise an exception where it does not reach the caller."""
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
