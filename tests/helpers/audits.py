"""Probes that disagree with zero-shot on many images, the features of these, and labels."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lpclip.data.index import index_samples
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.storage.features import write_features
from lpclip.storage.made_from import recording
from lpclip.storage.probes import Probes, write_probes
from lpclip.storage.samples import fingerprint, read_samples

NAMES = ("cat", "dog", 'Ärger, <b>"x"</b> & co', "plane")
MODEL = {"model": "m", "architecture": "a", "pretrained": "precomputed", "weights": "77c1"}
N, D, SEEDS = 120, 8, (3, 8)


def write_audited(folder: Path, *, stage: str = "train-probe") -> None:
    """Write `images/`, their index `samples.h5`, `clean.h5` with random features, `probes.h5`."""
    random = np.random.default_rng(0)
    pixels = random.integers(256, size=(N, 4, 4, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        path = folder / f"images/{number % 7}/{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    source = {"kind": "folder", "root": str(folder / "images"), "labelled": False}
    index_samples(output=folder / "samples.h5", dataset="pool", source=source)
    rows = read_samples(folder / "samples.h5", labels=False)
    write_features(
        folder / "clean.h5",
        samples=rows,
        versions={"clean": 0},
        parts=[random.normal(size=(1, N, D)).astype(np.float16)],
        provenance={**MODEL, "index": fingerprint(rows), "views": '{"clean": {}}'},
    )
    weight = random.normal(size=(2, len(SEEDS), len(NAMES), D)).astype(np.float32)
    weight[0] = weight[0, 0]
    weight[1] = weight[0] + 0.7 * weight[1]
    probes = Probes(
        weight=weight,
        bias=np.zeros(weight.shape[:-1], np.float32),
        scale=10.0,
        class_names=NAMES,
        seeds=SEEDS,
        rounds=rounds_table([Round(number, seed) for number in (0, 1) for seed in SEEDS]),
    )
    provenance = {**MODEL, "benchmark": "b", "method": "guarded"}
    with recording({"stage": stage, "settings": {}, "inputs": {}}):
        write_probes(folder / "probes.h5", probes, provenance)


def fill(path: Path, labels: dict[int, str], *, output: Path | None = None) -> Path:
    """Fill in labels, by their order, in a copy of a list; return its path."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for order, label in labels.items():
        row = table["order"] == str(order)
        table.loc[row, "label"] = table.loc[row, label] if label in table else label
    output = output or path.with_name("filled.csv")
    table.to_csv(output, index=False)
    return output
