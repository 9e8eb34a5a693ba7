"""A benchmark whose images are small squares of noise: all that the explorer reads, in a second."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lpclip.data.index import index_samples
from lpclip.data.thumbnails import thumbnails
from lpclip.evaluation.layout import layout
from lpclip.methods.train import train_probe
from lpclip.reporting.explorer.stage import explorer
from lpclip.storage.features import write_features
from lpclip.storage.probes import read_probes, write_probes
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.storage.text import write_text

NAMES = ("cat", "dog", "</script><b>cow\u2028")
SETS = {"pool": 40, "test": 60, "far": 20}
MODEL = {"model": "noise", "weights": "0"}
_PLACE = ("class_names", "seeds", "scale", "n_labels", "strong_policy", "student_view", "predicts")


def write_explored(folder: Path, *, n_rounds: int = 3) -> dict[str, Any]:
    """Write indices, caches, thumbnails, probes and the layout; return arguments of `explorer`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((len(NAMES), 16), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    write_text(
        folder / "text.h5",
        features=centres,
        class_names=NAMES,
        provenance={**MODEL, "scale": 10.0, "bias": 0.0},
    )
    for name, n in SETS.items():
        _write_set(folder, name, n, centres, rng)
    layout(
        text=folder / "text.h5",
        adapt=folder / "pool.h5",
        test=folder / "test.h5",
        ood=[folder / "far.h5"],
        output=folder / "layout.h5",
        benchmark="animals",
    )
    zero_shot = folder / "zero_shot.h5"
    train_probe(
        text=folder / "text.h5", output=zero_shot, benchmark="animals", method="zero_shot",
        kind="zero_shot", seeds=(5,), settings={},
    )  # fmt: skip
    heads, provenance = read_probes(zero_shot)
    weight = np.repeat(heads.weight, n_rounds + 1, axis=0)
    weight[1:] += rng.normal(scale=0.2, size=weight[1:].shape)
    rounds = [heads.rounds.assign(round=number) for number in range(n_rounds + 1)]
    learned = replace(
        heads,
        weight=weight,
        bias=np.repeat(heads.bias, n_rounds + 1, axis=0),
        rounds=pd.concat(rounds, ignore_index=True),
    )
    kept = {key: value for key, value in provenance.items() if key not in _PLACE}
    names = {"method": "learned", "method_kind": "self_training"}
    write_probes(folder / "learned.h5", learned, {**kept, **names})
    return {
        "layouts": [folder / "layout.h5"],
        "probes": [zero_shot, folder / "learned.h5"],
        "features": [folder / f"{name}.h5" for name in SETS],
        "samples": [folder / "pool_samples.h5", folder / "test_samples.h5"],
        "thumbnails": [folder / f"{name}_thumbnails.h5" for name in SETS],
    }


def _write_set(folder: Path, name: str, n: int, centres: Any, rng: np.random.Generator) -> None:
    labels = rng.integers(len(NAMES), size=n)
    np.save(folder / f"{name}.npy", rng.integers(256, size=(n, 12, 12, 3), dtype=np.uint8))
    np.save(folder / f"{name}_labels.npy", labels if name == "test" else np.full(n, -1))
    images = {"kind": "arrays", "path": str(folder / f"{name}.npy")}
    labelled = {"labels": str(folder / f"{name}_labels.npy"), "class_names": list(NAMES)}
    source = {**images, **labelled} if name == "test" else images
    samples = folder / f"{name}_samples.h5"
    index_samples(output=samples, dataset=name, source=source)
    rows = read_samples(samples, labels=False)
    noise = rng.normal(scale=0.45, size=(n, 16))
    write_features(
        folder / f"{name}.h5",
        samples=rows,
        versions={"clean": 0},
        parts=[(centres[labels] * (name != "far") + noise).astype(np.float16)[None]],
        provenance={
            **MODEL,
            "dataset": name,
            "index": fingerprint(rows),
            "views": json.dumps({"clean": {}}),
        },
    )
    thumbnails(samples=samples, output=folder / f"{name}_thumbnails.h5", source=images)


def explored_page(folder: Path, **changes: Any) -> Path:
    """Write all of it and the page; return the page."""
    explorer(**{**write_explored(folder), **changes}, output=folder / "explorer.html")
    return folder / "explorer.html"
