"""Peak memory of labelling and self-training by the number of unlabelled images.

    python benchmarks/speed/training_memory.py

Features are noise around random class centres, 8 weak and 8 strong views; the settings are the
defaults but for one round of one pass, one seed. Each stage runs in its own process, as in the
workflow. Writes ``results/training_memory.csv``: peak resident memory of the process and seconds.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import peak_of, run_stage, write

from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.labelling.pseudo_labels import pseudo_labels
from lpclip.methods.train import train_probe
from lpclip.methods.training.settings import Optimisation
from lpclip.storage.features import CHUNK_ROWS, normalise, write_features
from lpclip.storage.samples import fingerprint
from lpclip.storage.text import write_text
from lpclip.types import FloatArray

DIM, VIEWS = 512, 8
MODEL = {"model": "noise", "weights": "0"}
SETTINGS = Settings(rounds=1, optimisation=Optimisation(epochs=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 25_000, 100_000])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(STAGES[options.stage], options.work)
        return
    rows: list[dict[str, Any]] = []
    for count in options.images:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder), count, options.classes)
            for stage in STAGES:
                peak, seconds = peak_of(__file__, stage, folder)
                rows.append(
                    {
                        "stage": stage,
                        "images": count,
                        "classes": options.classes,
                        "peak_gb": peak,
                        "seconds": seconds,
                    }
                )
                print(rows[-1], flush=True)
    write(rows, "training_memory")


def draw(folder: Path, n_images: int, n_classes: int) -> None:
    """Write the caches of random images and class names."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((n_classes, DIM), dtype=np.float32)
    text = centres + rng.standard_normal(centres.shape, dtype=np.float32)
    write_text(
        folder / "text.h5",
        features=normalise(text),
        class_names=[f"class {index}" for index in range(n_classes)],
        provenance={**MODEL, "scale": 100.0, "bias": 0.0},
    )
    ids = [f"{index:06d}" for index in range(n_images)]
    samples = pd.DataFrame({"id": ids, "path": ids})

    def parts() -> Iterator[FloatArray]:
        for start in range(0, n_images, CHUNK_ROWS):
            n = min(CHUNK_ROWS, n_images - start)
            images = centres[rng.integers(n_classes, size=n)]
            images += 2 * rng.standard_normal(images.shape, dtype=np.float32)
            noise = rng.standard_normal((2 * VIEWS, *images.shape), dtype=np.float32)
            yield (images + noise).astype(np.float16)

    write_features(
        folder / "adapt.h5",
        samples=samples,
        versions={"weak": VIEWS, "strong": VIEWS},
        parts=parts(),
        provenance={**MODEL, "dataset": "noise", "index": fingerprint(samples), "views": "{}"},
    )


def label(work: Path) -> None:
    """Run the stage ``pseudo_labels``."""
    pseudo_labels(
        text=work / "text.h5",
        features=work / "adapt.h5",
        output=work / "labels.h5",
        labelling=SETTINGS.labelling,
    )


def train(work: Path) -> None:
    """Run the stage ``train_probe``."""
    train_probe(
        text=work / "text.h5",
        adapt=work / "adapt.h5",
        pseudo_labels=work / "labels.h5",
        output=work / "probes.h5",
        benchmark="noise",
        method="lp_clip_auto",
        kind="self_training",
        seeds=[0],
        settings={"rounds": 1, "optimisation": {"epochs": 1}},
    )


STAGES = {"pseudo_labels": label, "train_probe": train}

if __name__ == "__main__":
    main()
