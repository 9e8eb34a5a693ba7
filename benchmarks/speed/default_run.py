"""Processor and wall time of the default run, of two checkouts in turn.

    python benchmarks/speed/default_run.py --before OTHER_CHECKOUT --pairs 3

Runs what ``make report`` runs, in a folder of its own each time, and counts every process that it
started. Writes ``default_run.csv`` to ``results/`` and prints the ratio of the medians.
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any

from measure import machine, write

REPOSITORY = Path(__file__).parents[2]
TARGETS = ("results/report.csv", "results/report.html", "results/predictions.h5")
COPIED = ("Snakefile", "config.yaml", "environment.yml", "workflow", "profiles")
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--before", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cores", default="all")
    options = parser.parse_args()
    # Processes whose parent has ended become children of this one, so that they are counted.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    rows = [
        measured(checkout, name, options.cores)
        for _ in range(options.pairs)
        for name, checkout in (("before", options.before.resolve()), ("after", REPOSITORY))
    ]
    write(rows, "default_run")
    for key in ("cpu_seconds", "wall_seconds"):
        before, after = (
            median(row[key] for row in rows if row["version"] == name)
            for name in ("before", "after")
        )
        print(f"{key}: {before:.0f} -> {after:.0f}, {after / before:.2f}")


def copy_workflow(folder: Path, checkout: Path) -> None:
    """Copy the workflow of a checkout and its default configuration into a folder."""
    folder.mkdir(exist_ok=True)
    for one in COPIED:
        path = checkout / one
        (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / one)


def measured(checkout: Path, name: str, cores: str) -> dict[str, Any]:
    """Run the default configuration of a checkout in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        copy_workflow(Path(folder), checkout)
        started, used = time.perf_counter(), _cpu()
        subprocess.run(
            [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", cores, *TARGETS],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        wall = time.perf_counter() - started
        while _reaped():
            pass
    row = {
        "version": name,
        "cpu_seconds": _cpu() - used,
        "wall_seconds": wall,
        "machine": machine(),
    }
    print(row, flush=True)
    return row


def _reaped() -> bool:
    try:
        os.wait()
    except ChildProcessError:
        return False
    return True


def _cpu() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
