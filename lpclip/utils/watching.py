"""Messages from the commands of a workflow to the one who shows them: warnings, errors, progress.

Several commands run at once, and each of them would write to the terminal as it likes. Snakemake's
logger plugin (``snakemake_logger_plugin_lpclip``) opens a socket, to which they send what it shows.
Without it they print by themselves.
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

WATCHER = "LPCLIP_WATCHER"  # variable of the environment: the path of the watcher's socket
_SECONDS = 1.0  # to wait for a watcher that has messages to read
_LARGEST = 1 << 18

_log = ""
_shown = set[str]()  # logs of jobs whose errors were shown in this process


def set_log(path: Path) -> None:
    """Name the log of this command, by which a watcher finds its job."""
    global _log
    _log = str(path)


def note_shown(log: str) -> None:
    """Note that the error in a log has been shown, so that the end of the run refers to it."""
    _shown.add(os.path.realpath(log))


def was_shown(log: Path) -> bool:
    """Whether the error in a log was shown when its job failed."""
    return os.path.realpath(log) in _shown


def is_watched() -> bool:
    """Whether somebody shows what commands of this run send."""
    address = os.environ.get(WATCHER, "")
    return bool(address) and os.path.exists(address)  # noqa: PTH110


def send_error(text: str) -> bool:
    """Send the error that ends a job; return whether somebody shows it. A tool has no log."""
    return bool(_log) and send(error=text)


def send(**message: Any) -> bool:
    """Send a message; return whether there is somebody who reads it."""
    if not is_watched():
        return False
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SECONDS)
            sender.connect(os.environ[WATCHER])
            sender.send(json.dumps({"log": _log, **message}).encode())
    except OSError:  # it has ended, it is too slow, or the message is too long
        return False
    return True


class Messages:
    """What the commands of a run send, in the process that shows it."""

    def __init__(self) -> None:
        """Open the socket and name it in the environment, which commands inherit.

        Raises:
            OSError: the system has no such sockets, or the temporary folder's path is too long.
        """
        import socket

        if not hasattr(socket, "AF_UNIX"):
            raise OSError("This system has no sockets with a path.")
        self._folder = tempfile.mkdtemp(prefix="lpclip-watcher-")  # of this user alone
        self._address = os.path.join(self._folder, "socket")  # noqa: PTH118
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(self._address)
        except OSError:
            self.close()
            raise
        os.environ[WATCHER] = self._address

    def next(self, seconds: float) -> dict[str, Any] | None:
        """Return the next message, or None where there is none for so long."""
        import select

        try:
            select.select([self._socket], [], [], seconds)
            message = json.loads(self._socket.recv(_LARGEST))
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def wake(self) -> None:
        """Let ``next`` return at once."""
        import socket

        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(b"null", self._address)

    def close(self) -> None:
        """Remove the socket; commands that still run print by themselves from now on."""
        if os.environ.get(WATCHER) == self._address:
            del os.environ[WATCHER]
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
