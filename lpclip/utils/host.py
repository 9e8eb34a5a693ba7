"""This machine: its cores, what kind it is, and the commit of a folder."""

import os
import platform
import re
import subprocess
from pathlib import Path

_GPUS = Path("/proc/driver/nvidia/gpus")
_GIT_SECONDS = 10


def cores() -> int:
    """Return how many processor cores this process may use."""
    # Some systems cannot limit a process to some of them.
    limited = getattr(os, "sched_getaffinity", None)
    return len(limited(0)) if limited is not None else os.cpu_count() or 1


def kind_of_host() -> str:
    """Return system, processor, number of cores that may be used, and NVIDIA GPUs.

    No name of the host: a page is shared.
    """
    text = _text(Path("/proc/cpuinfo"))
    name = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    processor = name[1].strip() if name else platform.processor() or platform.machine()
    n_cores = cores()
    models = [
        found[1].strip()
        for path in sorted(_GPUS.glob("*/information"))
        if (found := re.search(r"^Model:\s*(.+)$", _text(path), flags=re.MULTILINE))
    ]
    counted = [
        f"{models.count(one)} × {one}" if models.count(one) > 1 else one
        for one in dict.fromkeys(models)
    ]
    return ", ".join(
        [
            f"{platform.system()} {platform.machine()}",
            f"{n_cores} core{'' if n_cores == 1 else 's'} of {processor}",
            *(counted or ["no NVIDIA GPU"]),
        ]
    )


def commit_of(folder: Path) -> str:
    """Return the commit that a folder is at, "" outside of git, with a + where files differ."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return commit + "+" if commit and git("status", "--porcelain", "-uno") else commit


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
