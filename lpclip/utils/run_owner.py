"""Owner of Snakemake's lock of a folder, so that the lock of a killed run is removed.

Snakemake does not record which process holds its lock, so that a killed run requires ``--unlock``.
Here a run records its process, and the next run checks whether that is still alive.
"""

import contextlib
import json
import socket
from pathlib import Path

import psutil

from lpclip.utils.atomic import atomic_path

LOCKS = Path(".snakemake/locks")
OWNER = Path(".snakemake/lpclip_run.json")


def note_owner(folder: Path) -> None:
    """Record that this process holds the lock of a folder; call it once it does."""
    process = psutil.Process()
    note = {"machine": _machine(), "process": process.pid, "started": process.create_time()}
    with atomic_path(folder / OWNER) as temporary:
        temporary.write_text(json.dumps(note))


def remove_lock_of_killed_run(folder: Path) -> bool:
    """Remove the lock of a folder if its recorded owner is dead.

    Returns:
        Whether there was such a lock. One that is newer than the record, or of another machine,
        may belong to a living run, and stays.
    """
    locks = list((folder / LOCKS).glob("*.lock"))
    try:
        note = json.loads((folder / OWNER).read_text())
        noted = (folder / OWNER).stat().st_mtime_ns
        seen = {lock: _state(lock) for lock in locks}
        newest = max(time for _, time in seen.values())
        if newest > noted or note["machine"] != _machine() or _is_alive(note):
            return False
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no lock, or no readable record
    for lock, state in seen.items():
        # Another run may have removed it and locked the folder at the same time.
        with contextlib.suppress(OSError):
            if _state(lock) == state:
                lock.unlink()
    return True


def _state(lock: Path) -> tuple[int, int]:
    status = lock.stat()
    return status.st_ino, status.st_mtime_ns


def _is_alive(note: dict[str, float]) -> bool:
    try:
        started = psutil.Process(int(note["process"])).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    # The process number may have been reused.
    return abs(started - note["started"]) < 1


def _machine() -> list[str]:
    """Identify the container and the machine since its last boot."""
    found = [socket.gethostname()]
    with contextlib.suppress(OSError):  # other systems than Linux: the host name
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(str(Path("/proc/self/ns/pid").readlink()))
    return found
