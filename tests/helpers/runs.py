"""Runs of Snakemake in a folder of the test, and the jobs that a dry run plans."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.helpers.warm import environment


def write(folder, config):
    """Write the configuration of a run."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def snakemake(folder: Path, *arguments: str, code: Path) -> str:
    """Run Snakemake, which must succeed, with the package in the folder ``code``."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "8", *arguments],
        cwd=folder,
        env=environment(code),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path, *, code: Path) -> dict[str, int]:
    """Return how many jobs of each rule a dry run plans."""
    found = re.findall(r"^(\w+) +(\d+)$", snakemake(folder, "-n", code=code), re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule not in ("all", "total")}
