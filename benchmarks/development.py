"""Measurements for choosing the settings of self-training and for fitting the guard.

    python benchmarks/development.py constants  # accuracy of neighbour agreement and frequencies
    python benchmarks/development.py settings   # one change at a time
    python benchmarks/development.py part       # learning a part of the images and classes
    python benchmarks/development.py guard      # evidence and true gains, for fit_guard.py

Uses the development sets only (development_sets.py): no handwritten digits, and no dataset that a
report of this project shows.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cases import Case
from compared import SELF_TRAINED
from development_sets import development_cases, guard_cases
from parallel import in_parallel
from scipy.special import softmax

from lpclip.methods.kinds import self_training
from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.labelling.structure import Structure
from lpclip.methods.training.guarded import train_guarded
from lpclip.methods.training.self_training import self_train
from lpclip.storage.probes import Probes, between

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
RESULTS = Path(__file__).parent / "results"
KEPT = Path(__file__).parents[1] / "cache/development"


def accuracy(case: Case, weight: Any, bias: Any) -> float:
    logits = case.head.scale * (case.test.clean @ weight.T) + bias
    return float(np.mean(logits.argmax(axis=1) == case.test.labels))


def gain(case: Case, probes: Probes, strength: float, number: int = -1) -> float:
    """Return the accuracy minus zero-shot's, mean over seeds."""
    zero = probes.weight[0, 0], probes.bias[0, 0]
    return float(
        np.mean(
            [
                accuracy(case, between(zero[0], weight, strength), between(zero[1], bias, strength))
                - accuracy(case, *zero)
                for weight, bias in zip(probes.weight[number], probes.bias[number], strict=True)
            ]
        )
    )


def changes() -> Iterator[tuple[str, Settings]]:
    """Yield the recommended settings, then each variant with one change."""
    base = Settings()
    yield "recommended", base
    labelling: dict[str, tuple[Any, ...]] = {
        "prior": ("none", "align", "sinkhorn"),
        "prior_radius": (0.2, 0.6),
        "structure": (0.0, 0.3, 1.0),
        "temperature": (1.0,),
        "threshold": (0.0, 0.3, 0.7, 0.9),
        "class_floor": (0.0, 0.6),
        "labels": ("soft",),
    }
    rounds: dict[str, tuple[Any, ...]] = {
        "rounds": (1, 2, 5, 8),
        "class_weighting": (0.0, 1.0),
        "student_view": ("strong", "weak"),
        "start": ("previous",),
    }
    optimisation: dict[str, tuple[Any, ...]] = {
        "epochs": (5, 10, 40),
        "learning_rate": (1e-4, 1e-3, 3e-3),
    }
    for key, value in _each(labelling):
        yield f"{key} {value}", replace(base, labelling=replace(base.labelling, **{key: value}))
    for key, value in _each(rounds):
        yield f"{key} {value}", replace(base, **{key: value})
    for key, value in _each(optimisation):
        changed = replace(base.optimisation, **{key: value})
        yield f"{key} {value}", replace(base, optimisation=changed)


def _each(choices: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, values in choices.items() for value in values)


def compare_settings(case: Case, only: Sequence[str] = ("",)) -> list[dict[str, Any]]:
    """Return one row of gains per change whose name starts with one of ``only``."""
    rows = []
    for change, settings in changes():
        if not change.startswith(("recommended", *only)):
            continue
        probes = self_train(case.head, case.adapt.pool(settings), settings, [0])
        row = {f"gain_{strength:g}": gain(case, probes, strength) for strength in STRENGTHS}
        rows.append({"case": case.name, "change": change, **row})
    return rows


def gather_evidence(case: Case) -> list[dict[str, Any]]:
    """Return the guard's evidence and the true gain, one row per candidate and strength."""
    candidates = {
        name: SELF_TRAINED[name] for name in ("lp_clip_auto", "lp_clip_balanced", "lp_clip")
    }
    heads: dict[str, Probes] = {}
    table = train_guarded(case.head, case.adapt.pool, candidates, [0], keep=heads.update).guard
    assert table is not None
    rows = table.drop(columns=["decision", "chosen_candidate", "chosen_strength"])
    rows["gain"] = [
        gain(case, heads[candidate], strength)
        for candidate, strength in zip(rows["candidate"], rows["strength"], strict=True)
    ]
    zero = heads["lp_clip_auto"]
    shown = rows.assign(
        case=case.name, zero_shot=accuracy(case, zero.weight[0, 0], zero.bias[0, 0])
    )
    return shown.to_dict("records")


def compare_parts(case: Case) -> list[dict[str, Any]]:
    """Return gains of self-training with and without the choice of classes and images."""
    rows = []
    for classes, images in (
        ("all", "all"),
        ("supported", "all"),
        ("all", "in_distribution"),
        ("supported", "in_distribution"),
    ):
        base = Settings()
        labelling = replace(base.labelling, classes=classes, images=images)
        settings = replace(base, labelling=labelling)
        probes = self_train(case.head, case.adapt.pool(settings), settings, [0])
        row = {f"gain_{strength:g}": gain(case, probes, strength) for strength in STRENGTHS}
        rows.append({"case": case.name, "classes": classes, "images": images, **row})
    return rows


def constants(case: Case) -> list[dict[str, Any]]:
    """Return zero-shot's accuracy on the adapt set, two estimates of it, and frequency errors."""
    structure = Structure(case.adapt.weak)
    logits = case.head.scale * (case.adapt.weak @ case.head.weight.T)
    probabilities = softmax(logits, axis=-1).mean(axis=0)
    predicted = logits.mean(axis=0).argmax(axis=-1)
    known = case.adapt.labels >= 0
    true = np.bincount(case.adapt.labels[known], minlength=len(case.head.weight)) / known.sum()
    frequencies = probabilities[known].mean(axis=0)
    confidence = probabilities.max(axis=-1)
    return [
        {
            "case": case.name,
            "accuracy": np.mean(predicted[known] == case.adapt.labels[known]),
            "agreement": structure.agreement(predicted),
            "confidence": confidence.mean(),
            "radius": np.abs(frequencies - true).sum() / 2 / (1 - confidence[known].mean()),
        }
    ]


PARTS: dict[str, Callable[[Case], list[dict[str, Any]]]] = {
    "constants": constants,
    "settings": compare_settings,
    "part": compare_parts,
    "guard": gather_evidence,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--every", type=int, default=1, help="use every n-th case")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for features of the sets")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        help="settings: only changes that start with one of these",
    )
    options = parser.parse_args()
    part = PARTS[options.part]
    if options.part == "settings":
        part = partial(compare_settings, only=options.only)
    made = guard_cases if options.part in ("guard", "part") else development_cases
    chosen = list(islice(made(options.keep), 0, None, options.every))
    found = [row for rows in in_parallel(part, chosen) for row in rows]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"development_{options.part}.csv"
    pd.DataFrame(found).to_csv(path, index=False, float_format="%.4f")
    print(f"wrote {path}; {self_training.__name__} defaults: {asdict(Settings())}")


if __name__ == "__main__":
    main()
