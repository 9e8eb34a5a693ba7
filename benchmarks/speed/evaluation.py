"""Time to evaluate one probe on clean and 95 corrupted sets, every metric with its interval.

    python benchmarks/speed/evaluation.py

Calls the stage ``evaluate`` as the workflow does, with a job for the clean test set and one per
family of corruptions: two jobs at once, as on two cores, and one after another. The start-up of
processes is not counted. Writes ``results/evaluation.csv``.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from measure import write

from lpclip.evaluation.robustness import evaluate
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.features import normalise, write_features
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.samples import fingerprint, write_samples
from lpclip.transforms.corruptions.registry import FAMILIES, SEVERITIES

MODEL = {"model": "model", "weights": "none"}
SCALE, SECONDS = 100.0, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        passes = make_files(folder, options.samples, options.dim, options.classes)
        one = partial(evaluate_pass, folder)
        jobs = ("two at once", "one after another", "one after another, processor time")
        taken: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(options.repeats):
            context = get_context("spawn")
            with ProcessPoolExecutor(2, context, context.Barrier(2).wait) as pool:
                list(pool.map(len, [(), ()]))  # both have finished their imports
                start = time.perf_counter()
                list(pool.map(one, passes))
                taken[jobs[0]].append(time.perf_counter() - start)
            start, busy = time.perf_counter(), time.process_time()
            list(map(one, passes))
            taken[jobs[1]].append(time.perf_counter() - start)
            taken[jobs[2]].append(time.process_time() - busy)
        sets = sum(len(pd.read_csv(folder / f"{name}.csv")) for name in passes)
    write(
        [
            {
                "jobs": name,
                "sets": sets,
                "samples": options.samples,
                "seconds": float(np.median(seconds)),
                "at_most": SECONDS,
            }
            for name, seconds in taken.items()
        ],
        "evaluation",
    )


def evaluate_pass(folder: Path, name: str) -> None:
    evaluate(
        probes=folder / "probes.h5",
        features=folder / f"{name}.h5",
        samples=folder / "samples.h5",
        output=folder / f"{name}.csv",
    )


def make_files(folder: Path, n: int, dim: int, n_classes: int) -> Sequence[str]:
    """Write features with more and more noise around class means; return jobs, largest first."""
    draw = np.random.default_rng(0)
    means = normalise(draw.standard_normal((n_classes, dim)).astype(np.float32))
    labels = draw.integers(0, n_classes, n)
    noise = normalise(draw.standard_normal((n, dim)).astype(np.float32))
    names = [str(number) for number in range(n_classes)]
    samples = pd.DataFrame({"id": [f"{row:06d}" for row in range(n)], "path": "", "label": labels})
    index = {"dataset": "test", "index": fingerprint(samples)}
    source = {"class_names": json.dumps(names), "source": json.dumps({"kind": "folder"})}
    write_samples(folder / "samples.h5", samples, {**index, **source})
    for family, views in {"clean": ("clean",), **FAMILIES}.items():
        versions = {view: len(SEVERITIES) for view in views} if family != "clean" else {"clean": 0}
        settings = {
            view: {"severities": SEVERITIES} if count else {} for view, count in versions.items()
        }
        values = np.stack(
            [
                (0.25 * means[labels] / (1 + number % 5) + np.roll(noise, number, 0)).astype(
                    np.float16
                )
                for number in range(sum(max(1, count) for count in versions.values()))
            ]
        )
        write_features(
            folder / f"{family}.h5",
            samples=samples,
            versions=versions,
            parts=[values],
            provenance={**MODEL, **index, "views": json.dumps(settings)},
        )
    probes = Probes(
        weight=np.repeat(means[None, None], 2, axis=0),
        bias=np.zeros((2, 1, n_classes), np.float32),
        scale=SCALE,
        class_names=tuple(names),
        seeds=(0,),
        rounds=rounds_table([Round(number, 0) for number in (0, 1)]),
    )
    write_probes(
        folder / "probes.h5", probes, {**MODEL, "benchmark": "benchmark", "method": "method"}
    )
    return [*FAMILIES, "clean"]


if __name__ == "__main__":
    main()
