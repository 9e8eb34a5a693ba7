"""Which files the rules read, and which ones the targets need.

Wildcards are those of the rule whose input is looked up.
"""

import os
from collections.abc import Mapping
from typing import Literal, TypeAlias

from lpclip.config.checked import Checked, CheckedBenchmark
from lpclip.config.transductive import methods_of, text_name
from lpclip.corruption_names import FAMILIES
from lpclip.data.class_maps import IMAGENET
from lpclip.data.official import official_corruptions
from lpclip.data.registry import has_images
from lpclip.methods.registry import needs, predicts_pool_alone
from lpclip.models.spec import EMBEDDED, local_files
from lpclip.models.tiny import WEIGHTS
from lpclip.storage.arrays.registry import open_arrays

Wildcards: TypeAlias = Mapping[str, str]
Role: TypeAlias = Literal["adapt", "test"]
PASSES = ("clean", "adapt", *FAMILIES)


def datasets(config: Checked, *, images: bool) -> list[str]:
    """Return the datasets with images, or those of precomputed features."""
    found = config.datasets
    return [name for name in found if has_images(found[name].source) == images]


def texts(config: Checked, *, precomputed: bool) -> list[str]:
    """Return the benchmarks with precomputed text features of their own, or those without."""
    return [
        name
        for name, benchmark in config.benchmarks.items()
        if text_name(config, name) == name and bool(benchmark.text_features) == precomputed
    ]


def index_of(dataset: str) -> str:
    """Return the path of the index of a dataset, which holds its labels."""
    return f"cache/data/{dataset}/samples.h5"


def features(model: str, dataset: str, views: str) -> str:
    """Return the path of a feature cache, by the name of its pass."""
    return f"cache/{model}/images/{dataset}/{views}.h5"


def index_workers(config: Checked, wildcards: Wildcards) -> int:
    """Return how many processes read the images of a dataset to find those to skip."""
    skips = config.datasets[wildcards["dataset"]].on_bad_image == "skip"
    return config.compute.workers if skips else 0


