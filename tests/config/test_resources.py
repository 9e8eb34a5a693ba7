"""What jobs ask a scheduler for: memory, time, a GPU."""

import copy
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lpclip.config.check import complete
from lpclip.config.resources import JobNeeds
from lpclip.config.stages import STAGES
from lpclip.methods.registry import load_method
from lpclip.storage.samples import write_samples
from tests.helpers import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
BENCHMARK = {"model": "tiny", "benchmark": "digits"}
CLEAN = {"model": "tiny", "dataset": "images", "views": "clean"}
LABELS = {**BENCHMARK, "labelling": "auto"}
TRAINING = {**BENCHMARK, "method": "lp_clip_auto"}
WILDCARDS = {
    **{"dataset": "digits-test", "views": "noise", "labelling": "auto", "method": "supervised"},
    **BENCHMARK,
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "pictures/cat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def needs(adapt="digits-adapt", images=None, **model):
    """The needs of the default configuration with a dataset and a model that are different."""
    config = copy.deepcopy(CONFIG)
    config["datasets"]["images"] = {
        "source": {"kind": "folder", "root": "pictures", "labelled": False},
        **(images or {}),
    }
    config["benchmarks"]["digits"]["adapt"] = adapt
    if adapt == "images":
        del config["methods"]["supervised"]
    config["models"]["tiny"].update(model)
    return JobNeeds(complete(config))


def write_index(n, dataset="images"):
    ids = [f"{number}" for number in range(n)]
    samples = pd.DataFrame({"id": ids, "path": ids, "label": -1})
    write_samples(
        Path(f"cache/data/{dataset}/samples.h5"), samples, {"dataset": dataset, "index": "0"}
    )


def test_every_rule_says_what_it_needs():
    text = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    rules = re.findall(r"^(?:rule|checkpoint) (\w+):", text, flags=re.MULTILINE)
    assert set(rules) == {*STAGES, "embed_shard"}
    default = needs()
    for rule in rules:
        found = default.of(rule, WILDCARDS)
        assert 200 < found.mem_mb < 2000
        assert found.runtime >= 10
        assert f'mem_mb=memory_of("{rule}")' in text
        assert f'runtime=time_of("{rule}")' in text
        assert (f'gpu=gpu_of("{rule}")' in text) == (
            rule in ("embed_text", "embed_images", "embed_shard", "train_probe")
        )


def test_an_index_that_is_there_is_counted_once_and_again_when_it_is_another(folder, monkeypatch):
    found = needs()
    write_index(10)
    assert found.rows("images") == 10
    with monkeypatch.context() as patch:
        patch.setattr("lpclip.config.resources.open_file", None)
        assert found.rows("images") == 10
    few = found.of("embed_images", CLEAN)
    (folder / "cache/data/images/samples.h5").unlink()
    write_index(300_000)
    many = found.of("embed_images", CLEAN)
    assert many.mem_mb > few.mem_mb + 100
    assert many.runtime > few.runtime


def test_a_limit_bounds_what_is_not_indexed_yet():
    found = needs(images={"limit": 500})
    assert found.rows("images") == 500
    write_index(20)
    assert found.rows("images") == 20
    assert needs().rows("digits-test") == 1797
    assert needs().rows("photos") == 899


def test_what_is_not_known_yet_waits_for_an_input_as_snakemake_wants_it(folder):
    inputs = ["config.yaml", "cache/data/images/samples.h5"]
    (folder / "config.yaml").touch()
    with pytest.raises(FileNotFoundError) as caught:
        needs().of("embed_images", CLEAN, inputs)
    assert caught.value.filename == inputs[1]


def test_where_nothing_can_be_waited_for_a_large_set_is_assumed():
    assumed = needs().of("embed_images", CLEAN, [])
    write_index(1000)
    assert assumed.mem_mb > needs().of("embed_images", CLEAN, []).mem_mb


def test_only_models_that_a_gpu_makes_faster_ask_for_one():
    write_index(1000)
    large = {"architecture": "ViT-B-32", "pretrained": "openai"}
    for rule, wildcards in (("embed_images", CLEAN), ("embed_text", BENCHMARK)):
        assert needs().of(rule, wildcards).gpu == 0
        assert needs(**large).of(rule, wildcards).gpu == 1
        assert needs(**large, device="cuda:1").of(rule, wildcards).gpu == 1
        assert needs(**large, device="cpu").of(rule, wildcards).gpu == 0


def test_training_asks_for_a_gpu_only_where_its_kind_uses_one_and_it_takes_long(monkeypatch):
    large, small = needs(adapt="images"), needs()
    monkeypatch.setattr(large, "rows", lambda _: 200_000)
    monkeypatch.setattr(load_method("self_training"), "USES_GPU", False, raising=False)
    assert large.of("train_probe", TRAINING).gpu == 0
    monkeypatch.setattr(load_method("self_training"), "USES_GPU", True)
    assert large.of("train_probe", TRAINING).gpu == 1
    assert small.of("train_probe", TRAINING).gpu == 0
    assert large.of("train_probe", {**TRAINING, "method": "zero_shot"}).gpu == 0


def test_a_larger_model_needs_more_memory():
    write_index(10)
    sizes = ["lpclip-tiny", "ViT-B-32", "ViT-L-14", "ViT-bigG-14"]
    memory = [
        needs(architecture=size, pretrained="embedded" if size == sizes[0] else "openai")
        .of("embed_images", CLEAN)
        .mem_mb
        for size in sizes
    ]
    assert memory == sorted(set(memory))
    assert memory[0] < 2000


def test_memory_of_labelling_and_training_is_bounded_by_the_setting(monkeypatch):
    found = needs(adapt="images")
    monkeypatch.setattr(found, "rows", lambda _: 1_280_000)
    for rule, wildcards in (("pseudo_labels", LABELS), ("train_probe", TRAINING)):
        assert found.of(rule, wildcards).mem_mb <= 8000
