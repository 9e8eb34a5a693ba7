"""Jobs that a killed run left in Slurm's queue: another run would submit them a second time.

Snakemake's plugin names the jobs of a run by an identifier that the next run does not know, but
Slurm records the folder that each job works in, and the plugin leaves the rule as a comment.
"""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from lpclip.errors import LpclipError

# States in which a job may still write. Slurm ends jobs in others.
_STATES = "CONFIGURING,COMPLETING,PENDING,REQUEUED,RESIZING,RUNNING,STOPPED,SUSPENDED"
_COMMENT = "rule_"  # how the plugin's comments start


class Queued(NamedTuple):
    """A job in Slurm's queue."""

    number: str
    state: str
    comment: str


def jobs_of_folder(folder: Path) -> list[Queued]:
    """Return the user's jobs of Snakemake that work in a folder and have not ended.

    Raises:
        LpclipError: Slurm does not reply, so that it cannot be known.
    """
    command = ["squeue", "--noheader", "--user", str(os.getuid()), "--states", _STATES]
    command += ["--format", "%i|%T|%Z|%k"]
    try:
        reply = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        raise LpclipError(
            f"squeue does not reply ({reason}), so it is not known whether jobs of a run that was "
            "killed are still running. Try again when it does."
        ) from error
    return _of_folder(reply.stdout, folder)


def _of_folder(listed: str, folder: Path) -> list[Queued]:
    r"""Return the jobs of a folder among lines of number, state, folder and comment.

    >>> _of_folder("7|RUNNING|/runs/a|rule_page\n8|PENDING|/runs/b|rule_page\n", Path("/runs/a"))
    [Queued(number='7', state='RUNNING', comment='rule_page')]
    """
    found = []
    for line in listed.splitlines():
        number, state, rest = line.split("|", 2)
        place, _, comment = rest.rpartition(f"|{_COMMENT}")
        if place and Path(place).resolve() == folder.resolve():
            found.append(Queued(number, state, _COMMENT + comment))
    return found


def check_queue(folder: Path) -> None:
    """Check that no job of an earlier run in this folder is left in Slurm's queue.

    Raises:
        LpclipError: some are; or Slurm does not reply.
    """
    left = jobs_of_folder(folder)
    if not left:
        return
    shown = ", ".join(f"{job.number} ({job.comment}, {job.state.lower()})" for job in left[:5])
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""
    numbers = " ".join(job.number for job in left)
    raise LpclipError(
        f"A run in this folder was killed, and Slurm still has its jobs: {shown}{more}. Start "
        "again when they have ended: what they finish is kept, but now they would be submitted "
        f"twice. Or end them: scancel {numbers}"
    )
