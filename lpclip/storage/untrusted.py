"""Check HDF5 files of unknown origin in a child process, since the HDF5 library can crash.

Damaged or malicious bytes can crash the process that reads them (the HDF5 library is C); the crash
of a child becomes a clear error. The check costs a quarter of a second per file, the start of
Python and h5py; caches of the workflow are opened without it.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from lpclip.errors import LpclipError
from lpclip.storage import walk
from lpclip.storage.file_kinds import is_hdf5
from lpclip.storage.locks import wait_for_writers
from lpclip.storage.opening import open_bytes

# Changed bytes can also make the library run forever: limit in seconds, plus the time to read a
# file of this size at this rate.
WAIT_SECONDS = 30.0
_BYTES_PER_SECOND = 10e6

_Identity = tuple[int, int, int, int]
_passed: set[_Identity] = set()


def check_untrusted(path: Path) -> None:
    """Refuse an HDF5 file that crashes the library or refers to other files; once per process.

    A missing file, and one that is no HDF5 file, is left to ``open_hdf5``, which refuses it.

    Raises:
        LpclipError: the reason.
    """
    if not path.is_file():
        return
    with open_bytes(path) as opened:
        wait_for_writers(path, opened)
        if not is_hdf5(opened):
            return
        status = os.fstat(opened.fileno())
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if identity in _passed:
        return
    if reason := _walk(path, WAIT_SECONDS + status.st_size / _BYTES_PER_SECOND):
        raise LpclipError(f"{path} {reason}")
    _passed.add(identity)


def _walk(path: Path, seconds: float) -> str | None:
    """Return why a file must not be read, as the end of a sentence that begins with its name."""
    try:
        status, shown, errors = _in_child(path, seconds)
    except subprocess.TimeoutExpired:
        return f"is damaged: the HDF5 library is not done with it after {seconds:.0f} s."
    if status < 0:
        return f"is damaged: it crashes the HDF5 library ({signal.Signals(-status).name})."
    if status:
        last = (errors.decode(errors="replace").split("\n") or [""])[-2:][0]
        return f"could not be checked ({last or f'status {status}'})."
    reason: str | None = json.loads(shown)
    return reason


def _in_child(path: Path, seconds: float) -> tuple[int, bytes, bytes]:
    """Run ``lpclip.storage.walk``; return its status (or minus the signal), output and errors."""
    # By its path and with -P: neither lpclip nor modules next to the script are imported.
    command = [sys.executable, "-P", walk.__file__, str(path.absolute())]
    environment = {**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONFAULTHANDLER", None)  # its report of a crash is not needed
    done = subprocess.run(
        command, env=environment, capture_output=True, timeout=seconds, check=False
    )
    return done.returncode, done.stdout, done.stderr
