"""A run whose datasets are embedded in shards ends with the bytes of one that embeds them whole."""

import copy
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from lpclip.data.registry import open_source
from lpclip.storage.shards import is_freed
from tests.helpers import ROOT, copy_workflow
from tests.helpers.runs import run, snakemake, write

N_IMAGES = 600  # three shards of 256 rows
CACHE = "cache/tiny/images/digits"
CONFIG = {
    "seeds": [0],
    "compute": {"threads": 1},
    "views": {
        "weak": {"versions": 1},
        "strong": {"versions": 1},
        "corruptions": {"severities": [1, 5]},
    },
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
    "datasets": {"digits": {"source": {"kind": "folder", "root": "../images"}}},
    "benchmarks": {
        "digits": {
            "class_names": [str(digit) for digit in range(10)],
            "templates": ["a photo of the number {}."],
            "adapt": "digits",
            "test": "digits",
            "corruptions": ["weather"],
        }
    },
    "methods": {
        "zero_shot": {"kind": "zero_shot"},
        "lp_clip_auto": {"kind": "self_training", "labelling": "auto"},
    },
}

# A join that kills itself when it has freed its second shard, the first time.
DEADLY = """
import os, signal, sys
replace = os.replace
def deadly(source, target, **options):
    replace(source, target, **options)
    if "000000256-000000512.h5" in str(target) and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
if "000000000-000000256.h5" in " ".join(sys.orig_argv) and "--rows" not in sys.orig_argv:
    os.replace = deadly
"""


def prepare(folder, rows_per_shard):
    folder.mkdir(parents=True)
    copy_workflow(folder)
    configure(folder, rows_per_shard)
    return folder


def configure(folder, rows_per_shard):
    config = copy.deepcopy(CONFIG)
    config["datasets"]["digits"]["rows_per_shard"] = rows_per_shard
    write(folder, config)


def jobs(text):
    """Return how often each rule is listed in the table of jobs that comes last."""
    table = text.rpartition("Job stats:")[2].partition("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    digits = open_source("digits", {"split": "adapt"})
    for sample in digits.samples()[:N_IMAGES]:
        path = root / f"images/{sample.label}/{sample.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.read(sample.path).save(path)
    return root


@pytest.fixture(scope="module")
def whole(root):
    """A run that embeds each pass in one job."""
    folder = prepare(root / "whole", "auto")
    assert "embed_shard" not in snakemake(folder)
    return folder


@pytest.fixture(scope="module")
def sharded(root):
    """A run in shards, in which one join was killed, continued; its folder and both outputs."""
    folder = prepare(root / "sharded", 256)
    (folder / "site").mkdir()
    (folder / "site/sitecustomize.py").write_text(DEADLY)
    paths = os.pathsep.join(map(str, (folder / "site", ROOT)))
    # These jobs start cold, so they are few.
    status, killed = run(folder, f"{CACHE}/clean.h5", PYTHONPATH=paths, LPCLIP_WARM_JOBS="")
    assert status == 1, killed
    left = sorted(folder.glob(f"{CACHE}/*.shards/*.h5"))
    freed = [path for path in left if is_freed(path)]
    notes = list(folder.glob(f"{CACHE}/.*.parts/rows.json"))
    shutil.copytree(folder, root / "interrupted")
    text = snakemake(folder, "--logger-lpclip-full")
    return folder, freed, notes, text


def files(folder):
    found = [*folder.glob("cache/**/*.h5"), *folder.glob("results/**/probes.h5")]
    return {str(path.relative_to(folder)): path for path in found}


def test_every_cache_and_head_is_the_same_byte_for_byte(whole, sharded):
    folder, *_ = sharded
    one, other = files(whole), files(folder)
    assert sorted(one) == sorted(other)
    assert len(one) >= 7
    assert [name for name in one if one[name].read_bytes() != other[name].read_bytes()] == []
    report = "results/report.csv"
    assert (folder / report).read_bytes() == (whole / report).read_bytes()


def test_a_killed_join_continues_and_no_shard_is_made_twice(sharded):
    folder, freed, notes, text = sharded
    assert [path.name for path in freed] == [
        "000000000-000000256.h5", "000000256-000000512.h5",
    ]  # fmt: skip
    assert len(notes) == 1
    made = re.findall(rf"rule embed_shard:\n.*\n *output: {CACHE}/(\w+)\.shards/", text)
    assert sorted(made) == ["adapt"] * 3 + ["weather"] * 3
    assert not any(folder.glob("cache/**/*.shards/*"))
    assert not any(folder.rglob(".*.parts"))


@pytest.mark.parametrize("rows", [256, "auto", 512])
def test_a_finished_run_is_finished_whatever_the_number_of_shards(sharded, rows):
    folder, *_ = sharded
    configure(folder, rows)
    assert "Nothing to be done" in snakemake(folder, "-n")
    configure(folder, 256)


def test_a_finished_run_in_one_job_stays_finished_when_it_gets_shards(whole):
    configure(whole, 256)
    assert "Nothing to be done" in snakemake(whole, "-n")
    configure(whole, "auto")


@pytest.mark.parametrize(("rows", "n_shards"), [(256, 3), (512, 2), ("auto", 0)])
def test_a_cache_that_was_removed_is_made_in_the_shards_of_now(sharded, rows, n_shards):
    folder, *_ = sharded
    configure(folder, rows)
    cache = folder / CACHE / "clean.h5"
    cache.rename(folder / "clean.h5")
    text = snakemake(folder, "-n", f"{CACHE}/clean.h5")
    (folder / "clean.h5").rename(cache)
    configure(folder, 256)
    assert jobs(text).get("embed_shard", 0) == n_shards
    assert jobs(text)["embed_images"] == 1


@pytest.mark.usefixtures("sharded")
def test_shards_are_made_again_if_the_unfinished_cache_that_took_them_is_gone(root):
    folder = root / "interrupted"
    before = snakemake(folder, "-n", f"{CACHE}/clean.h5")
    assert jobs(before) == {"embed_images": 1}
    (unfinished,) = folder.glob(f"{CACHE}/.clean.h5.*.parts")
    shutil.rmtree(unfinished)
    text = snakemake(folder, "-n", f"{CACHE}/clean.h5")
    assert jobs(text) == {"embed_shard": 2, "embed_images": 1}
    assert "made from rows of a cache that was not finished and is gone" in text


def test_a_run_of_nothing_yet_lists_what_can_be_known(root):
    folder = prepare(root / "fresh", 256)
    text = snakemake(folder, "-n", f"{CACHE}/clean.h5")
    assert jobs(text) == {"index_samples": 1, "count_samples": 1, "embed_images": 1}
    assert json.loads((root / "sharded/cache/data/digits/count.json").read_text()) == {
        "samples": N_IMAGES
    }
    assert Path(folder / "cache").exists() is False
