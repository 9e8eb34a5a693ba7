"""A few images on disk and probes of the embedded model, made by the stages of the workflow."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.features.images import embed_images
from lpclip.features.text import embed_text
from lpclip.methods.train import train_probe
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.models.spec import ModelSpec
from lpclip.storage.probes import Probes, read_probes, write_probes

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPEC = ModelSpec("tiny", "lpclip-tiny", "embedded")
SEEDS = (3, 8)


def write_trained(folder: Path) -> None:
    """Write `images/` (30 files), their cache `clean.h5`, `text.h5`, `probes.h5`, `ensemble.h5`."""
    digits = open_source("digits", {"split": "test"})
    for number, sample in enumerate(digits.samples()[:30]):
        path = folder / "images" / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.read(sample.path).save(path)
    source = {"kind": "folder", "root": str(folder / "images"), "labelled": False}
    index_samples(output=folder / "samples.h5", dataset="few", source=source)
    embed_images(
        samples=folder / "samples.h5",
        output=folder / "clean.h5",
        dataset="few",
        source=source,
        model=SPEC,
        views={"clean": {}},
        device="cpu",
    )
    embed_text(
        output=folder / "text.h5",
        model=SPEC,
        class_names=NAMES,
        templates=["a photo of the number {}."],
        device="cpu",
    )
    train_probe(
        text=folder / "text.h5",
        output=folder / "zero_shot.h5",
        benchmark="digits",
        method="zero_shot",
        kind="zero_shot",
        seeds=SEEDS,
        settings={},
    )
    zero_shot, provenance = read_probes(folder / "zero_shot.h5")
    weight = np.repeat(np.repeat(zero_shot.weight, 2, axis=0), 2, axis=1)
    bias = np.repeat(np.repeat(zero_shot.bias, 2, axis=0), 2, axis=1)
    rng = np.random.default_rng(0)
    weight[1] += rng.normal(scale=0.05, size=weight[1].shape)
    bias[1] += rng.normal(size=bias[1].shape)
    probes = Probes(
        weight=weight,
        bias=bias,
        scale=zero_shot.scale,
        class_names=zero_shot.class_names,
        seeds=SEEDS,
        rounds=rounds_table([Round(number, seed) for number in (0, 1) for seed in SEEDS]),
    )
    write_probes(folder / "probes.h5", probes, {**provenance, "method": "lp_clip"})
    member_weight = weight[1][:, None] + rng.normal(scale=0.1, size=(2, 3, *weight.shape[2:]))
    member_bias = bias[1][:, None] + rng.normal(size=(2, 3, bias.shape[-1]))
    weight[1], bias[1] = member_weight.mean(axis=1), member_bias.mean(axis=1)
    members = {"member_weight": member_weight, "member_bias": member_bias}
    ensemble = replace(probes, weight=weight, bias=bias, **members)
    write_probes(folder / "ensemble.h5", ensemble, {**provenance, "method": "deep_ensemble"})
