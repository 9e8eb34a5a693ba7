"""Files at an address (``s3://…``, ``https://…``, ``gs://…``), read by ranges through fsspec.

Credentials are found where each file system looks for them: the environment, ``~/.aws``,
``~/.config/fsspec``. An address holds none, since it becomes part of caches.
"""

import io
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lpclip.errors import LpclipError

# Waits in seconds before each further attempt at what may pass, such as an overloaded server.
WAITS = (0.5, 1.0, 2.0, 4.0)
# Bytes that one request reads of headers: the time of a request is worth more than these.
BLOCK = 1 << 16

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PASSING = (408, 425, 429)  # of the answers 4xx of a server, those that are not final
# What to install for a protocol; fsspec names the package of any other.
_INSTALLED = {
    **dict.fromkeys(("http", "https"), "'lpclip[remote]'"),
    **{"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"},
}
_T = TypeVar("_T")


def is_address(path: str) -> bool:
    """Return whether a path is an address, and not a file of this machine.

    >>> is_address("s3://bucket/a.tar"), is_address("C:/a.tar"), is_address("a.tar")
    (True, False, False)
    """
    return _ADDRESS.match(path) is not None


def place_of(address: str) -> str:
    """Return host and path of an address as an absolute path, for names of shards.

    >>> place_of("https://a.org/sets/train-0.tar?version=2")
    '/a.org/sets/train-0.tar'
    """
    parts = urlsplit(address)
    return "/" + f"{parts.netloc}{parts.path}".lstrip("/")


def check_address(address: str) -> None:
    """Refuse an address that no file system opens, or that holds a password.

    Raises:
        LpclipError: no such protocol, a package that is not installed, or a password.
    """
    if "@" in urlsplit(address).netloc:
        raise LpclipError(
            f"The address of {urlsplit(address).hostname} has a name or password before '@', which "
            "would be written into caches. Remove it; credentials are taken from the environment "
            "or from ~/.config/fsspec."
        )
    with_sentence(address, lambda: _opened(address))


def listed(pattern: str) -> list[str]:
    """Return the addresses that match a pattern with wildcards, sorted.

    Raises:
        LpclipError: the file system cannot list, or cannot be reached.
    """

    def found() -> list[str]:
        system, path = _opened(pattern)
        return sorted(map(system.unstrip_protocol, system.glob(path)))

    if urlsplit(pattern).scheme in ("http", "https"):
        raise LpclipError(
            f"shards '{pattern}': web servers do not list their files. Name them by braces, such "
            "as {000..146}."
        )
    return with_sentence(pattern, found)


def size_of(address: str) -> int:
    """Return the size of a file in bytes; LpclipError if it is not known."""
    size = _info(address).get("size")
    if size is None:
        raise LpclipError(
            f"{address}: the server does not name the size of the file. Copy it to this machine."
        )
    return int(size)


def mark_of(address: str) -> str:
    """Return what changes when a file is replaced: its ETag, else its date, and its size."""
    info = _info(address)
    keys = ("ETag", "etag", "md5Hash", "md5", "Content-MD5", "Last-Modified", "LastModified")
    known = [str(info[key]) for key in (*keys, "updated", "last_modified") if info.get(key)]
    return " ".join([*known[:1], str(info.get("size"))])


def read_range(address: str, start: int, size: int) -> bytes:
    """Read bytes from ``start`` on by one request; fewer than ``size`` if the file ends before.

    Raises:
        LpclipError: the file cannot be read, after several attempts where that may pass.
    """

    def read() -> bytes:
        system, path = _opened(address)
        if urlsplit(address).scheme in ("http", "https"):
            # Unlike cat_file, it notices a server that ignores ranges before it reads the whole
            # file. The size saves a request for it.
            with system.open(path, size=start + size, cache_type="none") as file:
                found: bytes = file._fetch_range(start, start + size)
                return found
        part: bytes = system.cat_file(path, start=start, end=start + size)
        return part

    return with_sentence(address, read) if size else b""


class RangeFile(io.RawIOBase):
    """A file at an address, which can be read from any place; each read is one request."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address, self._end, self._place = address, size_of(address), 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; no byte is read for it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end}[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, up to its length."""
        size = max(0, min(len(buffer), self._end - self._place))
        found = read_range(self._address, self._place, size)
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)


def open_address(address: str) -> io.BufferedReader:
    """Open a file at an address for reading here and there, by blocks of ``BLOCK`` bytes."""
    return io.BufferedReader(RangeFile(address), BLOCK)


def with_sentence(address: str, act: Callable[[], _T]) -> _T:
    """Return what an action on a file gives, attempted again where an error may pass.

    Raises:
        LpclipError: names the address, why it failed, and what to do.
    """
    for wait in (*WAITS, None):
        try:
            return act()
        except LpclipError:
            raise
        except Exception as error:  # each file system has errors of its own
            advice = _advice(error, urlsplit(address).scheme)
            if advice is None and wait is not None:
                time.sleep(wait)
                continue
            often = "" if advice else f", after {len(WAITS) + 1} attempts"
            # A web server that does not answer is a file that is not found, too, to fsspec.
            told = error.__cause__ if isinstance(error, FileNotFoundError) else None
            reason = " ".join(str(told or error).split()) or type(error).__name__
            raise LpclipError(
                f"{address} cannot be read ({reason[:300]}{often}). "
                f"{advice or 'Check the network and the server, then run again.'}"
            ) from error
    raise AssertionError


def _advice(error: Exception, scheme: str) -> str | None:
    """Return what to do about an error that stays; None for one that may pass."""
    statuses = [status for one in _causes(error) if isinstance(status := _status(one), int)]
    final = [status for status in statuses if status < 500 and status not in _PASSING]
    if isinstance(error, ImportError):
        package = _INSTALLED.get(scheme)
        return f"pip install {package}" if package else "Install the package that is named here."
    if "support range requests" in str(error):
        return (
            "The server does not send parts of files, and single images are read by their place. "
            "Copy the shards to this machine or to a server that does."
        )
    if isinstance(error, PermissionError) or {401, 403} & set(final):
        return (
            "Access is denied. Check the address, and the credentials in the environment, in ~/.aws"
            " or in ~/.config/fsspec."
        )
    causes = [one for one in _causes(error) if isinstance(one, OSError)]
    missing = bool(causes) and all(isinstance(one, FileNotFoundError) for one in causes)
    if 404 in final or (missing and not statuses):
        return "There is no such file. Check 'shards'."
    if final or isinstance(error, ValueError | TypeError | NotImplementedError):
        return "Check the address."
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> Any:
    """Return the status of a server's answer, of the errors of HTTP, S3 and Google."""
    answer = getattr(error, "response", None)
    of_s3 = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
    found = getattr(error, "status", of_s3.get("HTTPStatusCode"))
    return getattr(error, "code", None) if found is None else found


def _info(address: str) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        system, path = _opened(address)
        info: dict[str, Any] = system.info(path)
        return info

    return with_sentence(address, found)


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of an address, of this process, and the path in it.

    One that another process made does not work here. fsspec keeps them by process, so that the
    same one is found for every image.
    """
    from fsspec.core import url_to_fs

    system, path = url_to_fs(address)
    return system, path
