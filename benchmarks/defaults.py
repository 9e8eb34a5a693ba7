"""Choose the settings of self-training on rendered digits: one change at a time.

    python benchmarks/defaults.py

writes benchmarks/results/defaults.csv. Handwritten digits are never read.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL.Image import Resampling
from scipy.special import softmax
from tqdm import tqdm

from lpclip import cache
from lpclip.data import open_source
from lpclip.embed_images import embed_images
from lpclip.embed_text import embed_text
from lpclip.index_samples import index_samples
from lpclip.methods import Inputs, self_training
from lpclip.metrics import accuracy, expected_calibration_error
from lpclip.model_spec import ModelSpec
from lpclip.pseudo_labels import Labelling, pseudo_labels
from lpclip.student import Optimisation
from lpclip.train import read_head

MODEL = ModelSpec("tiny", "lpclip-tiny", "embedded")
CLASS_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEMPLATES = [
    "a photo of the number {}.",
    "an image of the number {}.",
    "a drawing of the number {}.",
]
SEEDS = (0, 1, 2)
DEFAULT = self_training.Settings()
LABELLINGS = {"confident": Labelling(), "aligned": Labelling(prior="align")}


def changes() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "default", {}
    for key, values in {
        "threshold": (0.0, 0.3, 0.7, 0.9),
        "labels": ("soft",),
        "rounds": (1, 3, 8),
        "epochs": (5, 50),
        "learning_rate": (3e-4, 3e-3),
        "start": ("previous",),
        "student_view": ("weak",),
    }.items():
        for value in values:
            yield f"{key} {value}", {key: value}
    yield "sinkhorn, threshold 0", {"prior": "sinkhorn", "threshold": 0.0}


def settings(labelling: Labelling, change: dict[str, Any]) -> self_training.Settings:
    def own(cls: type) -> dict[str, Any]:
        return {key: value for key, value in change.items() if key in cls.__dataclass_fields__}

    return replace(
        DEFAULT,
        labelling=replace(labelling, **own(Labelling)),
        optimisation=replace(DEFAULT.optimisation, **own(Optimisation)),
        **own(self_training.Settings),
    )


def embed(
    folder: Path, name: str, seed: int, shape: argparse.Namespace, views: dict[str, Any]
) -> Path:
    """Draw turned digits as image files, one folder per class, and embed them."""
    settings = {"characters": "digits", "n": 900, "seed": seed, "distortion": shape.distortion}
    glyphs = open_source("glyphs", settings)
    for sample in glyphs.samples():
        path = folder / name / "images" / glyphs.class_names[sample.label] / f"{sample.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        turned = glyphs.read(sample.path).rotate(shape.rotation, resample=Resampling.BICUBIC)
        turned.save(path)
    source = {"kind": "folder", "root": str(folder / name / "images")}
    index = folder / name / "samples.h5"
    index_samples(output=index, dataset=name, source=source)
    output = folder / name / "features.h5"
    embed_images(
        samples=index, output=output, dataset=name, source=source, model=MODEL, views=views
    )
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--distortion", type=float, default=1.0, help="of the rendered digits")
    parser.add_argument("--rotation", type=float, default=35.0, help="of all digits, in degrees")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results/defaults.csv"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        views = {"weak": {"versions": 8}, "strong": {"versions": 8}}
        adapt = embed(folder, "adapt", 1, options, views)
        test = embed(folder, "test", 2, options, {"clean": {}})
        labels = cache.read_samples(folder / "test/samples.h5", labels=True)["label"].to_numpy()
        text = folder / "text.h5"
        embed_text(output=text, model=MODEL, class_names=CLASS_NAMES, templates=TEMPLATES)
        head, _ = read_head(text)
        values = cache.read_features(test, "clean", expected=head.expected)
        trials = [(name, *change) for name in LABELLINGS for change in changes()]
        for labelling, name, change in tqdm(trials, unit="fits"):
            chosen = settings(LABELLINGS[labelling], change)
            made = folder / "pseudo_labels.h5"
            pseudo_labels(text=text, features=adapt, output=made, labelling=chosen.labelling)
            probes = self_training.fit(head, Inputs(pseudo_labels=made, adapt=adapt), chosen, SEEDS)
            for number in (0, -1) if name == "default" else (-1,):
                rows.append(
                    {
                        "labelling": labelling,
                        "change": "zero-shot" if number == 0 else name,
                        **score(probes, number, values, labels),
                    }
                )
    table = pd.DataFrame(rows)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.output, index=False, float_format="%.4f")
    print(table.to_string(index=False, float_format="%.3f"))
    print(f"defaults: {asdict(DEFAULT)}")


def score(probes: Any, number: int, values: Any, labels: Any) -> dict[str, float]:
    found = []
    for column in range(len(SEEDS)):
        logits = probes.scale * (values @ probes.weight[number, column].T)
        probabilities = softmax(logits + probes.bias[number, column], axis=-1)
        found.append(
            (accuracy(probabilities, labels), expected_calibration_error(probabilities, labels))
        )
    (acc, ece), (spread, _) = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    return {"accuracy": acc, "accuracy_std": spread, "ece": ece}


if __name__ == "__main__":
    main()
