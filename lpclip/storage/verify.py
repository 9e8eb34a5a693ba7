"""Verify the checksums of whole files, for ``lpclip verify``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lpclip.errors import LpclipError
from lpclip.storage import checksums
from lpclip.storage.hdf5 import open_file
from lpclip.storage.untrusted import check_untrusted


class Verified(NamedTuple):
    """Result for one file."""

    path: Path
    n_arrays: int  # with a checksum; 0 for a file from before there were checksums
    damages: list[str]  # sentences on what is wrong; empty for an intact file


def verify(paths: Sequence[Path]) -> Iterator[Verified]:
    """Verify every array and attribute of HDF5 files; memory use does not depend on their size.

    In folders, all files that end in ``.h5`` are verified.

    Raises:
        LpclipError: a path does not exist, or a folder without such files.
    """
    files = [file for path in paths for file in _files(path)]
    return (_verified(file) for file in files)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise LpclipError(f"{path} does not exist. Name a file, or a folder of files.")
    # Hidden files are still being written.
    found = sorted(file for file in path.rglob("*.h5") if not file.name.startswith("."))
    if not found:
        raise LpclipError(f"{path} has no files that end in .h5, the only ones with checksums.")
    return found


def _verified(path: Path) -> Verified:
    try:
        check_untrusted(path)
        with open_file(path) as file:
            damages = checksums.damages(file)
            stored = checksums.arrays(file).values()
            return Verified(path, sum(checksums.SUMS in data.attrs for data in stored), damages)
    except LpclipError as error:
        return Verified(path, 0, [str(error)])
