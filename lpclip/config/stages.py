"""What each stage receives: the part of the configuration that it uses, and the hash of its code.

That is the one param of its rule, so that a change runs exactly the stages that use it: ``STAGES``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from lpclip.config import files
from lpclip.config.checked import Checked, plain
from lpclip.config.estimates import estimate_gains, points
from lpclip.config.files import Wildcards
from lpclip.config.passes import views_of_pass
from lpclip.config.stage_parts import (
    Given,
    checkpoint,
    code_and_plugins,
    marks,
    model_of,
    place_of_features,
    versions,
    with_scores,
)
from lpclip.config.transductive import methods_of
from lpclip.data.official import official_corruptions
from lpclip.data.registry import modules as modules_of_source
from lpclip.methods.registry import code_of, load_method, used_seeds
from lpclip.reporting.explorer.assets import explorer_hash
from lpclip.reporting.page.assets import assets_hash, shown_configuration
from lpclip.utils.code_hash import code_hash
from lpclip.utils.settings import settings_of


def index_samples(config: Checked, wildcards: Wildcards) -> Given:
    """Return which images of a source are used, and under which names of classes."""
    name = wildcards["dataset"]
    dataset = plain(config.datasets[name])
    chosen = [key for key in ("limit", "stratified") if key in dataset]
    read = [*files.source_files(config, wildcards), *files.class_map_file(config, wildcards)]
    used = ["class_map"] * ("class_map" in dataset) + chosen + ["seed"] * bool(chosen)
    return {
        "dataset": name,
        "source": dataset["source"],
        **{key: dataset[key] for key in used},
        "on_bad_image": dataset["on_bad_image"],
        **marks(read, files.source_addresses(config, wildcards)),
        **code_and_plugins("lpclip.data.index", *modules_of_source(dataset["source"])),
    }


def embed_text(config: Checked, wildcards: Wildcards) -> Given:
    """Return the texts of a benchmark, and a model."""
    benchmark = plain(config.benchmarks[wildcards["benchmark"]])
    return {
        "model": model_of(config, wildcards),
        "class_names": benchmark["class_names"],
        **{key: benchmark[key] for key in ("templates", "prompts") if key in benchmark},
        **checkpoint(config, wildcards),
        "code": code_hash("lpclip.features.text"),
        "versions": versions(),
    }


def embed_images(config: Checked, wildcards: Wildcards) -> Given:
    """Return the images of a dataset, a model, and the views of one pass."""
    name = wildcards["dataset"]
    dataset = config.datasets[name]
    assert dataset.views is not None
    official = official_corruptions(config.sources[name])
    views, modules = views_of_pass(wildcards["views"], dataset.views, official, config.corruptions)
    frost = views.get("frost", {}).get("frost_images")
    return {
        "dataset": name,
        "source": dataset.source,
        "model": model_of(config, wildcards),
        "views": views,
        # Nothing is random where no code makes views.
        **({"seed": dataset.views.seed} if modules else {}),
        "batch_size": config.compute.batch_size,
        **checkpoint(config, wildcards),
        # Pictures that the user gave, to be laid over images.
        **marks(sorted(map(str, Path(frost).iterdir())) if frost else []),
        **code_and_plugins("lpclip.features.images", *modules_of_source(dataset.source), *modules),
        "versions": versions(),
    }


def copy_text(config: Checked, wildcards: Wildcards) -> Given:
    """Return where the precomputed text features are."""
    benchmark = config.benchmarks[wildcards["benchmark"]]
    return {
        "model": model_of(config, wildcards),
        "class_names": plain(benchmark.class_names),
        **place_of_features(plain(benchmark.text_features)),
        **marks(files.text_feature_files(config, wildcards)),
        "code": code_hash("lpclip.features.imported"),
    }


def copy_features(config: Checked, wildcards: Wildcards) -> Given:
    """Return where the precomputed image features are."""
    return {
        "dataset": wildcards["dataset"],
        "model": model_of(config, wildcards),
        **place_of_features(config.datasets[wildcards["dataset"]].source),
        **marks(files.feature_files(config, wildcards)),
        "code": code_hash("lpclip.features.imported"),
    }


def pseudo_labels(config: Checked, wildcards: Wildcards) -> Given:
    """Return a labelling, and the view that the teacher labels."""
    return {
        "labelling": plain(config.labellings[wildcards["labelling"]]),
        "view": files.training_views("both", images=files.adapts_on_images(config, wildcards))[1],
        "code": code_hash("lpclip.methods.labelling.pseudo_labels"),
    }


def describe_pool(config: Checked, wildcards: Wildcards) -> Given:
    """Return the view of the adapt set that is described."""
    return {
        "benchmark": wildcards["benchmark"],
        "view": files.training_views("both", images=files.adapts_on_images(config, wildcards))[1],
        "code": code_hash("lpclip.methods.pool"),
    }


def train_probe(config: Checked, wildcards: Wildcards) -> Given:
    """Return a method with all that it names filled in, and its seeds."""
    method = config.methods[wildcards["method"]]
    return {
        "benchmark": wildcards["benchmark"],
        "method": wildcards["method"],
        "kind": method.kind,
        "seeds": used_seeds(method.kind, config.seeds),
        "settings": _method(config, wildcards, wildcards["method"]),
        **code_and_plugins("lpclip.methods.train", code_of(method.kind)),
    }


def evaluate(config: Checked, wildcards: Wildcards) -> Given:
    """Return whether a dataset is a shift, and a published one."""
    name = wildcards["dataset"]
    shift = files.role_of(config, wildcards) == "shift"
    return {
        "shift": name if shift else "",
        "published": (config.datasets[name].published or "") if shift else "",
        "code": code_hash("lpclip.evaluation.robustness"),
    }


def evaluate_ood(config: Checked, wildcards: Wildcards) -> Given:
    """Return whether an OOD dataset is near to the benchmark's classes or far from them."""
    near = wildcards["dataset"] in config.benchmarks[wildcards["benchmark"]].ood.near
    return {
        "dataset": wildcards["dataset"],
        "group": "near" if near else "far",
        **with_scores(config, "lpclip.evaluation.detection"),
    }


