"""Timings to compare: variants take turns in one run, so that what disturbs one disturbs all."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

RESULTS = Path(__file__).parents[1] / "results"


def seconds_of(
    variants: Mapping[str, Callable[[], object]], *, repeats: int = 7, warm_up: int = 1
) -> dict[str, float]:
    """Median seconds of each variant over so many turns of all, after some that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warm_up + repeats):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            if turn >= warm_up:
                taken[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in taken.items()}


class Peer:
    """Another package in a process and an environment of its own, which answers lines with numbers.

    Attributes:
        ready: the first line that it says: what it is.
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

    def ask(self, line: str) -> float:
        """Its answer; nan, and its reason on the screen, where it has none."""
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
            raise SystemExit("The peer ended; its last words are above.")
        return answer


def machine(device: str = "cpu") -> str:
    """What the figures were measured on."""
    if device != "cpu":
        import torch

        return str(torch.cuda.get_device_name(device))
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores"


def write(rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """Write ``results/{name}.csv`` and show it."""
    table = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.4g")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
