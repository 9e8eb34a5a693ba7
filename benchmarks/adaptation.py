"""The battery: what every label-free method gains or loses, on tidy and on untidy unlabelled sets.

    python benchmarks/adaptation.py                     # digits and many classes
    python benchmarks/adaptation.py --features FOLDER   # and genuine CLIP features
    python benchmarks/adaptation.py --features FOLDER --only whurs19 --again lp_clip_guarded

Every case is run with 5 seeds, which also sample the images of the unlabelled set. Finished methods
of a case are kept in a folder and not run again. Writes results/adaptation.csv (a row per case,
method and seed), results/adaptation_ood.csv (digits) and results/adaptation_guard.csv (what was
shipped), all of the finished cases, and prints a summary.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from adaptation_tables import THEMSELVES, report
from cases import Case, Study
from compared import (
    GUARDED,
    PEERS,
    POOL_ALONE,
    SEEDED,
    SELF_TRAINED,
    SUPERVISED,
    ZERO_SHOT,
    Head,
    Prediction,
    logits,
    predict,
    zero_shot,
)
from digits import digit_studies
from genuine import genuine_studies
from many_classes import many_class_studies
from measures import measure, paired_interval
from parallel import in_parallel

from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.ood_scores import max_logit, mcm
from lpclip.storage.features import normalise
from lpclip.storage.probes import between
from lpclip.types import FloatArray
from lpclip.utils.atomic import atomic_path

RESULTS = Path(__file__).parent / "results"
KEPT = Path(__file__).parents[1] / "cache/adaptation"
METHODS = (ZERO_SHOT, *SELF_TRAINED, GUARDED, *PEERS, SUPERVISED)
_OF_ALL_ROWS = ("decision", "chosen_candidate", "chosen_strength")  # of a guard's table
HALF_WAY = "half-way to auto"


@dataclass(frozen=True)
class Options:
    """What is run.

    Attributes:
        features: folder of genuine features, or None.
        keep: folder of finished parts, and of the digits' features.
        methods: those that are run.
        seeds: how many.
    """

    features: Path | None
    keep: Path
    methods: tuple[str, ...]
    seeds: int

    def seeds_of(self, study: Study) -> range:
        """Return the seeds that a case is run with."""
        return range(min(self.seeds, study.most_seeds))

    def path(self, study: Study, method: str) -> Path:
        """Return the file of a finished method of a case."""
        case = re.sub(r"[^\w.%-]+", "_", f"{study.table} {study.name}")
        return self.keep / "results" / case / f"{method}.json"


@cache
def studies(options: Options) -> dict[str, Study]:
    """Return every case by table and name, those that take longest first."""
    found = [*many_class_studies()]
    if options.features is not None:
        found += genuine_studies(options.features)
    found += digit_studies(options.keep / "features")
    return {f"{study.table}: {study.name}": study for study in found}


def methods_of(study: Study, options: Options) -> list[str]:
    """Return the methods that are run on a case."""
    left_out = {*study.without}
    if "pool" not in study.tested_on:
        left_out |= {*POOL_ALONE}
    if study.table != "digits":
        left_out |= {SUPERVISED}
    return [name for name in METHODS if name in options.methods and name not in left_out]


def run_study(task: tuple[str, Options]) -> None:
    """Run the methods of a case that are not finished, and keep their results."""
    name, options = task
    study = studies(options)[name]
    sampled: dict[int, Case] = {}
    for method in methods_of(study, options):
        if _finished(study, method, options) is not None:
            continue
        found = _run_method(study, method, options, sampled)
        path = options.path(study, method)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as unfinished:
            unfinished.write_text(json.dumps(found, default=float))


def _finished(study: Study, method: str, options: Options) -> dict[str, Any] | None:
    """Return kept results, None if there are none of these seeds."""
    path = options.path(study, method)
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found if found["seeds"] == [*options.seeds_of(study)] else None


def _run_method(
    study: Study, method: str, options: Options, sampled: dict[int, Case]
) -> dict[str, Any]:
    """Return the rows of accuracy, of detection and of the guard, for every seed."""
    rows: list[dict[str, Any]] = []
    ood: list[dict[str, Any]] = []
    guard: list[dict[str, Any]] = []
    differences: dict[str, list[FloatArray]] = {part: [] for part in study.tested_on}
    prediction, seconds = Prediction(None), 0.0
    seeds = options.seeds_of(study)
    for seed in seeds:
        key = seed if study.sampled else 0
        if key not in sampled:
            sampled[key] = study.sample(seed)
        case = sampled[key]
        if seed == 0 or study.sampled or method in SEEDED:
            started = process_time()
            prediction = predict(method, case, study.change, seed)
            seconds = process_time() - started
        for part in study.tested_on:
            probabilities = prediction.probabilities(case, part)
            if probabilities is not None:
                row, difference = measure(case, probabilities, part)
                differences[part].append(difference)
                rows.append({"part": part, "seed": seed, **row, "seconds": seconds})
        ood += [{"seed": seed, **row} for row in _detection(method, case, prediction)]
        if prediction.guard is not None:
            # Pandas' own types to Python's.
            records = json.loads(prediction.guard.to_json(orient="records"))
            guard += [{"seed": seed, **record} for record in records]
    for part, each in differences.items():
        if len({len(one) for one in each}) == 1:
            low, high = paired_interval(np.array(each))
            own = (row for row in rows if row["part"] == part)
            for row in own:
                row.update(gain_low=low, gain_high=high)
    return {"seeds": [*seeds], "rows": rows, "ood": ood, "guard": guard}


def _detection(method: str, case: Case, prediction: Prediction) -> Iterator[dict[str, Any]]:
    """Yield how well a head detects OOD images, and one half-way to lp_clip_auto."""
    if prediction.head is None or method in PEERS:
        return
    heads = {method: prediction.head}
    if method == "lp_clip_auto":
        (weight, bias), (text, zero) = prediction.head, zero_shot(case.head)
        heads[HALF_WAY] = between(text, weight, 0.5), between(zero, bias, 0.5)
    for group, images in case.ood.items():
        for name, head in heads.items():
            inside, outside = (_scores(case, values.clean, head) for values in (case.test, images))
            for score in inside:
                metrics = detection_metrics(inside[score], outside[score])
                yield {"method": name, "group": group, "score": score, **metrics}


def _scores(case: Case, values: FloatArray, head: Head) -> dict[str, FloatArray]:
    return {
        "max_logit": max_logit(logits(case, values, head)),
        "mcm": mcm(values @ normalise(head[0]).T),
    }


def gather(options: Options) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return accuracy, detection and what was shipped, of all that is finished."""
    rows, ood, shipped = [], [], []
    for study in studies(options).values():
        case = {"table": study.table, "images": study.images, "pool": study.pool}
        for method in methods_of(study, replace(options, methods=METHODS)):
            found = _finished(study, method, options)
            if found is None:
                continue
            for row in found["rows"]:
                part = row.pop("part")
                itself = part == "pool" and len(study.tested_on) > 1
                name = f"{study.pool}{THEMSELVES}" if itself else study.pool
                rows.append({**case, "pool": name, "method": method, **row})
            ood += [{"case": study.name, **row} for row in found["ood"]]
            shipped += [{**case, **row} for row in _shipped(found)]
    return pd.DataFrame(rows), pd.DataFrame(ood), pd.DataFrame(shipped)


