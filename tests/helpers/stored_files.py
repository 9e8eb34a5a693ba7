"""Make the small files of tests/data/stored, by the stages of the workflow.

``python -m tests.helpers.stored_files tests/data/stored/VERSION`` adds those of a new version. The
folders of older versions stay as they are: people have such files, and tests/storage/
test_stored_files.py opens them.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from lpclip.cli.command import main

MODEL = {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"}
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SEEDS = [0, 1]
LABELLING = {
    "temperature": 1,
    "threshold": 0.6,
    "class_floor": 0,
    "structure": 0,
    "prior": "none",
    "classes": "all",
    "images": "all",
}
METHODS: dict[str, dict[str, Any]] = {
    "zero_shot": {"kind": "zero_shot", "settings": {}},
    "lp_clip": {
        "kind": "self_training",
        "settings": {
            "rounds": 1,
            "student_view": "strong",
            "labelling": LABELLING,
            "optimisation": {"epochs": 2},
        },
    },
}


def write_stored_files(folder: Path) -> None:
    """Write caches, probes and reports of ten images; paths in them are relative to the folder."""
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):
        _write_caches()
        for method, made in METHODS.items():
            _write_method(method, made)
        _write_reports()
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in KEPT:
            path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


KEPT = (
    "samples.h5",
    "text.h5",
    "clean.h5",
    "adapt.h5",
    "pseudo_labels.h5",
    "probes.h5",
    "report.csv",
    "report.csv.made_from.json",
    "robustness.csv",
)


def _stage(command: str, settings: dict[str, Any] | None = None, **files: Any) -> None:
    arguments = [command]
    for name, value in files.items():
        several = value if isinstance(value, list) else [value]
        arguments += [f"--{name.replace('_', '-')}", *map(str, several)]
    main([*arguments, "--settings", json.dumps(settings or {})])


def _write_caches() -> None:
    source = {"kind": "digits", "split": "test"}
    text = {"model": MODEL, "class_names": NAMES, "templates": ["a photo of the number {}."]}
    _stage("index-samples", {"dataset": "few", "source": source, "limit": 10}, output="samples.h5")
    _stage("embed-text", text | {"device": "cpu"}, output="text.h5")
    passes: dict[str, dict[str, Any]] = {
        "clean": {"clean": {}},
        "adapt": {"weak": {"versions": 1}, "strong": {"versions": 2}},
        "blur": {"defocus_blur": {"severities": [1, 5]}, "gaussian_blur": {"severities": [1, 5]}},
    }
    for name, views in passes.items():
        settings = {"dataset": "few", "source": source, "model": MODEL, "views": views}
        files = {"samples": "samples.h5", "output": f"{name}.h5"}
        _stage("embed-images", settings | {"device": "cpu"}, **files)
    _stage(
        "pseudo-labels",
        {"labelling": LABELLING},
        text="text.h5",
        features="adapt.h5",
        output="pseudo_labels.h5",
    )


def _write_method(method: str, made: dict[str, Any]) -> None:
    Path(method).mkdir()
    # lp_clip comes last and keeps the name.
    trained = {"pseudo_labels": "pseudo_labels.h5", "adapt": "adapt.h5"}
    probes = Path("probes.h5" if method == "lp_clip" else f"{method}/probes.h5")
    _stage(
        "train-probe",
        {"benchmark": "digits", "method": method, "seeds": SEEDS, **made},
        text="text.h5",
        output=probes,
        **(trained if method == "lp_clip" else {}),
    )
    for name in ("clean", "blur"):
        samples = {"samples": "samples.h5"}
        if name == "blur":
            samples["test_samples"] = "samples.h5"
        output = f"{method}/robustness_{name}.csv"
        _stage("evaluate", probes=probes, features=f"{name}.h5", output=output, **samples)
    outputs = {"per_class": f"{method}/per_class.csv", "confusion": f"{method}/confusion.csv"}
    _stage(
        "evaluate-rounds",
        probes=probes,
        test="clean.h5",
        adapt_samples="samples.h5",
        test_samples="samples.h5",
        output=f"{method}/rounds.csv",
        **outputs,
    )


def _write_reports() -> None:
    parts = {
        name: [f"{method}/{name}.csv" for method in METHODS]
        for name in ("rounds", "per_class", "confusion")
    }
    parts["robustness"] = [
        f"{method}/robustness_{name}.csv" for method in METHODS for name in ("clean", "blur")
    ]
    probes = ["zero_shot/probes.h5", "probes.h5"]
    _stage("report", probes=probes, ood=[], output="reports", **parts)
    for name in ("report.csv", "report.csv.made_from.json", "robustness.csv"):
        Path("reports", name).rename(name)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    write_stored_files(Path(sys.argv[1]))
