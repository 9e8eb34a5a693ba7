"""The writers of temporary files, and whether they are alive: by process number or heartbeat.

A process of this machine (and container) is looked up by its number. Any other one is observed:
while it holds a temporary file, a small helper process updates the file's time every few seconds,
even if the writer computes without a pause. Only changes of the time count, as seen from here; the
clocks of two machines are never compared.
"""

import contextlib
import hashlib
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
# Network file systems may show a change by another machine only after a minute.
SILENCE_SECONDS = 90.0
POLL_SECONDS = 1.0
_UNKNOWN_PLACE = "0" * 8

# Ends with the process that started it (its number comes last), or when the file is gone.
_BEAT = """
import os, select, sys
path, seconds, writer = sys.argv[1:]
while os.getppid() == int(writer):
    try:
        os.utime(path)
    except FileNotFoundError:
        break
    except OSError:
        pass
    if select.select([0], [], [], float(seconds))[0]:
        break
"""

# The second form is that of earlier versions: host and process alone.
_NAME = re.compile(
    r"(?P<host>[^.]+)-(?P<process>\d+)-(?P<started>\d+)-(?P<place>[0-9a-f]{8})"
    r"|(?P<old_host>.+)\.(?P<old_process>\d+)"
)


class Writer(NamedTuple):
    """A writing process, parsed from the names of its temporary files."""

    host: str  # name of its machine, for people
    process: int
    started: int  # in ticks since boot; 0 if unknown
    place: str  # hash of machine and container

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


def this_writer() -> str:
    """Return part of a file name, without a dot, that is unique to this process."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40] or "host"
    process = os.getpid()
    return f"{host}-{process}-{_started(process) or 0}-{_place()}"


def parse_writer(name: str) -> Writer | None:
    """Parse the writer from the part of a file name that ``this_writer`` returned."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    if found["host"] is None:
        return Writer(found["old_host"], int(found["old_process"]), 0, _UNKNOWN_PLACE)
    return Writer(found["host"], int(found["process"]), int(found["started"]), found["place"])


def without_writer(files: Mapping[Path, Writer]) -> list[Path]:
    """Return the files whose writers are dead.

    Immediate if all writers can be looked up. Others are observed together, until each has shown a
    heartbeat or for ``SILENCE_SECONDS``.
    """
    alive = {path: _lives_here(writer) for path, writer in files.items()}
    unknown = [path for path, lives in alive.items() if lives is None]
    silent = set(_silent(unknown, files) if unknown else ())
    gone = [path for path in files if alive[path] is False or path in silent]
    for path in files:
        if path not in gone:
            text = "%s: %s is writing the same output. This run continues next to it."
            log.warning(text, path, files[path])
    return gone


@contextlib.contextmanager
def heartbeat(path: Path, *, at_once: bool) -> Iterator[None]:
    """Keep up the heartbeat of a file or folder while the block runs.

    It starts at once or after ``BEAT_SECONDS``, since most files are written sooner.
    """
    beating: list[subprocess.Popen[bytes]] = []
    lock, ended = threading.Lock(), threading.Event()

    def begin() -> None:
        with lock:
            if not ended.is_set():
                try:
                    beating.append(_start_beating(path))
                except OSError as error:
                    log.warning(
                        "%s: other machines cannot see that it is written (%s)", path, error
                    )

    timer = threading.Timer(BEAT_SECONDS, begin)
    timer.daemon = True
    if at_once:
        begin()
    else:
        timer.start()
    try:
        yield
    finally:
        ended.set()
        timer.cancel()
        with lock:
            for process in beating:
                process.kill()
                process.communicate()


def _start_beating(path: Path) -> "subprocess.Popen[bytes]":
    # A process, not a thread, so that long computations here cannot delay it.
    arguments = [str(path.absolute()), str(BEAT_SECONDS), str(os.getpid())]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BEAT, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _lives_here(writer: Writer) -> bool | None:
    """Whether a process is alive; None if that cannot be looked up from here."""
    if writer.place == _UNKNOWN_PLACE or writer.place != _place():
        return None
    try:
        os.kill(writer.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, or its number was reused by another user's process
    started = _started(writer.process)
    if started is None or not writer.started:
        return None
    return started == writer.started


def _silent(paths: Sequence[Path], writers: Mapping[Path, Writer]) -> list[Path]:
    """Return files whose times do not change while observed, without those that vanish."""
    log.info(
        "waiting up to %.0f s for a sign that the writers of unfinished files live: %s",
        SILENCE_SECONDS,
        ", ".join(f"{path} ({writers[path]})" for path in paths),
    )
    first = {path: _time_of(path) for path in paths}
    waiting, silence = [path for path in paths if first[path] is not None], 0.0
    while waiting and silence < SILENCE_SECONDS:
        before = time.monotonic()
        time.sleep(POLL_SECONDS)
        waiting = [path for path in waiting if _time_of(path) == first[path]]
        # While the file system hangs, no writer can show a heartbeat.
        silence += min(time.monotonic() - before, 2 * POLL_SECONDS)
    return waiting


def _time_of(path: Path) -> int | None:
    """Modification time of a file or folder in nanoseconds; None if it does not exist."""
    try:
        # Opening a file makes network file systems refresh its time.
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_mtime_ns
        return None
    try:
        return os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)


def _place() -> str:
    """Hash of the scope of process numbers: the machine since its last boot, and the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        numbers = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return _UNKNOWN_PLACE
    # Also the host name: copies of a virtual machine may share everything else.
    text = "\0".join([socket.gethostname(), boot, str(numbers)])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _started(process: int) -> int | None:
    """Start time of a process in ticks since boot; 0 once it has ended.

    None if it cannot be read: no ``/proc``, another container's, or a hidden process.
    """
    try:
        if Path("/proc/self").readlink().name != str(os.getpid()):
            return None
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 0 if state in "ZX" else int(fields[18])
