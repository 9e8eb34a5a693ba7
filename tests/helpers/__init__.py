"""Helpers shared by several test folders."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_workflow(folder: Path) -> None:
    """Copy what a folder needs to be a project of its own, but for a configuration."""
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, folder)
