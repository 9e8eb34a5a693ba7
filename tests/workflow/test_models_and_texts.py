"""Checkpoints and text files in a workflow: an edit re-runs only what depends on it."""

import json
import os
import re

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from lpclip.models.tiny.weights import write_plain
from tests.helpers import copy_workflow
from tests.helpers.runs import snakemake

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]

CONFIG = {
    "compute": {"threads": 8},
    "models": {
        "tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"},
        "mine": {"architecture": "lpclip-tiny", "pretrained": "mine.safetensors"},
    },
    "datasets": {
        "adapt": {"source": {"kind": "digits", "split": "adapt"}},
        "test": {"source": {"kind": "digits", "split": "test"}},
    },
    "benchmarks": {
        "templates": {
            "class_names": "names.txt",
            "templates": "templates.txt",
            "adapt": "adapt",
            "test": "test",
            "corruptions": [],
        },
        "prompts": {"prompts": "prompts.json", "adapt": "adapt", "test": "test", "corruptions": []},
    },
    "labellings": {},
    "methods": {"zero_shot": {"kind": "zero_shot"}},
}


def write(folder, *, template="the digit {}.", nine="the number nine", seed=0):
    """Write the files whose contents change."""
    prompts = {name: [f"the number {name}"] for name in NAMES} | {"nine": [nine]}
    texts = {
        "config.yaml": yaml.safe_dump(CONFIG, sort_keys=False),
        "names.txt": "\n".join(NAMES),
        "templates.txt": f"a photo of the number {{}}.\n{template}\n",
        "prompts.json": json.dumps(prompts),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    checkpoint = folder / "mine.safetensors"
    if not checkpoint.is_file():
        write_plain(checkpoint)
    if seed:
        weights = load_file(checkpoint)
        torch.manual_seed(seed)
        weights["visual.attnpool.positional_embedding"] += torch.randn(1)
        save_file(weights, checkpoint)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    copy_workflow(folder)
    write(folder)
    snakemake(folder)
    return folder


def planned(folder):
    """Return the outputs of the embedding jobs that a run would execute."""
    text = snakemake(folder, "-n")
    found = re.findall(r"rule embed_(?:text|images):\n\s+input: .*\n\s+output: (.*)", text)
    return {output.removeprefix("cache/").removesuffix(".h5") for output in found}


def test_every_benchmark_is_in_the_report_and_nothing_is_left_to_do(finished):
    report = pd.read_csv(finished / "results/report.csv").set_index(["model", "benchmark"])
    assert len(report) == 4
    assert report["accuracy"].min() > 0.3
    # The checkpoint holds the embedded weights.
    one, two = (report.loc[(name, "templates"), "accuracy"] for name in ("tiny", "mine"))
    assert one == two
    assert planned(finished) == set()


@pytest.mark.parametrize("age", ["newer", "older"])
def test_a_replaced_checkpoint_reruns_its_own_model_alone(finished, age):
    before = (finished / "mine.safetensors").read_bytes()
    times = (finished / "mine.safetensors").stat()
    write(finished, seed=1)
    if age == "older":  # than all caches, as a copy with preserved times can be
        os.utime(finished / "mine.safetensors", (1, 1))
    try:
        assert planned(finished) == {
            "mine/text/templates", "mine/text/prompts",
            "mine/images/adapt/clean", "mine/images/adapt/adapt", "mine/images/test/clean",
        }  # fmt: skip
    finally:
        (finished / "mine.safetensors").write_bytes(before)
        os.utime(finished / "mine.safetensors", ns=(times.st_atime_ns, times.st_mtime_ns))


def test_an_edited_template_or_description_reruns_its_own_text_alone(finished):
    write(finished, template="the digit {} written by hand.")
    assert planned(finished) == {"tiny/text/templates", "mine/text/templates"}
    write(finished, nine="nine, written by hand")
    assert planned(finished) == {"tiny/text/prompts", "mine/text/prompts"}
    write(finished)
    assert planned(finished) == set()


def test_another_device_reruns_nothing(finished):
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["models"]["tiny"]["device"] = "cpu"
    (finished / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    try:
        assert planned(finished) == set()
        config["models"]["tiny"]["precision"] = "bf16"
        (finished / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        assert planned(finished) >= {"tiny/images/test/clean"}
    finally:
        write(finished)
