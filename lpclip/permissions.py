"""Folders that a run writes to, checked before its first job."""

import os
from pathlib import Path

from lpclip.errors import LpclipError

FOLDERS = ("cache", "logs", "results", ".snakemake")


def check_writable(folder: Path) -> None:
    """Refuse to run where nothing can be written.

    Args:
        folder: working directory of the run. It need not be writable itself where all of
            ``FOLDERS`` are there already.

    Raises:
        LpclipError: names the folder that is closed.
    """
    inside = [folder / name for name in FOLDERS]
    needed = [path for path in inside if path.exists()]
    if len(needed) < len(inside):
        needed.insert(0, folder)
    for path in needed:
        if not os.access(path, os.W_OK | os.X_OK):
            raise LpclipError(
                f"There is no permission to write in {path}. Change the folder's permissions "
                "or work in another folder."
            )
