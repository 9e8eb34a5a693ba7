"""What each stage receives, and that a setting changes what its own stages receive and no more."""

import copy
import json

import numpy as np
import pytest
import yaml

from lpclip.cli.stages import STAGES as COMMANDS
from lpclip.config import files
from lpclip.config.check import complete
from lpclip.config.jobs import Jobs
from lpclip.config.stages import STAGES
from lpclip.data.registry import has_images
from lpclip.reporting.page import run
from tests.helpers import ROOT

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
EMBEDDED = {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"}
EMBEDDED |= {"precision": "auto", "compile": False}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The default, and a benchmark on precomputed features."""
    monkeypatch.chdir(tmp_path)
    np.savez("f.npz", img=np.eye(4, 8), labels=[0, 1, 1, 0], text=np.eye(2, 8))
    config = copy.deepcopy(DEFAULT)
    config["models"]["mine"] = {"architecture": "x", "pretrained": "precomputed"}
    source = {"kind": "features", "path": "f.npz", "key": "img"}
    config["datasets"]["pool"] = {"source": {**source, "labels": "labels"}}
    config["benchmarks"]["digits"]["models"] = ["tiny"]
    config["benchmarks"]["pets"] = {
        **{"models": ["mine"], "class_names": ["cat", "dog"], "adapt": "pool"},
        "text_features": {"path": "f.npz", "key": "text"},
    }
    return config


def jobs(checked):
    """Rule and wildcards of every job of a configuration."""
    for name, dataset in checked.datasets.items():
        yield "index_samples", {"dataset": name}
        yield "count_samples", {"dataset": name}
        if has_images(dataset.source):
            yield "thumbnails", {"dataset": name}
        for views in files.PASSES if has_images(dataset.source) else ():
            yield "embed_images", {"model": "tiny", "dataset": name, "views": views}
    for model, name in checked.pairs():
        benchmark, pair = checked.benchmarks[name], {"model": model, "benchmark": name}
        if benchmark.text_features is None:
            yield "embed_text", pair
            yield "pictures", pair
        else:
            yield "copy_text", pair
            yield "copy_features", {"model": model, "dataset": benchmark.adapt, "views": "clean"}
        yield "describe_pool", pair
        yield "estimate_gains", pair
        yield "layout", pair
        for labelling in checked.labellings:
            yield "pseudo_labels", {**pair, "labelling": labelling}
        for dataset in (*benchmark.ood.near, *benchmark.ood.far):
            yield "evaluate_features", {**pair, "dataset": dataset}
        for method in checked.methods:
            job = {**pair, "method": method}
            for rule in ("train_probe", "evaluate_held_out", "evaluate_rounds", "evaluate_samples"):
                yield rule, job
            for dataset, views in files.evaluated_passes(checked, benchmark):
                yield "evaluate", {**job, "dataset": dataset, "views": views}
            for dataset in (*benchmark.ood.near, *benchmark.ood.far):
                yield "evaluate_ood", {**job, "dataset": dataset}
    for rule in ("predictions", "report", "page", "explorer"):
        yield rule, {}


def params(config):
    """Text that Snakemake compares, of every job."""
    checked = complete(config)
    made = Jobs(checked)
    return {
        (rule, *wildcards.values()): made.param(rule, wildcards)
        for rule, wildcards in jobs(checked)
    }


def test_every_stage_has_a_job_here(config):
    assert {rule for rule, *_ in params(config)} == STAGES.keys()


def received(config, rule, **wildcards):
    """What a stage receives, without the hash of its code and the versions of libraries."""
    given = json.loads(Jobs(complete(config)).param(rule, wildcards))
    assert given.pop("code")
    given.pop("versions", None)
    return given


def test_what_each_stage_receives(config):
    digits = {"model": "tiny", "benchmark": "digits"}
    names = config["benchmarks"]["digits"]["class_names"]
    source = {"kind": "digits", "split": "test"}
    assert received(config, "index_samples", dataset="digits-test") == {
        "dataset": "digits-test",
        "source": source,
        "on_bad_image": "error",
    }
    assert received(config, "embed_text", **digits) == {
        "model": EMBEDDED,
        "class_names": names,
        "templates": config["benchmarks"]["digits"]["templates"],
    }
    images = {"dataset": "digits-test", "source": source, "model": EMBEDDED}
    images["batch_size"] = "auto"
    clean = received(config, "embed_images", model="tiny", dataset="digits-test", views="clean")
    assert clean == {**images, "views": {"clean": {}}}  # and no seed: nothing is random
    adapt = received(config, "embed_images", model="tiny", dataset="digits-test", views="adapt")
    assert adapt["views"] == {
        "weak": {"versions": 8, "shift": 0.06, "smallest_crop": 0.9, "flips": []},
        "strong": {"versions": 8, "policy": "disjoint", "flips": []},
    }
    noise = received(config, "embed_images", model="tiny", dataset="digits-test", views="noise")
    corruptions = {"severities": [1, 2, 3, 4, 5], "parameters": "auto"}
    assert noise["views"]["shot_noise"] == corruptions
    assert len(noise["views"]) == 4
    assert (adapt["seed"], noise["seed"]) == (0, 0)

    mine = {"name": "mine", "architecture": "x", "pretrained": "precomputed"}
    mine |= {"precision": "auto", "compile": False}
    copied = received(config, "copy_text", model="mine", benchmark="pets")
    assert list(copied.pop("files")) == ["f.npz"]
    place = {"model": mine, "path": "f.npz"}
    assert copied == {**place, "key": "text", "class_names": ["cat", "dog"]}
    copied = received(config, "copy_features", model="mine", dataset="pool", views="clean")
    assert list(copied.pop("files")) == ["f.npz"]
    assert copied == {**place, "key": "img", "dataset": "pool"}  # not where labels are

    labelling = {
        **{
            "classes": "all",
            "images": "all",
            "labels": "hard",
            "temperature": 1.0,
            "structure": 0.0,
            "prior": "none",
        },
        **{"prior_radius": 0.35, "threshold": 0.5, "class_floor": 0.0, "top_k": 0},
    }
    teacher = received(config, "pseudo_labels", **digits, labelling="confident")
    assert teacher == {"labelling": labelling, "view": "weak"}
    pets = {"model": "mine", "benchmark": "pets"}
    teacher = received(config, "pseudo_labels", **pets, labelling="confident")
    assert teacher == {"labelling": labelling, "view": "clean"}  # there are no images

    trained = received(config, "train_probe", **digits, method="lp_clip")
    settings = trained.pop("settings")
    assert trained == {
        **{"benchmark": "digits", "method": "lp_clip", "kind": "self_training"},
        "seeds": [0, 1, 2],
    }
    assert (settings["labelling"], settings["rounds"]) == (labelling, 5)
    assert (settings["student_view"], settings["teacher_view"]) == ("strong", "weak")
    assert settings["optimisation"]["epochs"] == 20
    guarded = received(config, "train_probe", **digits, method="lp_clip_guarded")["settings"]
    assert guarded.pop("trained") == {
        name: received(config, "train_probe", **digits, method=name)["settings"]
        for name in ("lp_clip_auto", "lp_clip_balanced", "lp_clip")
    }
    candidates = ["lp_clip_auto", "lp_clip_balanced", "lp_clip"]
    adapters = ["stata", "transclip"]
    assert guarded == {"candidates": candidates, "adapters": adapters, "hours": 24.0}
    assert received(config, "train_probe", **digits, method="zero_shot")["seeds"] == [0]
    config["methods"]["stata"] = {"kind": "stata"}
    adapter = received(config, "train_probe", **digits, method="stata")
    assert (adapter["seeds"], adapter["settings"]["view"]) == ([0], "weak")
    adapter = received(config, "train_probe", **pets, method="stata")
    assert adapter["settings"]["view"] == "clean"  # there are no images

    job = {**digits, "method": "lp_clip"}
    test = received(config, "evaluate", **job, dataset="digits-test", views="clean")
    assert test == {"shift": "", "published": ""}
    for rule in ("evaluate_features", "evaluate_held_out", "evaluate_rounds", "predictions"):
        assert received(config, rule) == {}
    for dataset, group in (("letters", "near"), ("photos", "far")):
        ood = received(config, "evaluate_ood", **job, dataset=dataset)
        assert ood == {"dataset": dataset, "group": group}
    assert received(config, "evaluate_samples", **job) == {"test": "digits-test", "shifts": []}
    order = [f"digits/{method}" for method in config["methods"]]
    assert received(config, "pictures", **digits) == {"source": source, "order": order}
    order = [
        f"{pair}/{method}" for pair in ("tiny/digits", "mine/pets") for method in config["methods"]
    ]
    assert received(config, "report") == {"order": order}
    shown = received(config, "thumbnails", dataset="digits-test")
    assert shown == {"source": source, "points": 20_000}
    assert received(config, "layout", **digits) == {
        **{"benchmark": "digits", "near": ["letters"]},
        **{"layout": "pca", "points": 20_000},
    }
    assert received(config, "explorer") == {"order": order, "points": 20_000}
    page = received(config, "page")
    assert page["order"] == order
    assert {"compute", "explorer"} & page["configuration"].keys() == set()
    assert page["configuration"]["models"]["tiny"]["device"] == "auto"


def test_a_shift_and_a_smaller_dataset_are_part_of_what_their_stages_receive(config):
    config["datasets"]["digits-small"] = {
        "source": {"kind": "digits", "split": "test"},
        **{"limit": 50, "seed": 3, "stratified": {"share": 1}},
    }
    config["benchmarks"]["digits"]["shifts"] = ["digits-small"]
    index = received(config, "index_samples", dataset="digits-small")
    assert (index["limit"], index["seed"]) == (50, 3)
    assert index["stratified"] == {"share": 1, "rest": False}
    job = {"model": "tiny", "benchmark": "digits", "method": "lp_clip"}
    shift = received(config, "evaluate", **job, dataset="digits-small", views="clean")
    assert shift == {"shift": "digits-small", "published": ""}


def names(wanted):
    return {(rule, name) for rule, found in wanted.items() for name in found}


SETS = ["digits-adapt", "digits-test", "letters", "photos"]
LEARNED = ["lp_clip", "lp_clip_balanced", "lp_clip_auto", "lp_clip_guarded", "supervised"]
ALL = ["zero_shot", *LEARNED]
PAGE = ("page", "")


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (lambda c: c["compute"].update(threads=7, workers=2), set()),
        (
            lambda c: c["compute"].update(memory_gb=8.0),
            names({"train_probe": [name for name in LEARNED if name != "supervised"]}),
        ),
        (
            lambda c: c["compute"].update(batch_size=32),
            names({"embed_images": SETS}),
        ),
        (
            lambda c: c.update(explorer={"layout": "fisher"}),
            names({"layout": ["digits", "pets"]}),
        ),
        (
            lambda c: c.update(explorer={"points": 9}),
            {("explorer", "")} | names({"layout": ["digits", "pets"], "thumbnails": SETS}),
        ),
        (lambda c: c["models"]["tiny"].update(device="cpu"), {PAGE}),
        (
            lambda c: c["models"]["tiny"].update(precision="fp32"),
            {PAGE, ("embed_text", "digits")} | names({"embed_images": SETS}),
        ),
        (
            lambda c: c["models"]["mine"].update(scale=7.0),
            {PAGE, ("copy_text", "pets"), ("copy_features", "pool")},
        ),
        (
            lambda c: c["benchmarks"]["digits"]["templates"].append("{}"),
            {PAGE, ("embed_text", "digits")},
        ),
        (
            lambda c: c["views"].update(seed=1),
            {PAGE} | names({"embed_images": SETS}),
        ),
        (
            lambda c: c["datasets"]["digits-adapt"].update(views={"weak": {"shift": 0.1}}),
            {PAGE, ("embed_images", "digits-adapt")},
        ),
        (
            lambda c: c["datasets"]["photos"]["source"].update(n=900),
            {PAGE}
            | names({name: ["photos"] for name in ("index_samples", "embed_images", "thumbnails")}),
        ),
        (
            lambda c: c["datasets"]["digits-test"].update(limit=9),
            {PAGE, ("index_samples", "digits-test")},
        ),
        (
            lambda c: c["datasets"]["digits-test"].update(on_bad_image="skip"),
            {PAGE, ("index_samples", "digits-test")},
        ),
        (
            lambda c: c["labellings"]["confident"].update(threshold=0.6),
            {PAGE, ("pseudo_labels", "confident")}
            | names({"train_probe": ["lp_clip", "lp_clip_guarded"]}),
        ),
        (
            lambda c: c["labellings"]["auto"].update(top_k=9),
            {PAGE, ("pseudo_labels", "auto")}
            | names({"train_probe": ["lp_clip_auto", "lp_clip_guarded"]}),
        ),
        (
            lambda c: c["methods"]["lp_clip"].update(optimisation={"epochs": 3}),
            {PAGE} | names({"train_probe": ["lp_clip", "lp_clip_guarded"]}),
        ),
        (
            lambda c: c["methods"]["supervised"].update(c_steps=3),
            {PAGE, ("train_probe", "supervised")},
        ),
        (lambda c: c.update(seeds=[5, 6]), {PAGE} | names({"train_probe": ALL})),
        (lambda c: c.update(seeds=[0, 6]), {PAGE} | names({"train_probe": LEARNED})),
        (
            lambda c: c["benchmarks"]["digits"].update(ood={"far": ["letters", "photos"]}),
            {PAGE, ("evaluate_ood", "letters"), ("layout", "digits")},
        ),
        (
            lambda c: c.update(methods=dict(reversed(c["methods"].items()))),
            {PAGE, ("report", ""), ("explorer", ""), ("pictures", "digits")},
        ),
    ],
)
def test_a_setting_changes_what_its_own_stages_receive_and_no_more(config, edit, changed):
    config.setdefault("views", {})
    before = params(config)
    edit(config)
    after = params(config)
    assert before.keys() == after.keys()
    last = {  # of every rule the wildcard that settings differ by
        **{"embed_images": 2, "embed_text": 2, "copy_text": 2, "copy_features": 2, "pictures": 2},
        **{
            "thumbnails": 1,
            "layout": 2,
            "index_samples": 1,
            "pseudo_labels": 3,
            "train_probe": 3,
            "evaluate_ood": 4,
        },
    }
    found = {
        (key[0], key[last[key[0]]] if key[0] in last else "")
        for key in before
        if before[key] != after[key]
    }
    assert found == changed


def test_the_three_lists_of_stages_are_one():
    assert {*run._STAGES, "page"} == STAGES.keys()
    assert {name.replace("-", "_") for name in COMMANDS} == STAGES.keys()
