"""A small set of images, and so little memory that nothing of it is held."""

import json

import numpy as np
import pandas as pd

from lpclip.storage.features import normalise, write_features
from lpclip.storage.samples import fingerprint, write_samples
from lpclip.storage.text import write_text
from lpclip.utils import memory
from lpclip.utils.memory import DEFAULT_MEMORY_GB, limit_memory

N, V, D, C = 240, 3, 16, 6
MODEL = {"model": "noise", "weights": "0"}


def make_files(folder):
    """Write text, index and caches of images of six classes, a ninth of them of none."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(C, D))
    write_text(
        folder / "text.h5",
        features=normalise((centres + 0.8 * rng.normal(size=(C, D))).astype(np.float32)),
        class_names=[f"class {c}" for c in range(C)],
        provenance={**MODEL, "scale": 20.0, "bias": 0.0},
    )
    labels = rng.integers(C, size=N)
    samples = pd.DataFrame({"id": [f"{n:03d}" for n in range(N)], "path": "x"})
    names = {"class_names": json.dumps([f"class {c}" for c in range(C)])}
    write_samples(
        folder / "samples.h5",
        samples.assign(label=labels.astype(np.int32)),
        {**names, "source": "{}", "dataset": "d", "index": fingerprint(samples)},
    )
    images = centres[labels] + 0.5 * rng.normal(size=(N, D))
    images[::9] = 2 * rng.normal(size=(len(images[::9]), D))  # of no class
    for name, versions, start in (
        ("adapt", {"weak": V, "strong": V}, images),
        ("clean", {"clean": 0}, images),
        ("ood", {"clean": 0}, np.full((N, D), 0.3)),
    ):
        count = sum(versions.values()) or 1
        write_features(
            folder / f"{name}.h5",
            samples=samples,
            versions=versions,
            parts=[(start + 0.2 * rng.normal(size=(count, N, D))).astype(np.float16)],
            provenance={**MODEL, "dataset": "d", "index": fingerprint(samples), "views": "{}"},
        )


def with_little_memory(monkeypatch):
    """Yield a function that leaves too little memory for anything, until the test ends."""

    def leave():
        limit_memory(1e-9)
        monkeypatch.setattr(memory, "BLOCK_BYTES", 1 << 10)

    yield leave
    limit_memory(DEFAULT_MEMORY_GB)
