"""Check before the work starts that outputs can be written, for the workflow and for commands."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from lpclip.errors import LpclipError
from lpclip.utils.atomic import disk_errors, file_to_write, temporary_name

FOLDERS = ("cache", "logs", "results", ".snakemake")


def check_writable(folder: Path) -> None:
    """Refuse to run in a folder that is not writable.

    It need not be writable itself if all ``FOLDERS`` exist in it.

    Raises:
        LpclipError: names the folder that is not writable.
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


def check_output_file(path: Path) -> None:
    """Refuse an output file that cannot be written; neither it nor its folder need exist.

    Raises:
        LpclipError: no permission, a read-only or full disk; a folder, a device, a pipe or a
            socket; a file in the place of a folder; a name that is too long.
    """
    with disk_errors(path):
        target = file_to_write(path)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            temporary_name(target, "part").lstat()  # fails if the name is too long
        _check_folder(path, target.parent)
        _check_replaceable(target)


def check_output_folder(path: Path) -> None:
    """Refuse an output folder that is not writable; errors as in ``check_output_file``."""
    with disk_errors(path):
        if path.exists() and not path.is_dir():
            raise LpclipError(f"{path} is a file. Name a folder.")
        _check_folder(path, path)


def _check_folder(path: Path, folder: Path) -> None:
    """Try to create a hidden file in the nearest existing folder."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise LpclipError(f"{path}: {folder} is a file, not a folder. Name another path.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        # The error names the output, not the trial file.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _check_replaceable(target: Path) -> None:
    """In a folder such as ``/tmp``, only the owner of a file may replace it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        folder, file, user = target.parent.stat(), target.stat(), os.geteuid()
        if folder.st_mode & stat.S_ISVTX and user not in (0, file.st_uid, folder.st_uid):
            raise LpclipError(
                f"{target} belongs to another user, and only they may replace it. "
                "Name another file."
            )
