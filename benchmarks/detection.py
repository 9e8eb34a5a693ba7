"""How good is the OOD score recommended by held-out classes? On development sets with OOD images.

    python benchmarks/detection.py --features clip.npz

writes results/detection.csv and prints tables, one of real features if they are given.

OOD images only evaluate the recommendation, which does not use them. Near: other characters,
rendered in the same way as the set. Far: patterns (gratings, gradients, blocks, blobs). No report
uses either of them.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cases
import numpy as np
import pandas as pd
from cases import Case, Images
from development_sets import SETS, Rendered, kept
from PIL import Image
from tqdm import tqdm

from lpclip.evaluation.held_out import held_out_auroc
from lpclip.evaluation.ood_scores import head_scores
from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.training.self_training import self_train
from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.ood_features import feature_scores
from lpclip.reporting.detection import FLATTERED
from lpclip.storage.probes import Probes
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray

RESULTS = Path(__file__).parent / "results/detection.csv"
KEPT = Path(__file__).parents[1] / "cache/detection"
CHOSEN = (
    "digits turned by 35", "digits varied", "digits on photographs", "symbols turned by 25",
    "capitals", "letters turned by 25", "pen digits", "pen digits, small", "pen digits, coloured",
    "pen capitals", "pen capitals, turned by -20", "pen capitals on photographs",
)  # fmt: skip
# Near OOD characters of a set: not among its classes, rendered in the same way.
OTHERS: Mapping[str, Mapping[str, str]] = {
    "font": {
        "digits": "symbols", "symbols": "digits", "capitals": "symbols", "letters": "symbols",
    },
    "pen": {"digits": "capitals", "capitals": "digits"},
}  # fmt: skip
_SIDE = 64


def pattern(kind: int, random: np.random.Generator) -> FloatArray:
    """Return a grating, gradient, blocks or blobs: ``[64, 64]`` in 0..1."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / _SIDE
    angle = random.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    if kind == 0:
        waves: FloatArray = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(2, 12) * along)
        return waves
    if kind == 1:
        gradient: FloatArray = (along - along.min()) / np.ptp(along)
        return gradient
    if kind == 2:
        size = 2 ** int(random.integers(1, 6))
        return np.kron(random.random((_SIDE // size, _SIDE // size)), np.ones((size, size)))
    blobs = np.zeros((_SIDE, _SIDE))
    for _ in range(random.integers(3, 12)):
        centre, width = random.random(2), random.uniform(0.03, 0.25)
        distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
        blobs = np.maximum(blobs, np.exp(-distance / width**2))
    return blobs


def patterns(n: int, seed: int) -> Images:
    """Render and embed patterns of two colours."""
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        for i in range(n):
            first, second = random.uniform(0, 255, (2, 3))
            pixels = first + (second - first) * pattern(i % 4, random)[..., None]
            Image.fromarray(pixels.astype(np.uint8)).save(Path(folder) / f"{i:04d}.png")
        source = {"kind": "folder", "root": folder, "labelled": False}
        return cases.embed(source, views=False)


def development_cases(keep: Path) -> Iterator[Case]:
    """Yield development sets with OOD images; their features are kept in a folder, by name."""
    far = kept(keep / "patterns.npz", lambda: patterns(400, 9))
    for name in CHOSEN:
        how = SETS[name]
        other: Rendered = replace(how, characters=OTHERS[how.by][how.characters])
        templates = cases.DIGIT_TEMPLATES if how.characters == "digits" else cases.TEMPLATES
        yield Case(
            name,
            cases.zero_shot(how.class_names, templates),
            kept(keep / f"{name}, adapt.npz", partial(how.images, 900, 1, views=True)),
            kept(keep / f"{name}, test.npz", partial(how.images, 600, 2, views=False)),
            {
                "near": kept(
                    keep / f"{name}, near.npz", partial(other.images, 300, 3, views=False)
                ),
                "far": far,
            },
        )


def real_features(path: Path) -> Case:
    """Read an npz file as described in benchmarks/README.md; textures are far OOD."""
    with np.load(path, allow_pickle=False) as arrays:
        text = np.asarray(arrays["text"], np.float32)
        classes = tuple(map(str, arrays["classes"]))
        textures = arrays["ood_textures"]
        return Case(
            "features",
            ZeroShotHead(text, 0.0, 100.0, classes, {}),
            cases.without_views(arrays["adapt"], arrays["adapt_labels"]),
            cases.without_views(arrays["test"], arrays["test_labels"]),
            {"far": cases.without_views(textures, np.full(len(textures), -1))},
        )


def evaluate(case: Case) -> list[dict[str, Any]]:
    """Return the AUROC of every score on held-out classes and on OOD images, for two methods."""
    trained = self_train(case.head, case.adapt.pool(Settings()), Settings(), [0])
    zero_shot = replace(trained, weight=trained.weight[:1], bias=trained.bias[:1])
    rows = []
    for method, heads in (("zero_shot", zero_shot), ("lp_clip_auto", trained)):
        held_out = held_out_auroc(heads, case.adapt.clean)
        inside = _scores(heads, case.test.clean, case.adapt.clean)
        outside = {
            group: _scores(heads, images.clean, case.adapt.clean)
            for group, images in case.ood.items()
        }
        rows += [
            {
                "case": case.name,
                "method": method,
                "score": score,
                "held_out": row["auroc"],
                **{
                    group: detection_metrics(inside[score], scores[score])["auroc"]
                    for group, scores in outside.items()
                },
            }
            for score, row in held_out.items()
        ]
    return rows


def _scores(heads: Probes, values: FloatArray, known: FloatArray) -> dict[str, FloatArray]:
    of_heads = {name: scores[0] for name, scores in head_scores(heads, values).items()}
    return {**of_heads, **feature_scores(values, known)}


def show(table: pd.DataFrame) -> str:
    """Format the mean AUROC of each score, of the recommended and of the best one, as Markdown."""
    groups = [name for name in ("near", "far") if name in table]
    table = table.assign(mean=table[groups].mean(axis=1))
    lines = ["| method | score | " + " | ".join(groups) + " | worst case |"]
    lines.append("| --- " * (len(groups) + 3) + "|")
    for method, own in table.groupby("method", sort=False):
        fixed = {str(score): rows for score, rows in own.groupby("score", sort=False)}
        by_case = own.groupby("case", sort=False)
        fair = own[~own["score"].isin(FLATTERED)]
        fixed["**recommended**"] = own.loc[fair.groupby("case", sort=False)["held_out"].idxmax()]
        fixed["the same of all scores"] = own.loc[by_case["held_out"].idxmax()]
        fixed["best in hindsight"] = own.loc[by_case["mean"].idxmax()]
        for score, rows in fixed.items():
            cells = [f"{100 * rows[group].mean():.1f}" for group in groups]
            worst = 100 * rows[groups].min().min()
            lines.append(f"| {method} | {score} | {' | '.join(cells)} | {worst:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for features of the sets")
    parser.add_argument("--features", type=Path, help="an npz file of real features")
    options = parser.parse_args()
    rows = [
        row
        for case in tqdm(development_cases(options.keep), total=len(CHOSEN))
        for row in evaluate(case)
    ]
    if options.features:
        rows += evaluate(real_features(options.features))
    table = pd.DataFrame(rows)
    RESULTS.parent.mkdir(exist_ok=True)
    table.to_csv(RESULTS, index=False, float_format="%.4f")
    is_real = table["case"] == "features"
    print(show(table[~is_real]))
    if is_real.any():
        print("\nReal features:\n")
        print(show(table[is_real].drop(columns="near")))


if __name__ == "__main__":
    main()
