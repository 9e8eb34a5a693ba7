"""Overhead of the workflow: dry runs, start-up of stages, and a profile of the default run.

    python benchmarks/speed/workflow.py

Runs the default once (in ``cache/speed/default``), and a copy of it with enough methods for 2,000
jobs, in which the command ``lpclip`` only creates its files: the remaining time is Snakemake's own.
Writes ``workflow.csv``, ``stages.csv`` and ``profile.csv`` to ``results/``.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any

import pandas as pd
import yaml
from measure import write

from lpclip.cli.stages import STAGES

REPOSITORY = Path(__file__).parents[2]
JOBS, JOBS_PER_METHOD = 2000, 11
# A shell function overrides the command; `report` has no output arguments.
NOTHING = """
lpclip() {
  if [ "$1" = report ]; then touch REPORT; return; fi
  while [ $# -gt 0 ]; do
    case $1 in
      --output|--curves|--per-class|--confusion|--reliability|--predictions) touch "$2" ;;
    esac
    shift
  done
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "cache/speed")
    parser.add_argument("--jobs", type=int, default=JOBS)
    options = parser.parse_args()
    default = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    rows = [measure_graph(options.work / "default", default, limit=3.0)]
    write(profile(options.work / "default"), "profile")
    for number in range(options.jobs // JOBS_PER_METHOD - len(default["methods"])):
        default["methods"][f"method_{number}"] = default["methods"]["lp_clip"]
    rows.append(measure_graph(options.work / "large", default, limit=20.0, pretend=True))
    write(rows, "workflow")
    write(list(map(start_up, ["nothing", *STAGES])), "stages")


def measure_graph(
    folder: Path, config: dict[str, Any], *, limit: float, pretend: bool = False
) -> dict[str, Any]:
    """Finish a graph of jobs, then time a dry run, in which nothing is left to do."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    environment = dict(os.environ)
    if pretend:
        report = (REPOSITORY / "workflow/rules/report.smk").read_text()
        files = re.findall(r'"(results/[\w./]+)",$', report, flags=re.MULTILINE)
        (folder / "nothing.sh").write_text(NOTHING.replace("REPORT", " ".join(files)))
        environment["BASH_ENV"] = str((folder / "nothing.sh").resolve())
    first, _ = snakemake(folder, ["--cores", "all"], environment)
    taken, busy = zip(
        *(snakemake(folder, ["--dry-run"], environment) for _ in range(3)), strict=True
    )
    jobs = len(benchmark_files(folder))
    return {
        "run": folder.name,
        "jobs": jobs,
        "run_s": first if first > 2 * taken[0] else float("nan"),  # else it was already finished
        "dry_run_s": median(taken),
        "dry_run_processor_s": median(busy),
        "at_most": limit,
    }


def snakemake(
    folder: Path, arguments: Sequence[str], environment: dict[str, str]
) -> tuple[float, float]:
    """Run Snakemake; return elapsed seconds and processor seconds."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    start, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    with (folder / "snakemake.log").open("w") as log:
        subprocess.run([*command, *arguments], check=True, env=environment, stdout=log, stderr=log)
    after = getrusage(RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, busy


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