def source_files(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the files that a dataset and its labels are read from, where its kind names them."""
    files = getattr(config.sources[wildcards["dataset"]], "files", list)
    return list(map(str, files()))


def source_addresses(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the addresses that a dataset is read from, where its kind names them."""
    return list(getattr(config.sources[wildcards["dataset"]], "addresses", list)())


def class_map_file(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the file that holds the names of a dataset's classes, if there is one."""
    class_map = config.datasets[wildcards["dataset"]].class_map
    return [class_map] if isinstance(class_map, str) and class_map != IMAGENET else []


def model_files(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the files on this machine that a model is loaded from."""
    model = config.models[wildcards["model"]]
    if model.pretrained == EMBEDDED:
        return [os.path.relpath(WEIGHTS)]
    return list(map(str, local_files(model.architecture, model.pretrained)))


def feature_files(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the files that hold the features of a dataset."""
    path = config.datasets[wildcards["dataset"]].source["path"]
    return list(map(str, open_arrays(path).files()))


def text_feature_files(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the files that hold the text features of a benchmark."""
    text = config.benchmarks[wildcards["benchmark"]].text_features
    assert text is not None
    return list(map(str, open_arrays(text.path).files()))


def text_of(config: Checked, wildcards: Wildcards) -> str:
    """Return the text cache of a benchmark."""
    name = text_name(config, wildcards["benchmark"])
    return f"cache/{wildcards['model']}/text/{name}.h5"


def role_of(config: Checked, wildcards: Wildcards) -> Literal["test", "official", "shift"]:
    """Return the role of an evaluated dataset in a benchmark."""
    benchmark, dataset = config.benchmarks[wildcards["benchmark"]], wildcards["dataset"]
    if dataset == benchmark.evaluated:
        return "test"
    return "official" if dataset == benchmark.official_corruptions else "shift"


def features_of(config: Checked, wildcards: Wildcards, role: Role) -> str:
    """Return the clean cache of the adapt set or of what is evaluated."""
    benchmark = config.benchmarks[wildcards["benchmark"]]
    dataset = benchmark.adapt if role == "adapt" else benchmark.evaluated
    return features(wildcards["model"], dataset, "clean")


def samples_of(config: Checked, wildcards: Wildcards, role: Role) -> str:
    """Return the index of the adapt set or of what is evaluated."""
    benchmark = config.benchmarks[wildcards["benchmark"]]
    return index_of(benchmark.adapt if role == "adapt" else benchmark.evaluated)


def training_views(student_view: str, *, images: bool) -> tuple[str, str]:
    """Return the views of student and teacher of self-training: the clean one without images.

    >>> training_views("both", images=True), training_views("both", images=False)
    (('both', 'weak'), ('clean', 'clean'))
    """
    if student_view == "clean" or not images:
        return "clean", "clean"
    return student_view, "weak"


def adapts_on_images(config: Checked, wildcards: Wildcards) -> bool:
    """Return whether the adapt set of a benchmark has images."""
    adapt = config.benchmarks[wildcards["benchmark"]].adapt
    return has_images(config.datasets[adapt].source)


def adapt_features(config: Checked, wildcards: Wildcards, student_view: str = "both") -> str:
    """Return the cache of the adapt set with the views of self-training."""
    views = training_views(student_view, images=adapts_on_images(config, wildcards))
    adapt = config.benchmarks[wildcards["benchmark"]].adapt
    return features(wildcards["model"], adapt, "clean" if "clean" in views else "adapt")


def method_inputs(config: Checked, wildcards: Wildcards) -> dict[str, str]:
    """Return what a method reads; the index, with its labels, only where its kind declares it."""
    method = config.methods[wildcards["method"]]
    # All candidates of a guard learn from one cache (config/check.py).
    trained = config.methods[method.candidates[0]] if method.candidates else method
    views = trained.settings.get("student_view", trained.settings.get("view", "both"))
    results = f"results/{wildcards['model']}/{wildcards['benchmark']}"
    paths = {
        "pseudo_labels": f"{results}/pseudo_labels/{method.labelling}.h5",
        "adapt": adapt_features(config, wildcards, views),
        "clean": features_of(config, wildcards, "adapt"),
        "probes": f"{results}/{method.base}/probes.h5",
        "samples": samples_of(config, wildcards, "adapt"),
    }
    return {name: paths[name] for name in needs(method.kind)}


def evaluation_inputs(config: Checked, wildcards: Wildcards) -> dict[str, str]:
    """Return what an evaluation reads besides features; no index of a set without labels."""
    role, labelled = role_of(config, wildcards), wildcards["benchmark"] in config.labelled
    inputs = {}
    if labelled or role != "test":
        inputs["samples"] = index_of(wildcards["dataset"])
    if labelled and role != "test":
        inputs["test_samples"] = samples_of(config, wildcards, "test")
    if labelled and role == "shift":
        inputs["test"] = features_of(config, wildcards, "test")
    return inputs


def round_inputs(config: Checked, wildcards: Wildcards) -> dict[str, str]:
    """Return the index of a labelled test set."""
    labelled = wildcards["benchmark"] in config.labelled
    return {"test_samples": samples_of(config, wildcards, "test")} if labelled else {}


def evaluated_features(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the caches of all that a method is evaluated on, the clean test set first."""
    benchmark = config.benchmarks[wildcards["benchmark"]]
    passes = evaluated_passes(config, benchmark, wildcards["method"])
    return [features(wildcards["model"], dataset, views) for dataset, views in passes]


def evaluated_samples(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the indices of what is evaluated, but not that of a test set without labels."""
    benchmark = config.benchmarks[wildcards["benchmark"]]
    passes = evaluated_passes(config, benchmark, wildcards["method"])
    names = {dataset for dataset, _ in passes}
    if wildcards["benchmark"] not in config.labelled:
        names.discard(benchmark.evaluated)
    return sorted(map(index_of, names))


def probes_of_benchmark(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the probes of every method."""
    name = wildcards["benchmark"]
    results = f"results/{wildcards['model']}/{name}"
    return [f"{results}/{method}/probes.h5" for method in methods_of(config, name)]


def pictured_features(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the caches of the test set: clean, then its corruptions, generated and published."""
    benchmark = config.benchmarks[wildcards["benchmark"]]
    return [
        features(wildcards["model"], dataset, views)
        for dataset, views in evaluated_passes(config, benchmark)
        if dataset not in benchmark.shifts
    ]


def pictured_samples(config: Checked, wildcards: Wildcards) -> list[str]:
    """Return the index of a labelled test set."""
    return list(round_inputs(config, wildcards).values())


def evaluated_passes(
    config: Checked, benchmark: CheckedBenchmark, method: str | None = None
) -> list[tuple[str, str]]:
    """Return dataset and pass of all that a benchmark is evaluated on, the clean test set first.

    A method, if it is given, that predicts only the images of its pool is evaluated on these alone.
    """
    if _is_of_pool(config, method):
        return [(benchmark.evaluated, "clean")]
    official = benchmark.official_corruptions
    found = set(official_corruptions(config.sources[official])) if official else set()
    return [
        *((benchmark.evaluated, views) for views in ("clean", *benchmark.made)),
        *((shift, "clean") for shift in benchmark.shifts),
        *((str(official), family) for family in FAMILIES if found & set(FAMILIES[family])),
    ]


def experiments(config: Checked, pattern: str, *, transductive: bool = True) -> list[str]:
    """Return a path for every model, benchmark and method, with or without transductive forms."""
    return [
        pattern.format(model=model, benchmark=benchmark, method=method)
        for model, benchmark in config.pairs()
        if transductive or config.benchmarks[benchmark].derived_from is None
        for method in methods_of(config, benchmark)
    ]


def of_pairs(config: Checked, name: str) -> list[str]:
    """Return the file of this name of every model and benchmark."""
    return [f"results/{model}/{benchmark}/{name}" for model, benchmark in config.pairs()]


def parts(config: Checked, kind: Literal["robustness", "ood", "ood_curves"]) -> list[str]:
    """Return the evaluation's files of one kind for the whole configuration."""
    found = []
    for model, name in config.pairs():
        benchmark = config.benchmarks[name]
        for method in methods_of(config, name):
            if kind == "robustness":
                ends = ["/".join(one) for one in evaluated_passes(config, benchmark, method)]
            else:
                ends = [*benchmark.ood.near, *benchmark.ood.far]
                ends = [] if _is_of_pool(config, method) else ends
            found += [f"results/{model}/{name}/{method}/{kind}/{end}.csv" for end in ends]
    return found


def _is_of_pool(config: Checked, method: str | None) -> bool:
    return method is not None and predicts_pool_alone(config.methods[method].kind)


def picture_files(config: Checked) -> list[str]:
    """Return the pictures of every model and benchmark whose test set has images."""
    with_images = datasets(config, images=True)
    return [
        f"results/{model}/{name}/pictures.json"
        for model, name in config.pairs()
        if config.benchmarks[name].evaluated in with_images
    ]


def skipping_indices(config: Checked) -> list[str]:
    """Return the indices that may leave out images, of all datasets in the reports."""
    used = {name for _, pair in config.pairs() for name in config.benchmarks[pair].datasets}
    return [
        index_of(name)
        for name, dataset in config.datasets.items()
        if name in used and dataset.on_bad_image == "skip"
    ]
