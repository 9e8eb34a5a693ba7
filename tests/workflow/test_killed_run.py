"""A whole run that is killed, and files in a finished run that a job must reject."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import yaml

from lpclip.data.registry import open_source
from tests.helpers import ROOT, copy_workflow
from tests.helpers.warm import environment

CACHE = "cache/tiny/images/digits"
RESULTS = "results/tiny/digits"

# One data set in every role keeps the run short; 320 images are two parts of an extraction.
N_IMAGES = 320
CONFIG = {
    "seeds": [0, 1],
    "compute": {"threads": 1},
    "views": {
        "weak": {"versions": 1},
        "strong": {"versions": 2},
        "corruptions": {"severities": [1]},
    },
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
    "datasets": {"digits": {"source": {"kind": "folder", "root": "images"}}},
    "benchmarks": {
        "digits": {
            "class_names": [str(digit) for digit in range(10)],
            "templates": ["a photo of the number {}."],
            "adapt": "digits",
            "test": "digits",
            "corruptions": ["noise"],
        }
    },
    "labellings": {"confident": {"threshold": 0.5}},
    "methods": {
        "zero_shot": {"kind": "zero_shot"},
        "lp_clip": {
            "kind": "self_training",
            "labelling": "confident",
            "rounds": 2,
            "optimisation": {"epochs": 2},
        },
    },
}


def prepare(folder: Path) -> Path:
    """Write a folder with the workflow, a configuration and images."""
    copy_workflow(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    digits = open_source("digits", {"split": "adapt"})
    for sample in digits.samples()[:N_IMAGES]:
        path = folder / f"images/{sample.label}/{sample.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        digits.read(sample.path).save(path)
    return folder


def run(folder: Path, *arguments: str, module: str = "snakemake") -> tuple[int, str]:
    """Return the exit status and the output."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment(ROOT),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("undisturbed") / "run")
    status, text = run(folder, "--cores", "2")
    assert status == 0, text
    return folder


def has_finished_part(folder: Path) -> bool:
    return any(folder.glob(f"{CACHE}/.*.parts/00000000.npy"))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory) -> Path:
    """A run that was killed during embedding, then started again, as one command."""
    folder = prepare(tmp_path_factory.mktemp("killed") / "run")
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not has_finished_part(folder):
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert has_finished_part(folder)
    assert list(folder.glob(".snakemake/locks/*.lock"))
    status, text = run(folder, "--cores", "2")
    assert status == 0, text
    assert "The last run in this folder was killed; this one goes on from there." in text
    return folder


def test_a_killed_run_continues_where_it_was(interrupted):
    logs = [path.read_text() for path in interrupted.glob("logs/embed_images/**/*.log")]
    assert len(logs) == 3
    assert any("continuing an interrupted run after 256 of 320 images" in text for text in logs)
    assert not [*interrupted.glob("cache/**/.*"), *interrupted.glob("results/**/.*")]


def planned(folder: Path) -> tuple[set[str], str]:
    """Return the rules that a run would execute, and the output."""
    status, text = run(folder, "-n", "--cores", "1")
    assert status == 0, text
    return set(re.findall(r"(?m)^(?:local)?rule (\w+):$", text)) - {"all"}, text


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = copy.deepcopy(CONFIG)
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture
def forgotten(finished, tmp_path) -> Path:
    """Copy the finished run without hidden files."""
    ignored = shutil.ignore_patterns(".*")
    return Path(shutil.copytree(finished, tmp_path / "copy", ignore=ignored))


def test_a_copy_without_hidden_files_has_nothing_to_do(forgotten):
    rules, text = planned(forgotten)
    assert rules == set(), text


@pytest.mark.parametrize(
    ("change", "first", "words"),
    [
        (
            lambda config: config["labellings"]["confident"].update(threshold=0.7),
            "pseudo_labels",
            "confident.h5 is made again: it was made from other settings: "
            "labelling.threshold: 0.5, not 0.7.",
        ),
        (
            lambda config: config["benchmarks"]["digits"].update(templates=["the number {}."]),
            "embed_text",
            'templates: ["a photo of the number {}."], not ["the number {}."].',
        ),
        (lambda config: config.update(seeds=[0, 2]), "train_probe", "seeds: [0, 1], not [0, 2]."),
    ],
    ids=["threshold", "template", "seed"],
)
def test_a_change_is_noticed_where_snakemake_forgot_everything(forgotten, change, first, words):
    edit(forgotten, change)
    rules, text = planned(forgotten)
    assert {first, "evaluate", "report"} <= rules
    assert "embed_images" not in rules
    assert words in text


def test_results_of_another_version_of_a_cache_are_made_again(forgotten):
    """Results restored from a copy are newer than the caches, but were made from others."""
    edit(forgotten, lambda config: config["benchmarks"]["digits"].update(templates=["a {}."]))
    status, text = run(forgotten, "--cores", "1", "cache/tiny/text/digits.h5")
    assert status == 0, text
    for path in (*forgotten.glob("results/**/*.*"), *forgotten.glob("logs/**/*.*")):
        os.utime(path)
    rules, text = planned(forgotten)
    assert {"pseudo_labels", "train_probe", "evaluate", "report"} <= rules
    assert rules.isdisjoint({"embed_text", "embed_images", "index_samples"})
    assert "made from another version of cache/tiny/text/digits.h5" in text


