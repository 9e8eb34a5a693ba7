"""HDF5 files of unknown origin: read in a child process first, since the library can crash.

Bytes that were changed by chance or on purpose can end the process that reads them (the HDF5
library is C). A child that ends that way becomes a sentence. It costs a quarter of a second per
file, the start of Python and h5py; the workflow's own caches are opened without.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from lpclip.errors import LpclipError
from lpclip.storage import walk
from lpclip.storage.locks import wait_for_writers
from lpclip.storage.opening import open_bytes

# Changed bytes can also keep the library busy for ever: a file may take these seconds, and what
# reading its size at this rate takes.
WAIT_SECONDS = 30.0
_BYTES_PER_SECOND = 10e6

_Identity = tuple[int, int, int, int]
_passed: set[_Identity] = set()


def check_untrusted(path: Path) -> None:
    """Refuse an HDF5 file that crashes the library, or leads to other files; once per process.

    Args:
        path: a file; nothing is done where there is none.

    Raises:
        LpclipError: says what is wrong with it.
    """
    if not path.is_file():
        return
    with open_bytes(path) as opened:
        wait_for_writers(path, opened)
        status = os.fstat(opened.fileno())
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if identity in _passed:
        return
    if reason := _walk(path, WAIT_SECONDS + status.st_size / _BYTES_PER_SECOND):
        raise LpclipError(f"{path} {reason}")
    _passed.add(identity)


def _walk(path: Path, seconds: float) -> str | None:
    """Why a file must not be read, as the end of a sentence that begins with its name; or None."""
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
    """Status (minus the signal that ended it), output and errors of ``lpclip.storage.walk``."""
    # By its path and with -P: neither lpclip nor what lies beside the script is imported.
    command = [sys.executable, "-P", walk.__file__, str(path.absolute())]
    environment = {**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONFAULTHANDLER", None)  # what it prints of a crash is for nobody
    done = subprocess.run(
        command, env=environment, capture_output=True, timeout=seconds, check=False
    )
    return done.returncode, done.stdout, done.stderr
