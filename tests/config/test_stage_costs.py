"""The memory that jobs ask for is what their processes take, within a factor of two."""

import contextlib
import json
from dataclasses import replace

import pytest

from lpclip.cli.command import main
from lpclip.config.resources import SNAKEMAKE_MB, needs_of
from lpclip.config.stage_costs import MEMORY, Size, memory_bytes
from lpclip.data.index import index_samples
from tests.helpers.stage_peaks import NOISES, SEVERITIES, Scale, commands, draw, peak_mb

# Those whose memory grows differently; the others share their formulas.
GROWING = {
    "pseudo_labels",
    "train_probe self_training",
    "train_probe supervised",
    "evaluate_samples",
}
SCALES = {
    Scale(300, 10, dim=128, versions=2, seeds=1): GROWING,
    Scale(2000, 50, dim=512, versions=4, seeds=2): GROWING,
    Scale(6000, 100, dim=512, versions=8, seeds=3): set(commands(Scale(6000, 100))),
    Scale(2000, 1000, dim=512, versions=8, seeds=1): GROWING,
}


def size_of(name, scale):
    size = Size(
        rows=scale.rows,
        dim=scale.dim,
        classes=scale.classes,
        seeds=scale.seeds,
        teacher=scale.versions,
        student=scale.versions,
    )
    noises = len(NOISES) * len(SEVERITIES)
    changes = {
        "evaluate noise": {"versions": len(SEVERITIES), "views": noises},
        "evaluate_samples": {"versions": len(SEVERITIES), "views": noises + 1},
        "evaluate_features": {"teacher": 1, "tested": 2 * scale.rows},
        "layout": {"tested": scale.rows},
        "explorer": {"tested": scale.rows},
    }
    return replace(size, **changes.get(name, {}))


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_memory_is_what_was_asked_for_within_a_factor_of_two(tmp_path, scale):
    draw(tmp_path, scale)
    factors = {}
    for name, command in commands(scale).items():
        if name in SCALES[scale]:
            rule, _, rest = name.partition(" ")
            kind = rest if rule == "train_probe" else ""
            declared = needs_of(rule, size_of(name, scale), kind=kind).mem_mb
            factors[name] = declared / (peak_mb(tmp_path, command) + SNAKEMAKE_MB)
    print({name: round(factor, 2) for name, factor in factors.items()})
    assert {name: factor for name, factor in factors.items() if not 0.5 < factor < 2} == {}


def test_a_join_takes_the_memory_that_it_asks_for(tmp_path):
    n = 300
    settings = {
        "dataset": "d",
        "source": {"kind": "glyphs", "characters": "digits", "n": n},
        "model": {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"},
        "views": {"clean": {}},
    }
    index_samples(output=tmp_path / "samples.h5", dataset="d", source=settings["source"])
    command = ["embed-images", "--samples", "samples.h5", "--settings", json.dumps(settings)]
    shards = {"1.h5": ("0", "256"), "2.h5": ("256", str(n))}
    with contextlib.chdir(tmp_path):
        for name, rows in shards.items():
            main([*command, "--device", "cpu", "--output", name, "--rows", *rows])
    join = [*command, "--output", "all.h5", "--shards", *shards]
    declared = needs_of("join_shards", Size(rows=n, dim=64)).mem_mb
    assert 0.5 < declared / (peak_mb(tmp_path, join) + SNAKEMAKE_MB) < 2


@pytest.mark.parametrize("name", ["rows", "classes", "dim", "parameters", "teacher", "student"])
def test_more_of_anything_takes_no_less_memory(name):
    size = Size(rows=10_000, dim=512, classes=100, teacher=2, student=2, parameters=1e8)
    more = replace(size, **{name: 10 * getattr(size, name)})
    for rule in MEMORY:
        assert memory_bytes(rule, more) >= memory_bytes(rule, size)
    for kind in ("self_training", "guarded", "supervised", "transclip", "deep_ensemble"):
        assert memory_bytes("train_probe", more, kind=kind) >= memory_bytes(
            "train_probe", size, kind=kind
        )