def test_a_project_that_shares_a_cache_does_not_take_the_images_of_another(finished, tmp_path):
    other = prepare(tmp_path / "other")
    (other / "cache").symlink_to(finished / "cache")
    assert "index_samples" not in planned(other)[0]  # the images are the same
    eight = next(other.glob("images/8/*.png")).read_bytes()
    for path in other.glob("images/3/*.png"):
        path.write_bytes(eight)
    rules, text = planned(other)
    assert {"index_samples", "embed_images"} <= rules
    assert "made from other images: images/3/" in text


def test_a_project_that_shares_a_cache_does_not_take_images_of_other_names(finished, tmp_path):
    other = prepare(tmp_path / "other")
    (other / "cache").symlink_to(finished / "cache")
    for path in list(other.glob("images/*/*.png")):
        path.rename(path.with_name(f"x{path.name}"))
    rules, text = planned(other)
    assert {"index_samples", "embed_images"} <= rules
    assert "which it does not list" in text


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("tiny/digits/lp_clip/per_class.csv", "evaluate_rounds"),
        ("tiny/digits/lp_clip/robustness/digits/clean.csv", "evaluate"),
        ("robustness.csv", "report"),
        ("tiny/digits/pictures.json", "pictures"),
    ],
)
def test_a_table_that_was_edited_is_made_again(forgotten, name, rule):
    path = forgotten / "results" / name
    times = path.stat()
    path.write_text(path.read_text().replace("1", "2", 1))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    rules, text = planned(forgotten)
    assert rule in rules
    assert f"{path.relative_to(forgotten)} was changed since" in text


def test_an_image_that_was_replaced_is_noticed(finished, tmp_path):
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    path = next(folder.glob("images/3/*.png"))
    path.write_bytes(next(folder.glob("images/8/*.png")).read_bytes())
    rules, text = planned(folder)
    assert {"index_samples", "embed_images", "train_probe", "report"} <= rules
    assert f"images/3/{path.name} has " in text


def outputs(folder: Path, ending: str) -> dict[str, bytes]:
    """Return path -> bytes for the caches and results with an extension."""
    paths = [path for top in ("cache", "results") for path in (folder / top).rglob("*")]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in paths
        if path.suffix == ending
    }


@pytest.mark.parametrize("ending", [".csv", ".h5", ".png", ".json"])
def test_a_kill_changes_no_byte_of_any(finished, interrupted, ending):
    one, other = (outputs(folder, ending) for folder in (finished, interrupted))
    assert one
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


def test_a_cache_of_another_model_is_refused_by_the_job(finished, tmp_path):
    text = tmp_path / "text.h5"
    shutil.copy(finished / "cache/tiny/text/digits.h5", text)
    with h5py.File(text, "r+") as file:
        file.attrs["weights"] = "0123456789abcdef"
    status, printed = run(
        finished, "pseudo-labels", "--text", str(text), "--features", f"{CACHE}/adapt.h5",
        "--output", str(tmp_path / "labels.h5"), "--settings", '{"labelling": {}}',
        module="lpclip",
    )  # fmt: skip
    assert status == 1
    assert "was made with weights" in printed
    assert "0123456789abcdef" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "labels.h5").exists()


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        (
            "self_training",
            [
                "--pseudo-labels", f"{RESULTS}/pseudo_labels/confident.h5",
                "--adapt", f"{CACHE}/adapt.h5",
            ],
        ),
        ("zero_shot", []),
    ],
)  # fmt: skip
def test_a_label_free_method_refuses_an_index_with_labels(finished, tmp_path, kind, files):
    settings = {
        "benchmark": "digits", "method": "cheat", "kind": kind, "seeds": [0], "settings": {},
    }  # fmt: skip
    status, printed = run(
        finished, "train-probe", "--text", "cache/tiny/text/digits.h5",
        *files, "--samples", "cache/data/digits/samples.h5", "--settings", json.dumps(settings),
        "--output", str(tmp_path / "probes.h5"), module="lpclip",
    )  # fmt: skip
    assert status == 1
    assert f"'{kind}' must not read samples" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "probes.h5").exists()


def test_a_truncated_cache_stops_the_workflow_with_a_sentence(finished, tmp_path):
    folder = tmp_path / "truncated"
    shutil.copytree(finished, folder)
    cache = folder / CACHE / "clean.h5"
    cache.write_bytes(cache.read_bytes()[:5000])
    target = f"{RESULTS}/zero_shot/robustness/digits/clean.csv"
    status, printed = run(folder, "--cores", "1", "--forcerun", "evaluate", "--", target)
    assert status != 0
    assert f"{CACHE}/clean.h5 is truncated." in printed
    assert "Traceback" not in printed
    assert not (folder / target).exists()
