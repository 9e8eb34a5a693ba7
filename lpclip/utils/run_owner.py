"""Whose lock a folder has: one of a run that was killed is removed, so that the next run goes on.

Snakemake locks its folder but does not note who holds the lock, so that after a kill somebody has
to say ``--unlock``. Here a run notes its process, and the next one looks whether that is gone.
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
    """Note that this process has the lock of a folder; to be called once it has."""
    process = psutil.Process()
    note = {"machine": _machine(), "process": process.pid, "started": process.create_time()}
    with atomic_path(folder / OWNER) as temporary:
        temporary.write_text(json.dumps(note))


def remove_lock_of_killed_run(folder: Path) -> bool:
    """Remove the lock of a folder if the process that noted itself as its owner is gone.

    Returns:
        Whether there was such a lock. One that is newer than the note, or of another machine, may
        belong to a run that is alive, and stays.
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
        return False  # no lock, or no note that could be read
    for lock, state in seen.items():
        # Another run may have removed it and taken its own, at the same time.
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
    # The number may have been given to another process since.
    return abs(started - note["started"]) < 1


def _machine() -> list[str]:
    """What tells apart machines, and containers on one, that share a folder; a restart as well."""
    found = [socket.gethostname()]
    with contextlib.suppress(OSError):  # elsewhere than on Linux the name has to do
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(str(Path("/proc/self/ns/pid").readlink()))
    return found