def _shipped(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the guard shipped for each seed, with its estimate, interval and evidence."""
    for row in found["guard"]:
        if row["candidate"] != row["chosen_candidate"]:
            continue
        shown = {name: value for name, value in row.items() if name not in _OF_ALL_ROWS}
        if not row["chosen_strength"] and row["strength"] == 1:
            # Zero-shot gains nothing for certain; the evidence is that on the most promising head.
            nothing = dict.fromkeys(("strength", "estimated_gain", "gain_low", "gain_high"), 0.0)
            yield {**shown, "candidate": ZERO_SHOT, **nothing}
        elif row["strength"] == row["chosen_strength"]:
            yield shown


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--features", type=Path, help="a folder of .npz of genuine features")
    parser.add_argument("--only", default="", help="cases with this in 'table: name'")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--again", nargs="+", choices=METHODS, default=(), help="run again")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, help="processes, one per core by default")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder of what is finished")
    given = parser.parse_args(arguments)
    options = Options(given.features, given.keep, tuple(given.methods), given.seeds)
    chosen = {name: one for name, one in studies(options).items() if given.only in name}
    for study in chosen.values():
        for method in given.again:
            options.path(study, method).unlink(missing_ok=True)
    waiting = [
        (name, options)
        for name, study in chosen.items()
        if any(_finished(study, method, options) is None for method in methods_of(study, options))
    ]
    in_parallel(run_study, waiting, jobs=given.jobs)
    rows, ood, shipped = gather(options)
    RESULTS.mkdir(exist_ok=True)
    for path, table in (
        ("adaptation", rows),
        ("adaptation_ood", ood),
        ("adaptation_guard", shipped),
    ):
        table.to_csv(RESULTS / f"{path}.csv", index=False, float_format="%.4g")
    print(report(rows, shipped, ood))


if __name__ == "__main__":
    main()
