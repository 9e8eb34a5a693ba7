"""Stages as processes of their own on features that are noise, and the memory that each takes."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lpclip.storage.features import CHUNK_ROWS, normalise, write_features
from lpclip.storage.samples import fingerprint, write_samples
from lpclip.storage.text import write_text

MODEL = {"model": "noise", "weights": "0"}
SEVERITIES = [1, 2, 3, 4, 5]
NOISES = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"]
QUICK = {"optimisation": {"epochs": 1}, "rounds": 1}
METHODS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "zero_shot": ([], {}),
    "self_training": (["pseudo_labels", "adapt"], {**QUICK}),
    "guarded": (["adapt"], {"trained": {"one": QUICK}, "candidates": ["one"]}),
    "supervised": (["clean", "samples"], {"max_iterations": 2, "c_steps": 1}),
    "transclip": (["adapt"], {}),
    "deep_ensemble": (["clean", "samples"], {"optimisation": {"epochs": 1}}),
}


class Scale(NamedTuple):
    """How large a set is."""

    rows: int
    classes: int
    dim: int = 512
    versions: int = 8  # of the weak views, and of the strong ones
    seeds: int = 3


def draw(folder: Path, scale: Scale) -> None:
    """Write images, their index, feature caches and a text cache."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((scale.classes, scale.dim), dtype=np.float32)
    names = [f"class {number}" for number in range(scale.classes)]
    write_text(
        folder / "text.h5",
        features=normalise(centres + rng.standard_normal(centres.shape, dtype=np.float32)),
        class_names=names,
        provenance={**MODEL, "scale": 100.0, "bias": 0.0},
    )
    images = np.zeros((scale.rows, 8, 8, 3), np.uint8)
    np.save(folder / "images.npy", images)
    labels = (np.arange(scale.rows) % scale.classes).astype(np.int32)
    samples = pd.DataFrame(
        {
            "id": [f"{number:07d}" for number in range(scale.rows)],
            "path": [f"images.npy[{number}]" for number in range(scale.rows)],
            "label": labels,
        }
    )
    index = {"dataset": "noise", "index": fingerprint(samples), "class_names": json.dumps(names)}
    write_samples(folder / "samples.h5", samples, index)
    adapt = {"weak": scale.versions, "strong": scale.versions}
    for name, versions in {
        "clean": {"clean": 0},
        "adapt": adapt,
        "noise": dict.fromkeys(NOISES, len(SEVERITIES)),
    }.items():
        views = {
            view: {} if count == 0 else {"severities": SEVERITIES}
            for view, count in versions.items()
        }
        write_features(
            folder / f"{name}.h5",
            samples=samples,
            versions=versions,
            parts=_parts(scale, centres, labels, sum(max(1, count) for count in versions.values())),
            provenance={**MODEL, **index, "views": json.dumps(views)},
        )
    np.save(folder / "features.npy", rng.standard_normal((scale.rows, scale.dim), dtype=np.float32))


def _parts(scale: Scale, centres: Any, labels: Any, versions: int) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    for start in range(0, scale.rows, CHUNK_ROWS):
        of_class = centres[labels[start : start + CHUNK_ROWS]]
        noise = rng.standard_normal((versions, *of_class.shape), dtype=np.float32)
        yield (of_class + 3 * noise).astype(np.float16)


def commands(scale: Scale) -> dict[str, list[str]]:
    """Return the command of every stage, by a name, in an order in which they can run."""
    source = {"kind": "arrays", "path": "images.npy"}
    names = {"benchmark": "noise"}
    files = {name: f"{name}.h5" for name in ("pseudo_labels", "adapt", "clean", "samples")}
    found = {
        "index_samples": _command(
            "index-samples --output made.h5", {"dataset": "noise", "source": source}
        ),
        "pseudo_labels": _command(
            "pseudo-labels --text text.h5 --features adapt.h5 --output pseudo_labels.h5",
            {"labelling": {}, "view": "weak"},
        ),
        "describe_pool": _command(
            "describe-pool --text text.h5 --features adapt.h5 --clean clean.h5 --test clean.h5"
            " --output pool.csv --classes pool_classes.csv",
            {**names, "view": "weak"},
        ),
    }
    for kind, (needs, settings) in METHODS.items():
        options = " ".join(f"--{name.replace('_', '-')} {files[name]}" for name in needs)
        found[f"train_probe {kind}"] = _command(
            f"train-probe --text text.h5 {options} --output {kind}.h5",
            {
                **names,
                "method": kind,
                "kind": kind,
                "seeds": list(range(scale.seeds)),
                "settings": settings,
            },
        )
    probes = "--probes self_training.h5"
    own = f"{probes} --samples samples.h5"
    return found | {
        "estimate_gains": _command(
            "estimate-gains --text text.h5 --features adapt.h5 --probes self_training.h5"
            " --output estimates.csv",
            {
                **names,
                "view": "weak",
                "trained": {"self_training": "auto"},
                "sweeps": {"self_training": "s"},
            },
        ),
        "evaluate clean": _command(f"evaluate {own} --features clean.h5 --output 1.csv", {}),
        "evaluate noise": _command(f"evaluate {own} --features noise.h5 --output 2.csv", {}),
        "evaluate_features": _command(
            "evaluate-features --adapt clean.h5 --test clean.h5 --features clean.h5"
            " --output of_features.csv --curves curves_of_features.csv",
            {},
        ),
        "evaluate_ood": _command(
            f"evaluate-ood {probes} --test clean.h5 --features clean.h5 --of-features"
            " of_features.csv --curves-of-features curves_of_features.csv --output ood.csv"
            " --curves curves.csv",
            {"dataset": "noise", "group": "far"},
        ),
        "evaluate_held_out": _command(
            f"evaluate-held-out {probes} --adapt clean.h5 --output held_out.csv", {}
        ),
        "evaluate_rounds": _command(
            f"evaluate-rounds {probes} --test clean.h5 --test-samples samples.h5 --adapt-samples"
            " samples.h5 --output rounds.csv --per-class classes.csv --confusion confusion.csv",
            {},
        ),
        "evaluate_samples": _command(
            f"evaluate-samples {own} --features clean.h5 noise.h5 --output comparisons.csv"
            " --reliability reliability.csv --predictions predictions.h5",
            {"test": "noise", "shifts": []},
        ),
        "predictions": _command("predictions --parts predictions.h5 --output all.h5", {}),
        "thumbnails": _command(
            "thumbnails --samples samples.h5 --output thumbnails.h5", {"source": source}
        ),
        "layout": _command(
            "layout --text text.h5 --adapt clean.h5 --test clean.h5 --output layout.h5", names
        ),
        "explorer": _command(
            f"explorer --layouts layout.h5 {probes} --features clean.h5 --samples samples.h5"
            " --thumbnails thumbnails.h5 --output explorer.html",
            {},
        ),
    }


def _command(text: str, settings: dict[str, Any]) -> list[str]:
    return [*text.split(), "--settings", json.dumps(settings), "--threads", "1"]


# The process reports its own peak: a parent's counts the parent's memory when it forked.
_REPORTING = """
import atexit, re
from pathlib import Path
from lpclip.cli import main
peak = lambda: re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print(peak()))
main()
"""


def peak_mb(folder: Path, command: Sequence[str]) -> float:
    """Run a command of lpclip and return its peak memory, in MB (1e6 bytes)."""
    arguments = [sys.executable, "-c", _REPORTING, *command]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1]) * 1024 / 1e6