def evaluate_held_out(config: Checked, _: Wildcards) -> Given:
    """Return the scores of plugins."""
    return with_scores(config, "lpclip.evaluation.held_out")


def evaluate_samples(config: Checked, wildcards: Wildcards) -> Given:
    """Return which of the files are those of the test set and of shifts."""
    return {
        "test": (benchmark := config.benchmarks[wildcards["benchmark"]]).evaluated,
        "shifts": list(benchmark.shifts),
        "code": code_hash("lpclip.evaluation.paired"),
    }


def pictures(config: Checked, wildcards: Wildcards) -> Given:
    """Return where the images of the test set and its published corruptions are."""
    name = wildcards["benchmark"]
    benchmark = config.benchmarks[name]
    source = config.datasets[benchmark.evaluated].source
    corrupted = benchmark.official_corruptions
    official = {"official_source": config.datasets[corrupted].source} if corrupted else {}
    return {
        "source": source,
        **official,
        "order": [f"{name}/{method}" for method in methods_of(config, name)],
        **code_and_plugins(
            "lpclip.reporting.page.pictures",
            *modules_of_source(source),
            *(found for one in official.values() for found in modules_of_source(one)),
            *(f"lpclip.transforms.corruptions.{family}" for family in benchmark.corruptions),
            *(config.corruptions[one].code for one in benchmark.more_corruptions),
        ),
    }


def report(config: Checked, _: Wildcards) -> Given:
    """Return what was varied, and the order of the experiments.

    Snakemake compares the files of a rule as a set.
    """
    return {
        "order": files.experiments(config, "{model}/{benchmark}/{method}"),
        **points(config),
        "code": code_hash("lpclip.reporting.stage"),
    }


def page(config: Checked, _: Wildcards) -> Given:
    """Return the order of the experiments, and the configuration, which the page shows."""
    return {
        "order": files.experiments(config, "{model}/{benchmark}/{method}"),
        "configuration": shown_configuration(config.as_mapping()),
        "memory": not config.compute.share_imports,
        "code": f"{code_hash('lpclip.reporting.page.stage')}-{assets_hash()}",
    }


def thumbnails(config: Checked, wildcards: Wildcards) -> Given:
    """Return where the images of a dataset are, and how many are shown."""
    source = config.datasets[wildcards["dataset"]].source
    return {
        "source": source,
        "points": config.explorer.points,
        **code_and_plugins("lpclip.data.thumbnails", *modules_of_source(source)),
    }


def layout(config: Checked, wildcards: Wildcards) -> Given:
    """Return how the images of a benchmark are laid out, and which OOD sets are near to it."""
    return {
        "benchmark": wildcards["benchmark"],
        "near": list(config.benchmarks[wildcards["benchmark"]].ood.near),
        **plain(config.explorer),
        "code": code_hash("lpclip.evaluation.layout"),
    }


def explorer(config: Checked, _: Wildcards) -> Given:
    """Return the order of the experiments, and how many images are shown."""
    return {
        "order": files.experiments(config, "{model}/{benchmark}/{method}"),
        "points": config.explorer.points,
        "code": f"{code_hash('lpclip.reporting.explorer.stage')}-{explorer_hash()}",
    }


def _only_code(module: str) -> Callable[[Checked, Wildcards], Given]:
    """Return the function of a stage that uses nothing of the configuration."""
    return lambda _config, _wildcards: {"code": code_hash(module)}


STAGES: Mapping[str, Callable[[Checked, Wildcards], Given]] = {
    "index_samples": index_samples,
    "count_samples": _only_code("lpclip.data.count"),
    "embed_text": embed_text,
    "embed_images": embed_images,
    "copy_text": copy_text,
    "copy_features": copy_features,
    "pseudo_labels": pseudo_labels,
    "describe_pool": describe_pool,
    "train_probe": train_probe,
    "estimate_gains": estimate_gains,
    "evaluate": evaluate,
    "evaluate_features": _only_code("lpclip.evaluation.feature_detection"),
    "evaluate_ood": evaluate_ood,
    "evaluate_held_out": evaluate_held_out,
    "evaluate_rounds": _only_code("lpclip.evaluation.rounds"),
    "evaluate_samples": evaluate_samples,
    "predictions": _only_code("lpclip.evaluation.predictions"),
    "pictures": pictures,
    "report": report,
    "page": page,
    "thumbnails": thumbnails,
    "layout": layout,
    "explorer": explorer,
}


def _method(config: Checked, wildcards: Wildcards, name: str) -> Given:
    """Return the settings of a method on a benchmark, with all that they name filled in."""
    method = config.methods[name]
    settings: Given = plain(method.settings)
    if method.labelling is not None:
        settings["labelling"] = plain(config.labellings[method.labelling])
    images = files.adapts_on_images(config, wildcards)
    if "student_view" in settings:
        student, teacher = files.training_views(settings["student_view"], images=images)
        filled = {"teacher_view": teacher, "memory_gb": config.compute.memory_gb}
        filled |= {key: value for key, value in settings.items() if value is not None}
        known = settings_of(load_method(method.kind).Settings)
        settings = {key: value for key, value in filled.items() if key in known}
        settings["student_view"] = student
    if "view" in settings:
        settings["view"] = files.training_views(settings["view"], images=images)[1]
    if method.candidates:
        settings["trained"] = {one: _method(config, wildcards, one) for one in method.candidates}
    return settings
