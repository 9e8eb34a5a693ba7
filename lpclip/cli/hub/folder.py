"""The folder of a shared probe: its files replace those of another one, and nothing else."""

from collections.abc import Mapping
from pathlib import Path

from lpclip.errors import LpclipError, listed
from lpclip.storage.shared_probe import FILE
from lpclip.utils.atomic import atomic_path

FILES = (FILE, "head.safetensors", "head.json", "guard.csv", "README.md")
PROBES = "probes.h5"  # what ``pull`` makes of them


def refuse_other_files(folder: Path) -> None:
    """Refuse a folder that holds anything but a shared probe.

    Raises:
        LpclipError: it does.
    """
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if others := sorted(found - {*FILES, PROBES}):
        raise LpclipError(f"{folder} holds {listed(others)}. Give a new folder as --output.")
    if found and FILE not in found:
        raise LpclipError(
            f"{folder} holds {listed(sorted(found))}, but no {FILE}: these are not files of a "
            "shared probe. Give a new folder as --output."
        )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, and remove those of a probe that was in the folder before."""
    for name in {*FILES, PROBES} - set(files):
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
