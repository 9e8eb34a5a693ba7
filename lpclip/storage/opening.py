"""Open HDF5 files for reading, with a clear error for whatever is wrong with a file.

Reading takes no lock. lpclip writes its outputs under a temporary name and renames them, so it
never writes to a file that is open here. Another program may write to it in place: its lock is
waited for before the file is opened (``lpclip.storage.locks``), and a file that changed while it
was read is refused.
"""

import contextlib
import errno
import os
import shlex
import zlib
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from typing import IO, NamedTuple

import h5py

from lpclip.errors import LpclipError
from lpclip.storage import file_kinds
from lpclip.storage.locks import NO_LOCKS, locked, wait_for_writers, without_locks
from lpclip.storage.walk import is_of_device, reason_of, refusal

_MARK_BYTES = 1 << 16


def make_again(path: Path) -> str:
    """Advise to make an unusable output of the workflow again; empty for other files.

    Nothing needs to be deleted: the new file replaces the old one when it is complete.

    >>> make_again(Path("a.h5")).partition(" with ")[2]
    '--forcerun a.h5 (before its --).'
    >>> make_again(Path("README.md"))
    ''
    """
    if path.suffix not in (".h5", ".csv"):
        return ""
    return (
        " If the workflow made it, run your snakemake command again with "
        f"--forcerun {shlex.quote(str(path))} (before its --)."
    )


def damaged(place: Path | h5py.Group | h5py.Dataset, what: str) -> LpclipError:
    """Return the error for a damaged file, given by its path or an object in it."""
    path = place if isinstance(place, Path) else Path(place.file.filename)
    return LpclipError(f"{path} is damaged: {what}.{make_again(path)}")


def wrong_kind(path: Path, found: str, kind: str | None) -> LpclipError:
    """Return the error for a file that is something else than an HDF5 file of a kind of lpclip."""
    wanted, advice = file_kinds.expected(kind)
    if found in (file_kinds.EMPTY, file_kinds.ZEROS, file_kinds.UNKNOWN):
        advice = make_again(path) or advice
    return LpclipError(f"{path} is {found}, not {wanted}.{advice}")


def unreadable(path: Path, wanted: str, reason: str, advice: str = "") -> LpclipError:
    """Return the error for a file that a library could not read as what it should be.

    Args:
        path: the file.
        wanted: what it should be, with an article.
        reason: of the library, in its words; given only where the file may be what it should be.
        advice: a sentence on what to do, where it is something else.
    """
    try:
        found = file_kinds.type_of(path)
    except FileNotFoundError:
        return LpclipError(f"{path} does not exist.")
    except OSError as error:
        return LpclipError(f"{path} cannot be read ({error.strerror}).")
    may_be_it = found == wanted or (found, wanted) == (file_kinds.TEXT, file_kinds.CSV)
    if may_be_it or found == file_kinds.UNKNOWN:
        return LpclipError(f"{path} is damaged or not {wanted} ({reason}).{make_again(path)}")
    again = make_again(path) if found in (file_kinds.EMPTY, file_kinds.ZEROS) else ""
    return LpclipError(f"{path} is {found}, not {wanted}.{again or advice}")


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without a lock, as it is: the caller checks what it uses.

    Raises:
        LpclipError: locked by a writer, or it cannot be opened.
        OSError: errors of the HDF5 library.
    """
    with open_bytes(path) as opened:
        wait_for_writers(path, opened)
        with open_without_lock(path) as file:
            yield file


@contextlib.contextmanager
def open_hdf5(path: Path, *, kind: str | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 file of any program for reading; parts in other files are refused.

    The kind, which the caller checks, is named where the file is no HDF5 file.

    Raises:
        LpclipError: locked by a writer, unreadable, truncated, damaged, not HDF5, changed while it
            was read, or with links to or storage in other files.
    """
    with open_bytes(path) as opened:
        wait_for_writers(path, opened)
        if not file_kinds.is_hdf5(opened):
            raise wrong_kind(path, file_kinds.type_of(path), kind)
        before = _mark(opened)
        with _sentences(path), open_without_lock(path) as file:
            _check_structure(path, file, before)
            yield file
        if before.time != (now := _mark(opened)).time and before[1:] != now[1:]:
            raise LpclipError(
                f"{path} was changed by another program while lpclip read it. "
                "Close it there and run the same command again."
            )


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        LpclipError: it cannot be opened.
    """
    try:
        return path.open("rb")
    except PermissionError as error:
        raise LpclipError(f"{path} cannot be read: permission denied.") from error
    except OSError as error:
        raise LpclipError(f"{path} cannot be read: {error.strerror}.") from error


def open_without_lock(path: Path) -> h5py.File:
    """Open an HDF5 file for reading without HDF5's lock, where the environment allows it.

    Raises:
        LpclipError: HDF5_USE_FILE_LOCKING requires a lock, which another program or the file system
            refuses.
        OSError: any other error of the HDF5 library.
    """
    # A process can open a file twice only with the same locking option; None is h5py's default.
    wishes = (False, None, True, "best-effort")
    for wish in wishes:
        try:
            return h5py.File(path, "r", locking=wish)
        except OSError as error:
            text = str(error)
            if "file locking" in text and "match" in text and wish != wishes[-1]:
                continue
            if "unable to lock" not in text:
                raise
            # HDF5_USE_FILE_LOCKING=TRUE overrides the option.
            if error.errno in NO_LOCKS or any(f"errno = {code}," in text for code in NO_LOCKS):
                raise LpclipError(without_locks(path)) from error
            raise LpclipError(locked(path, [])) from error
    raise AssertionError("unreachable")


class _Mark(NamedTuple):
    """State of a file, to notice that it was written to."""

    time: int  # of its last change, in nanoseconds
    size: int  # in bytes
    ends: int  # checksum of its first and last bytes, where HDF5 keeps its directory


def _mark(opened: IO[bytes]) -> _Mark:
    # The time alone is too strict: opening for writing changes it without changing a byte. Values
    # overwritten in the middle of a large file are found by their checksums.
    status = os.fstat(opened.fileno())
    ends = zlib.crc32(os.pread(opened.fileno(), _MARK_BYTES, 0))
    last = max(status.st_size - _MARK_BYTES, 0)
    ends = zlib.crc32(os.pread(opened.fileno(), _MARK_BYTES, last), ends)
    return _Mark(status.st_mtime_ns, status.st_size, ends)


_checked: dict[str, _Mark] = {}


def _check_structure(path: Path, file: h5py.File, mark: _Mark) -> None:
    """Refuse links to and storage in other files; once per file and process."""
    key = str(path.absolute())
    if _checked.get(key) == mark:
        return
    if reason := refusal(file):
        raise LpclipError(f"{path} {reason}")
    _checked[key] = mark


@contextlib.contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn errors of the HDF5 library into sentences; errors of the calling code pass through."""
    try:
        yield
    except Exception as error:
        if not _raised_by_hdf5(error) or _is_of_writing(error):
            raise
        cure = "" if is_of_device(error) else make_again(path)
        raise LpclipError(f"{path} {reason_of(error)}{cure}") from error


def _raised_by_hdf5(error: BaseException) -> bool:
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return bool(frames) and "h5py" in frames[-1].f_code.co_filename


def _is_of_writing(error: Exception) -> bool:
    """Whether the error concerns another file, which is being written at the same time."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return full or "write failed" in str(error)
