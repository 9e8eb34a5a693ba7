"""Runs of Snakemake in a folder of the test, and the jobs that a dry run plans."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.helpers import ROOT
from tests.helpers.warm import environment


def write(folder, config):
    """Write the configuration of a run."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def run(
    folder: Path, *arguments: str | Path, code: Path = ROOT, **variables: str
) -> tuple[int, str]:
    """Run Snakemake with the package in the folder ``code``; return its status and output."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "8", *arguments],
        cwd=folder,
        env=environment(code, **variables),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def snakemake(folder: Path, *arguments: str | Path, code: Path = ROOT, **variables: str) -> str:
    """Run Snakemake, which must succeed; return its output."""
    status, text = run(folder, *arguments, code=code, **variables)
    assert status == 0, text
    return text


def planned(folder: Path, *arguments: str | Path, code: Path = ROOT) -> dict[str, int]:
    """Return how many jobs of each rule a dry run plans."""
    text = snakemake(folder, "-n", *arguments, code=code)
    found = re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule not in ("all", "total")}
