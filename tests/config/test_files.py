"""Which files the rules read: labels only where they are declared."""

from pathlib import Path

import pytest

from lpclip.config import files
from lpclip.config.check import complete
from lpclip.methods.base import INPUTS
from lpclip.methods.registry import needs
from tests.helpers.published_sets import write_cifar_c

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
JOB = {"model": "tiny", "benchmark": "digits", "method": "lp_clip"}


@pytest.fixture
def config(tmp_path):
    write_cifar_c(tmp_path / "cifar", range(10), size=4)
    digits = {"kind": "digits"}
    (tmp_path / "map.csv").write_text(
        "folder,name\n" + "".join(f"{number},{name}\n" for number, name in enumerate(NAMES))
    )
    return {
        "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
        "datasets": {
            "adapt": {"source": {**digits, "split": "adapt"}},
            "test": {"source": {**digits, "split": "test"}, "on_bad_image": "skip"},
            "some": {"source": {**digits, "split": "test"}, "limit": 7, "on_bad_image": "skip"},
            "unused": {"source": {**digits, "split": "test"}, "limit": 8, "on_bad_image": "skip"},
            "photos": {"source": {"kind": "photo_patches", "n": 4}},
            "cifar-c": {"source": {"kind": "cifar_c", "root": str(tmp_path / "cifar")}},
        },
        "benchmarks": {
            "digits": {
                **{"class_names": NAMES, "templates": ["{}"], "adapt": "adapt", "test": "test"},
                **{"shifts": ["some"], "ood": {"far": ["photos"]}, "corruptions": ["blur"]},
                "official_corruptions": "cifar-c",
            }
        },
        "compute": {"workers": 3},
        "methods": {
            "zero_shot": {"kind": "zero_shot"},
            "lp_clip": {"kind": "self_training", "labelling": "auto"},
            "clean": {"kind": "self_training", "labelling": "auto", "student_view": "clean"},
            "guarded": {"kind": "guarded", "candidates": ["clean"]},
            "scaled": {"kind": "temperature_scaling", "method": "clean"},
            "supervised": {"kind": "supervised"},
        },
    }


def cache(dataset, views="clean"):
    return f"cache/tiny/images/{dataset}/{views}.h5"


def index(dataset):
    return f"cache/data/{dataset}/samples.h5"


PASSES = [("test", "clean"), ("test", "blur"), ("some", "clean")]
OFFICIAL = [("cifar-c", "noise"), ("cifar-c", "weather")]


def test_a_benchmark_is_evaluated_on_its_test_set_shifts_and_published_corruptions(config):
    checked = complete(config)
    passes = files.evaluated_passes(checked, checked.benchmarks["digits"])
    assert passes == [*PASSES, *OFFICIAL]
    features = [cache(*one) for one in passes]
    assert files.evaluated_features(checked, JOB) == features
    assert files.evaluated_samples(checked, JOB) == sorted(map(index, ("cifar-c", "some", "test")))
    # Pictures are of the test set alone.
    assert files.pictured_features(checked, JOB) == [one for one in features if "some" not in one]
    assert files.pictured_samples(checked, JOB) == [index("test")]
    ends = [f"{dataset}/{views}.csv" for dataset, views in passes]
    assert files.parts(checked, "robustness") == [
        f"results/tiny/digits/{method}/robustness/{end}"
        for method in config["methods"]
        for end in ends
    ]
    assert files.parts(checked, "ood")[0] == "results/tiny/digits/zero_shot/ood/photos.csv"


def test_the_evaluation_reads_the_index_of_what_it_measures_and_of_the_test_set(config):
    checked = complete(config)
    labelled = {"test_samples": index("test")}
    for dataset, inputs in {
        "test": {"samples": index("test")},
        "some": {"samples": index("some"), **labelled, "test": cache("test")},
        "cifar-c": {"samples": index("cifar-c"), **labelled},
    }.items():
        found = files.evaluation_inputs(checked, {**JOB, "dataset": dataset, "views": "clean"})
        assert found == inputs
    assert files.round_inputs(checked, JOB) == labelled


