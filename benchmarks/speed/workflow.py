"""Overhead of the workflow: a profile of the default run, and the start-up of stages.

    python benchmarks/speed/workflow.py

Runs the default once, in a folder of its own. Writes ``profile.csv`` and ``stages.csv`` to
``results/``. ``dry_run.py`` times what Snakemake itself takes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from default_run import REPOSITORY, copy_workflow
from dry_run import snakemake
from measure import write

from lpclip.cli.stages import STAGES


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "").parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "default")
        copy_workflow(folder, REPOSITORY)
        snakemake(folder, REPOSITORY, "--cores", "all")
        write(profile(folder), "profile")
    write(list(map(start_up, ["nothing", *STAGES])), "stages")


def profile(folder: Path) -> list[dict[str, Any]]:
    """Return the seconds of every rule, from Snakemake's benchmark files."""
    seconds = pd.DataFrame(
        {
            "rule": path.relative_to(folder / "logs").parts[0].removesuffix(".tsv"),
            "seconds": pd.read_csv(path, sep="\t")["s"].sum(),
        }
        for path in benchmark_files(folder)
    )
    table = seconds.groupby("rule")["seconds"].agg(["count", "sum", "max"])
    table["share"] = table["sum"] / table["sum"].sum()
    table = table.sort_values("sum", ascending=False).reset_index()
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def benchmark_files(folder: Path) -> list[Path]:
    """Return Snakemake's benchmark files, one per job."""
    files = (folder / "logs").rglob("*.tsv")
    return [path for path in files if not path.name.endswith(".timings.tsv")]


def start_up(stage: str) -> dict[str, Any]:
    """Return the seconds until a stage has finished its imports, and whether it imports PyTorch."""
    module = STAGES[stage].function.partition(":")[0] if stage in STAGES else "sys"
    code = f"import sys, {module}; print('torch' in sys.modules)"
    taken, found = [], ""
    for _ in range(3):
        start = time.perf_counter()
        found = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout
        taken.append(time.perf_counter() - start)
    return {"stage": stage, "start_up_s": median(taken), "torch": found.strip() == "True"}


if __name__ == "__main__":
    main()
