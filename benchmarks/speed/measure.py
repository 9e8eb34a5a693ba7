"""Comparable timings: variants take turns in one run, so that a disturbance affects all."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

RESULTS = Path(__file__).parents[1] / "results"
# As /proc/cpuinfo names them; convolutions and matrix products take the last one that there is.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def seconds_of(
    variants: Mapping[str, Callable[[], object]], *, repeats: int = 7, warm_up: int = 1
) -> dict[str, float]:
    """Return the median seconds of each variant over ``repeats`` turns, after warm-up turns."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warm_up + repeats):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if turn >= warm_up:
                taken[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in taken.items()}


def peak_of(script: str, stage: str, work: str) -> tuple[float, float, float]:
    """Run one stage of a script in a process of its own.

    Returns its peak (GB), and its seconds of the clock and of the processor.

    Args:
        script: file that calls ``run_stage`` where it is started with ``--stage``.
        stage: its name.
        work: folder of its files.
    """
    start = time.perf_counter()
    command = [sys.executable, script, "--stage", stage, "--work", work]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    peak, processor = map(float, found.stdout.split())
    return peak / 1e9, time.perf_counter() - start, processor


def run_stage(stage: Callable[[Path], None], work: Path) -> None:
    """Run a stage; print the peak memory of this process in bytes, and its processor's seconds."""
    stage(work)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_maxrss * 1024, used.ru_utime + used.ru_stime)


class Peer:
    """Another package in a separate process and environment, which replies to lines with numbers.

    Attributes:
        ready: the first line that it prints, with versions.
    """

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, **environment},
        )
        self.ready = self._read()

    def request(self, line: str) -> float:
        """Send a line and return the number; after an error, print the reason and return nan."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        answer = self._read()
        if answer.startswith("error: "):
            print(f"The peer cannot run '{line}': {answer[7:]}")
            return float("nan")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise SystemExit("The peer ended; its last output is above.")
        return answer


def machine(device: str = "cpu") -> str:
    """Return the hardware of the measurement: the GPU, or the processor and its cores."""
    if device != "cpu":
        import torch

        return str(torch.cuda.get_device_name(device))
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def write(rows: Sequence[Mapping[str, Any]], name: str, *, key: Sequence[str] = ()) -> None:
    """Write ``results/{name}.csv`` and print the rows; ``machine`` is added if it is missing.

    With the columns of a key, earlier rows stay that differ from the new ones in one of them.
    """
    table = pd.DataFrame([{"machine": machine(), **row} for row in rows])
    table.insert(len(table.columns) - 1, "machine", table.pop("machine"))
    save(table, RESULTS / f"{name}.csv", key=key)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


def save(table: pd.DataFrame, path: Path, *, key: Sequence[str] = ()) -> None:
    """Write a table as CSV; ``key`` as in ``write``."""
    if key and path.exists():
        table = pd.concat([pd.read_csv(path), table]).drop_duplicates(key, keep="last")
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False, float_format="%.4g")


def _processor() -> str:
    """Return name, number and the instructions that matter: virtual machines hide the full name."""
    text, _, _ = Path("/proc/cpuinfo").read_text().partition("\n\n")
    found = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    if "model name" not in found:
        return platform.processor()
    flags = [flag for flag in INSTRUCTIONS if flag in found.get("flags", "").split()]
    number = f"family {found.get('cpu family')}, model {found.get('model')}"
    return f"{found['model name']} ({number}; {', '.join(flags)})"