def test_without_a_labelled_test_set_no_index_of_it_is_read(config):
    benchmark = config["benchmarks"]["digits"]
    benchmark.update(test="photos", corruptions=[], ood={})
    del benchmark["official_corruptions"], config["methods"]["supervised"]
    checked = complete(config)
    assert checked.labelled == []
    assert files.round_inputs(checked, JOB) == {}
    assert files.pictured_samples(checked, JOB) == []
    assert files.evaluated_samples(checked, JOB) == [index("some")]
    test, shift = (
        files.evaluation_inputs(checked, {**JOB, "dataset": name}) for name in ("photos", "some")
    )
    assert (test, shift) == ({}, {"samples": index("some")})


def test_a_method_reads_what_its_kind_declares(config):
    checked = complete(config)
    results = "results/tiny/digits"
    paths = {
        "pseudo_labels": f"{results}/pseudo_labels/auto.h5",
        "adapt": cache("adapt", "adapt"),
        "clean": cache("adapt"),
        "probes": f"{results}/clean/probes.h5",
        "samples": index("adapt"),
    }
    assert set(paths) == set(INPUTS)
    for name, method in config["methods"].items():
        expected = {one: paths[one] for one in needs(method["kind"])}
        if name in ("clean", "guarded"):  # whose students look at clean views
            expected["adapt"] = cache("adapt")
        assert files.method_inputs(checked, {**JOB, "method": name}) == expected
    assert files.adapt_features(checked, JOB) == cache("adapt", "adapt")
    assert files.features_of(checked, JOB, "adapt") == cache("adapt")
    assert files.features_of(checked, JOB, "test") == cache("test")
    assert files.samples_of(checked, JOB, "test") == index("test")
    assert files.probes_of_benchmark(checked, JOB)[0] == f"{results}/zero_shot/probes.h5"


def test_an_adapter_reads_the_view_that_it_is_set_to(config):
    config["methods"] |= {"weak": {"kind": "stata"}, "other": {"kind": "stata", "view": "clean"}}
    checked = complete(config)
    for method, views in (("weak", "adapt"), ("other", "clean")):
        read = files.method_inputs(checked, {**JOB, "method": method})
        assert read == {"adapt": cache("adapt", views)}


def test_files_of_the_user_are_those_that_the_configuration_names(config, tmp_path):
    config["datasets"]["unused"]["class_map"] = str(tmp_path / "map.csv")
    checked = complete(config)
    (weights,) = files.model_files(checked, JOB)
    assert Path(weights).name == "weights.safetensors"
    assert files.source_files(checked, {"dataset": "test"}) == []
    assert files.class_map_file(checked, {"dataset": "test"}) == []
    assert files.class_map_file(checked, {"dataset": "unused"}) == [str(tmp_path / "map.csv")]


def test_targets_are_of_every_model_benchmark_and_method(config):
    config["models"]["other"] = {"architecture": "lpclip-tiny", "pretrained": "embedded"}
    config["benchmarks"]["more"] = {**config["benchmarks"]["digits"], "models": ["other"]}
    checked = complete(config)
    assert checked.pairs() == [("tiny", "digits"), ("other", "digits"), ("other", "more")]
    assert files.experiments(checked, "{model}/{benchmark}/{method}")[6:8] == [
        "other/digits/zero_shot",
        "other/digits/lp_clip",
    ]
    assert files.picture_files(checked)[2] == "results/other/more/pictures.json"
    # Of those that skip images, the ones that a benchmark uses.
    assert files.skipping_indices(checked) == [index("test"), index("some")]
    assert [files.index_workers(checked, {"dataset": name}) for name in ("test", "adapt")] == [3, 0]


def test_datasets_and_texts_are_embedded_or_precomputed(config):
    checked = complete(config)
    assert files.datasets(checked, images=True) == list(config["datasets"])
    assert files.datasets(checked, images=False) == []
    assert files.texts(checked, precomputed=False) == ["digits"]
    assert files.texts(checked, precomputed=True) == []
