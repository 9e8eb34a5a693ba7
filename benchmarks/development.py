"""Choose the settings of self-training, and what the guard's evidence is worth.

    python benchmarks/development.py constants  # how far neighbours and frequencies can be trusted
    python benchmarks/development.py settings   # one change at a time
    python benchmarks/development.py guard      # evidence against true gains, and a fit

Development sets only: characters rendered from fonts, and for the settings simulated features
too. No handwritten digit and no set that a report of this project shows is read.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cases
import numpy as np
import pandas as pd
import torch
from cases import Case
from PIL import Image, ImageFilter
from tqdm import tqdm

from lpclip.cache import normalise
from lpclip.guard import WORTH
from lpclip.methods import ZeroShotHead, guarded, self_training
from lpclip.methods.self_training import Settings, self_train
from lpclip.probes import Probes, between
from lpclip.pseudo_labels import mean_prediction
from lpclip.structure import Structure

RESULTS = Path(__file__).parent / "results"


def small(image: Image.Image) -> Image.Image:
    """The character at half its size."""
    side = image.width
    frame = Image.new("RGB", image.size)
    frame.paste(image.resize((side // 2, side // 2)), (side // 4, side // 4))
    return frame


def thick(image: Image.Image) -> Image.Image:
    """Strokes two pixels wider on each side."""
    return image.filter(ImageFilter.MaxFilter(5))


def thin(image: Image.Image) -> Image.Image:
    """Strokes a pixel narrower on each side."""
    return image.filter(ImageFilter.MinFilter(3))


# What is rendered -> characters, settings of the source `glyphs`, and what is then done to images.
RENDERED: dict[str, tuple[str, dict[str, Any], Callable[[Image.Image], Image.Image] | None]] = {
    "digits turned by 35": ("digits", {"rotation": 35}, None),
    "digits turned by -20": ("digits", {"rotation": -20, "distortion": 1.2}, None),
    "digits turned by -40": ("digits", {"rotation": -40}, None),
    "digits distorted": ("digits", {"distortion": 1.6}, None),
    "digits varied": ("digits", {"style": "varied"}, None),
    "digits inverted": ("digits", {"inverted": True, "distortion": 1.3}, None),
    "digits turned and coloured": ("digits", {"paint": "colours", "rotation": 25}, None),
    "digits on photographs": ("digits", {"paint": "photographs"}, None),
    "digits small": ("digits", {}, small),
    "digits thick": ("digits", {}, thick),
    "digits thin": ("digits", {}, thin),
    "symbols": ("symbols", {}, None),
    "symbols turned by 25": ("symbols", {"rotation": 25}, None),
    "symbols turned by -20": ("symbols", {"rotation": -20}, None),
    "symbols on photographs": ("symbols", {"paint": "photographs"}, None),
    "symbols small": ("symbols", {}, small),
    "symbols thick": ("symbols", {}, thick),
    "capitals": ("capitals", {}, None),
    "capitals turned by 25": ("capitals", {"rotation": 25}, None),
    "capitals small": ("capitals", {}, small),
    "capitals thick": ("capitals", {}, thick),
    "letters": ("letters", {}, None),
    "letters turned by 25": ("letters", {"rotation": 25}, None),
    "letters on photographs": ("letters", {"paint": "photographs"}, None),
}
N_SIMULATED = 48


def rendered() -> Iterator[Case]:
    """Every rendered set, with its unlabelled set as it is, thinned out and mixed."""
    foreign = {
        "digits": cases.embed({"kind": "glyphs", "characters": "letters", "n": 900, "seed": 5}),
        "": cases.embed({"kind": "glyphs", "characters": "digits", "n": 900, "seed": 5}),
    }
    for name, (characters, settings, change) in RENDERED.items():
        source = {"kind": "glyphs", "characters": characters, **settings}
        class_names = cases.names_of(characters)
        templates = cases.DIGIT_TEMPLATES if characters == "digits" else cases.TEMPLATES
        with TemporaryDirectory() as folder:
            adapt: Any = {**source, "n": 1800, "seed": 1}
            test: Any = {**source, "n": 900, "seed": 2}
            if change is not None:
                adapt = cases.redraw(adapt, change, Path(folder) / "adapt")
                test = cases.redraw(test, change, Path(folder) / "test")
            base = Case(
                name,
                cases.zero_shot(class_names, templates),
                cases.embed(adapt),
                cases.embed(test, views=False),
            )
        c = np.arange(len(class_names)) / (len(class_names) - 1)
        medium = replace(cases.some(base, "900", 900, 0), name=name)
        yield replace(base, name=f"{name}, 1800")
        yield replace(medium, name=f"{name}, 900")
        yield cases.some(base, "300", 300, 0)
        yield cases.rarer(base, "long tail", 10.0**-c, 0)
        yield cases.mixed(medium, "30 % foreign", foreign.get(characters, foreign[""]), 0.3, 0)


def simulated() -> Iterator[Case]:
    """Features drawn at random: how far classes lie apart, and how wrong text is, varies."""
    for number in range(N_SIMULATED):
        yield simulate(number)


def simulate(number: int) -> Case:
    """Gaussian classes in a few directions, a part that all features share, and text near them.

    Dimension, number of classes, images per class, class balance, noise, the text's errors, and
    how much all features have in common (which sets the scale, 20 to 100) are drawn from the
    number.
    """
    draw = np.random.default_rng(number)
    dim = int(draw.choice([64, 128, 512]))
    n_classes = int(draw.choice([5, 10, 30, 60]))
    per_class = int(draw.choice([6, 20, 50]))
    noise, slip = draw.uniform(0.4, 1.1), draw.uniform(0.2, 1.2)
    common = draw.choice([1.0, 3.0])
    # Classes, the text's errors and most of the noise lie in a few directions, as they do in
    # real features; the noise is unequal in them.
    inside = int(n_classes**0.5) + int(draw.choice([3, 6, 12]))
    basis = np.linalg.qr(draw.normal(size=(dim, inside)))[0].T
    means = normalise(draw.normal(size=(n_classes, inside)))
    slips = normalise(draw.normal(size=(n_classes, inside))) + draw.normal(size=inside) / 3
    spread = np.exp(draw.normal(size=inside) * 0.5) / inside**0.5
    shared = normalise(draw.normal(size=dim)) * common
    text = normalise((means + slip * slips) @ basis + shared)
    frequencies = draw.choice([0, 1]) * -np.log(10) * np.arange(n_classes) / max(n_classes - 1, 1)
    shares = np.exp(frequencies) / np.exp(frequencies).sum()

    def images(n: int) -> cases.Images:
        labels = draw.choice(n_classes, size=n, p=shares)
        around = means[labels] + noise * spread * draw.normal(size=(n, inside))

        def versions(size: float) -> Any:
            moved = around + size * spread * draw.normal(size=(4, n, inside))
            outside = 0.3 * noise / dim**0.5 * draw.normal(size=(4, n, dim))
            return normalise(moved @ basis + outside + shared).astype("f4")

        base = normalise(
            around @ basis + 0.3 * noise / dim**0.5 * draw.normal(size=(n, dim)) + shared
        )
        return cases.Images(versions(0.1 * noise), versions(0.5 * noise), base.astype("f4"), labels)

    adapt, test = images(per_class * n_classes), images(1000)
    scale = 20.0 if common == 1 else 100.0
    names = tuple(map(str, range(n_classes)))
    head = ZeroShotHead(text.astype("f4"), 0.0, scale, names, {})
    return Case(f"simulated {number}", head, adapt, test)


def accuracy(case: Case, weight: Any, bias: Any) -> float:
    logits = case.head.scale * (case.test.clean @ weight.T) + bias
    return float(np.mean(logits.argmax(axis=1) == case.test.labels))


def gain(case: Case, probes: Probes, strength: float, number: int = -1) -> float:
    """Accuracy over zero-shot, mean over seeds."""
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
    """The recommended settings, and each with one change."""
    base = Settings()
    yield "recommended", base
    for key, values in {
        "prior": ("none", "align", "sinkhorn"),
        "structure": (0.0, 0.3, 1.0),
        "temperature": (1.0,),
        "threshold": (0.0, 0.3, 0.7, 0.9),
        "class_floor": (0.0, 0.6),
        "labels": ("soft",),
    }.items():
        for value in values:
            yield f"{key} {value}", replace(base, labelling=replace(base.labelling, **{key: value}))
    for key, values in {"rounds": (1, 2, 5), "class_weighting": (0.0, 1.0)}.items():
        for value in values:
            yield f"{key} {value}", replace(base, **{key: value})
    for key, values in {"epochs": (5, 10, 40), "learning_rate": (3e-4, 3e-3)}.items():
        for value in values:
            changed = replace(base.optimisation, **{key: value})
            yield f"{key} {value}", replace(base, optimisation=changed)


def compare_settings(every: int) -> pd.DataFrame:
    rows = []
    found = [*rendered(), *simulated()][::every]
    for case in tqdm(found, unit="cases"):
        for change, settings in changes():
            probes = self_train(case.head, case.adapt.pool, settings, [0])
            row = {f"gain_{strength:g}": gain(case, probes, strength) for strength in WORTH}
            rows.append({"case": case.name, "change": change, **row})
    return pd.DataFrame(rows)


def gather_evidence() -> pd.DataFrame:
    rows = []
    for case in tqdm(list(rendered()), unit="cases"):
        probes = self_train(case.head, case.adapt.pool, Settings(), [0])
        decision = guarded.examine(case.head, case.adapt.pool, probes, Settings())
        zero = accuracy(case, probes.weight[0, 0], probes.bias[0, 0])
        for strength in WORTH:
            rows.append(
                {
                    "case": case.name,
                    "zero_shot": zero,
                    "strength": strength,
                    "gain": gain(case, probes, strength),
                    **asdict(decision.evidence),
                }
            )
    return pd.DataFrame(rows)


def constants() -> pd.DataFrame:
    """Zero-shot on unlabelled sets: accuracy, two estimates of it, and errors of frequencies."""
    rows = []
    for case in tqdm(list(rendered()), unit="cases"):
        structure = Structure(case.adapt.weak)
        logits = case.head.scale * (case.adapt.weak @ case.head.weight.T)
        probabilities = mean_prediction(logits, temperature=1.0)
        predicted = logits.mean(axis=0).argmax(axis=-1)
        known = case.adapt.labels >= 0
        true = np.bincount(case.adapt.labels[known], minlength=len(case.head.weight)) / known.sum()
        frequencies = probabilities[known].mean(axis=0)
        confidence = probabilities.max(axis=-1)
        rows.append(
            {
                "case": case.name,
                "accuracy": np.mean(predicted[known] == case.adapt.labels[known]),
                "agreement": structure.agreement(predicted),
                "confidence": confidence.mean(),
                "radius": np.abs(frequencies - true).sum() / 2 / (1 - confidence[known].mean()),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("part", choices=["constants", "settings", "guard"])
    parser.add_argument("--every", type=int, default=5, help="settings: use every n-th case")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = {
        "constants": constants,
        "settings": partial(compare_settings, options.every),
        "guard": gather_evidence,
    }
    table = parts[options.part]()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"development_{options.part}.csv"
    table.to_csv(path, index=False, float_format="%.4f")
    print(f"wrote {path}; {self_training.__name__} defaults: {asdict(Settings())}")


if __name__ == "__main__":
    main()
