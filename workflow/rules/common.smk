import json
import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

from snakemake.exceptions import WorkflowError

from lpclip.class_maps import IMAGENET
from lpclip.codehash import code_hash
from lpclip.config import complete, open_sources, training_views
from lpclip.config_datasets import with_class_maps
from lpclip.config_labels import evaluated_set, has_labelled_test
from lpclip.config_precomputed import datasets_of
from lpclip.corruptions import FAMILIES, SEVERITIES
from lpclip.data import has_images
from lpclip.data._official import official_corruptions
from lpclip.data import modules as modules_of_source
from lpclip.errors import LpclipError
from lpclip.feature_files import open_arrays
from lpclip.methods import needs, used_seeds
from lpclip.model_spec import local_files
from lpclip.page.assets import assets_hash, shown_configuration
from lpclip.permissions import check_writable
from lpclip.tiny import WEIGHTS


envvars:
    "PATH",


# Jobs find the command that is installed beside this Python, whether or not its environment is
# active.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

try:
    check_writable(Path.cwd())
    config = complete(
        config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml"
    )
except LpclipError as error:
    raise WorkflowError(str(error))

SOURCES = open_sources(config)
ENVIRONMENT = "../../environment.yml"
MODELS, DATASETS, BENCHMARKS = (
    config["models"],
    config["datasets"],
    config["benchmarks"],
)
METHODS, LABELLINGS = config["methods"], config["labellings"]
# What is embedded here, and what was embedded before and is copied.
IMAGES = [name for name in DATASETS if has_images(DATASETS[name]["source"])]
FEATURES = [name for name in DATASETS if name not in IMAGES]
TEXT_FEATURES = [name for name in BENCHMARKS if "text_features" in BENCHMARKS[name]]
TEXTS = [name for name in BENCHMARKS if name not in TEXT_FEATURES]
# What accuracy can be told of.
RENAMED = with_class_maps(config, SOURCES)
LABELLED = [n for n in BENCHMARKS if has_labelled_test(BENCHMARKS[n], RENAMED)]


def one_of(names):
    """Regular expression that matches the names, nothing where there is none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    model=one_of(MODELS),
    dataset=one_of(DATASETS),
    benchmark=one_of(BENCHMARKS),
    method=one_of(METHODS),
    labelling=one_of(LABELLINGS),
    views=one_of(["clean", "adapt", *FAMILIES]),


def settings_of(rule):
    """The one param of a rule: what it uses of the configuration and the hash of its code."""
    make = globals()[f"settings_{rule}"]
    return lambda wildcards: json.dumps(make(wildcards), sort_keys=True)


def settings_index_samples(wildcards):
    dataset = DATASETS[wildcards.dataset]
    drawn = [key for key in ("limit", "stratified") if key in dataset]
    used = ["class_map"] * ("class_map" in dataset) + drawn + ["seed"] * bool(drawn)
    return {
        "dataset": wildcards.dataset,
        "source": dataset["source"],
        **{key: dataset[key] for key in used},
        "on_bad_image": dataset["on_bad_image"],
        "code": code_hash(
            "lpclip.index_samples", *modules_of_source(dataset["source"])
        ),
    }


def index_workers(wildcards):
    """Processes that read the images of a dataset to find those to skip."""
    skips = DATASETS[wildcards.dataset]["on_bad_image"] == "skip"
    return config["compute"]["workers"] if skips else 0


def index_threads(wildcards):
    return max(1, index_workers(wildcards))


def class_map_file(wildcards):
    """The file that holds the names of a dataset's classes, if there is one."""
    class_map = DATASETS[wildcards.dataset].get("class_map")
    return [class_map] if isinstance(class_map, str) and class_map != IMAGENET else []


def skipping_indices():
    """Indices that may leave out images, of all datasets that are reported on."""
    used = {name for _, pair in pairs() for name in datasets_of(BENCHMARKS[pair])}
    return [
        f"cache/data/{name}/samples.h5"
        for name in DATASETS
        if name in used and DATASETS[name]["on_bad_image"] == "skip"
    ]


def model_settings(wildcards):
    """What a stage knows of its model: where it runs changes no result."""
    model = {"name": wildcards.model, **MODELS[wildcards.model]}
    del model["device"]
    return model


def settings_embed_text(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    return {
        "model": model_settings(wildcards),
        "class_names": benchmark["class_names"],
        **{key: benchmark[key] for key in ("templates", "prompts") if key in benchmark},
        "code": code_hash("lpclip.embed_text"),
        "versions": versions(),
    }


def settings_embed_images(wildcards):
    dataset = DATASETS[wildcards.dataset]
    views, modules = views_of_pass(
        wildcards.views,
        dataset["views"],
        official_corruptions(SOURCES[wildcards.dataset]),
    )
    return {
        "dataset": wildcards.dataset,
        "source": dataset["source"],
        "model": model_settings(wildcards),
        "views": views,
        "seed": dataset["views"]["seed"],
        "batch_size": config["compute"]["batch_size"],
        "code": code_hash(
            "lpclip.embed_images", *modules_of_source(dataset["source"]), *modules
        ),
        "versions": versions(),
    }


def settings_copy_text(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    return {
        "model": model_settings(wildcards),
        "class_names": benchmark["class_names"],
        **place_of(benchmark["text_features"]),
        "code": code_hash("lpclip.copy_features"),
    }


def settings_copy_features(wildcards):
    return {
        "dataset": wildcards.dataset,
        "model": model_settings(wildcards),
        **place_of(DATASETS[wildcards.dataset]["source"]),
        "code": code_hash("lpclip.copy_features"),
    }


def place_of(source):
    """Where features are; what copies them is not told where labels are."""
    return {key: source[key] for key in ("path", "key") if key in source}


def views_of_pass(name, settings, official):
    """Views of a pass with their settings, and the modules that make them."""
    if official:
        settings = {"official": True, "severities": list(SEVERITIES)}
        return {
            corruption: settings
            for corruption in FAMILIES[name]
            if corruption in official
        }, []
    if name == "clean":
        return {"clean": {}}, []
    if name == "adapt":
        views = {
            kind: {**settings[kind], "flips": settings["flips"]}
            for kind in ("weak", "strong")
        }
        return views, ["lpclip.rng", "lpclip.views"]
    views = {corruption: settings["corruptions"] for corruption in FAMILIES[name]}
    return views, ["lpclip.rng", f"lpclip.corruptions.{name}"]


def versions():
    return {
        name: version(name)
        for name in ("torch", "torchvision", "open_clip_torch", "pillow")
    }


def settings_pseudo_labels(wildcards):
    return {
        "labelling": LABELLINGS[wildcards.labelling],
        "view": training_views("auto", images=adapts_on_images(wildcards))[1],
        "code": code_hash("lpclip.pseudo_labels"),
    }


def settings_train_probe(wildcards):
    method = METHODS[wildcards.method]
    return {
        "benchmark": wildcards.benchmark,
        "method": wildcards.method,
        "kind": method["kind"],
        "seeds": used_seeds(method["kind"], config["seeds"]),
        "settings": settings_of_method(wildcards, method),
        "code": code_hash("lpclip.train", f"lpclip.methods.{method['kind']}"),
    }


def settings_of_method(wildcards, method):
    """Settings of a method on a benchmark, with all that they name filled in."""
    settings = {key: value for key, value in method.items() if key != "kind"}
    if "labelling" in settings:
        settings["labelling"] = LABELLINGS[settings["labelling"]]
    if "student_view" in settings:
        settings["student_view"], settings["teacher_view"] = training_views(
            settings["student_view"], images=adapts_on_images(wildcards)
        )
    if method["kind"] == "guarded":
        settings["training"] = settings_of_method(wildcards, METHODS[method["method"]])
    return settings


def settings_evaluate(wildcards):
    shift = role_of(wildcards) == "shift"
    return {
        "shift": wildcards.dataset if shift else "",
        "published": DATASETS[wildcards.dataset].get("published", "") if shift else "",
        "code": code_hash("lpclip.evaluate"),
    }


def settings_evaluate_ood(wildcards):
    near = wildcards.dataset in BENCHMARKS[wildcards.benchmark]["ood"]["near"]
    return {
        "dataset": wildcards.dataset,
        "group": "near" if near else "far",
        "code": code_hash("lpclip.evaluate"),
    }


def settings_evaluate_rounds(wildcards):
    return {"code": code_hash("lpclip.evaluate_rounds")}


def settings_evaluate_samples(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    return {
        "test": evaluated_set(benchmark),
        "shifts": benchmark["shifts"],
        "code": code_hash("lpclip.evaluate_samples"),
    }


def settings_predictions(wildcards):
    return {"code": code_hash("lpclip.predictions")}


def settings_pictures(wildcards):
    source = DATASETS[dataset_of(wildcards, "test")]["source"]
    families = BENCHMARKS[wildcards.benchmark]["corruptions"]
    return {
        "source": source,
        "order": [f"{wildcards.benchmark}/{method}" for method in METHODS],
        "code": code_hash(
            "lpclip.pictures",
            *modules_of_source(source),
            *(f"lpclip.corruptions.{family}" for family in families),
        ),
    }


def role_of(wildcards):
    """What a dataset that is evaluated is to the benchmark."""
    benchmark = BENCHMARKS[wildcards.benchmark]
    if wildcards.dataset == evaluated_set(benchmark):
        return "test"
    official = wildcards.dataset == benchmark.get("official_corruptions")
    return "official" if official else "shift"


def settings_report(wildcards):
    # The command sees the order in that of its files, which Snakemake compares as a set.
    return {
        "order": experiments("{model}/{benchmark}/{method}"),
        "code": code_hash("lpclip.report.stage"),
    }


def settings_page(wildcards):
    return {
        "order": experiments("{model}/{benchmark}/{method}"),
        "configuration": shown_configuration(config),
        "code": f"{code_hash('lpclip.page.stage')}-{assets_hash()}",
    }


def model_files(wildcards):
    """Files on this machine that a model is loaded from."""
    model = MODELS[wildcards.model]
    if model["pretrained"] == "embedded":
        return [os.path.relpath(WEIGHTS)]
    return list(map(str, local_files(model["architecture"], model["pretrained"])))


def device_of(wildcards):
    return MODELS[wildcards.model]["device"]


def features(dataset, views):
    """Path of a feature cache of a dataset, by the name of its pass."""
    return f"cache/{{model}}/images/{dataset}/{views}.h5"


def dataset_of(wildcards, role):
    """The dataset that has a role in a benchmark; the adapt set where there is no test set."""
    benchmark = BENCHMARKS[wildcards.benchmark]
    return evaluated_set(benchmark) if role == "test" else benchmark[role]


def features_of(role, views):
    """Input function: the cache of the dataset that has a role in a benchmark."""
    return lambda wildcards: features(dataset_of(wildcards, role), views).format(
        model=wildcards.model
    )


def adapts_on_images(wildcards):
    return BENCHMARKS[wildcards.benchmark]["adapt"] in IMAGES


def adapt_features(wildcards, student_view="auto"):
    """The cache of the adapt set with the views that self-training looks at."""
    views = training_views(student_view, images=adapts_on_images(wildcards))
    return features_of("adapt", "clean" if "clean" in views else "adapt")(wildcards)


def source_files(wildcards):
    """Files that a dataset is read from, its labels among them, where its kind names them."""
    files = getattr(SOURCES[wildcards.dataset], "files", list)
    return list(map(str, files()))


def feature_files(wildcards):
    """Files that hold the features of a dataset."""
    return list(
        map(str, open_arrays(DATASETS[wildcards.dataset]["source"]["path"]).files())
    )


def text_feature_files(wildcards):
    """Files that hold the text features of a benchmark."""
    text = BENCHMARKS[wildcards.benchmark]["text_features"]
    return list(map(str, open_arrays(text["path"]).files()))


def samples_of(role):
    """Input function: the index of the dataset that has a role in a benchmark."""
    return lambda wildcards: index_of(dataset_of(wildcards, role))


def index_of(dataset):
    """Path of the index of a dataset, which holds its labels."""
    return f"cache/data/{dataset}/samples.h5"


def evaluation_inputs(wildcards):
    """What the evaluation of a dataset reads, but for features; no index where labels lack."""
    role, test = role_of(wildcards), dataset_of(wildcards, "test")
    labelled = wildcards.benchmark in LABELLED
    inputs = {}
    if labelled or role != "test":
        inputs["samples"] = index_of(wildcards.dataset)
    if labelled and role != "test":
        inputs["test_samples"] = index_of(test)
    if labelled and role == "shift":
        inputs["test"] = features(test, "clean").format(model=wildcards.model)
    return inputs


def round_inputs(wildcards):
    """The index of a labelled test set."""
    labelled = wildcards.benchmark in LABELLED
    return {"test_samples": samples_of("test")(wildcards)} if labelled else {}


def options(names):
    """Param: command-line options for those of a rule's named inputs that it has."""
    return lambda wildcards, input: [
        text
        for name in names
        if name in input.keys()
        for text in (f"--{name.replace('_', '-')}", input[name])
    ]


def method_inputs(wildcards):
    """What a method reads; its index with labels only where the kind of method declares it."""
    method = METHODS[wildcards.method]
    guarded = METHODS[method["method"]] if method["kind"] == "guarded" else method
    paths = {
        "pseudo_labels": f"results/{wildcards.model}/{wildcards.benchmark}/pseudo_labels/"
        f"{method.get('labelling')}.h5",
        "adapt": adapt_features(wildcards, guarded.get("student_view", "auto")),
        "clean": features_of("adapt", "clean")(wildcards),
        "probes": f"results/{wildcards.model}/{wildcards.benchmark}/{method.get('method')}/probes.h5",
        "samples": samples_of("adapt")(wildcards),
    }
    return {name: paths[name] for name in needs(method["kind"])}


def method_options(wildcards, input):
    """Command-line options for these files."""
    names = needs(METHODS[wildcards.method]["kind"])
    return [
        text for name in names for text in (f"--{name.replace('_', '-')}", input[name])
    ]


def pairs():
    """Every model with every benchmark that is run with it."""
    return [
        (model, name)
        for model in MODELS
        for name, benchmark in BENCHMARKS.items()
        if model in benchmark["models"]
    ]


def experiments(pattern):
    """A path for every model, benchmark and method."""
    return [
        pattern.format(model=model, benchmark=benchmark, method=method)
        for model, benchmark in pairs()
        for method in METHODS
    ]


def official_passes(benchmark):
    """Dataset and pass of every family of which there are published corruptions."""
    name = benchmark.get("official_corruptions")
    found = official_corruptions(SOURCES[name]) if name else []
    return [
        f"{name}/{family}" for family in FAMILIES if set(found) & set(FAMILIES[family])
    ]


def evaluated_passes(benchmark):
    """Dataset and pass of all that a benchmark is evaluated on, the clean test set first."""
    passes = ["clean", *benchmark["corruptions"]]
    return [
        *(f"{evaluated_set(benchmark)}/{views}" for views in passes),
        *(f"{shift}/clean" for shift in benchmark["shifts"]),
        *official_passes(benchmark),
    ]


def evaluated_features(wildcards):
    return [
        f"cache/{wildcards.model}/images/{end}.h5"
        for end in evaluated_passes(BENCHMARKS[wildcards.benchmark])
    ]


def evaluated_samples(wildcards):
    """The indices of what is evaluated, but not that of a test set without labels."""
    benchmark = BENCHMARKS[wildcards.benchmark]
    test = evaluated_set(benchmark)
    names = {end.partition("/")[0] for end in evaluated_passes(benchmark)}
    if wildcards.benchmark not in LABELLED:
        names.discard(test)
    return sorted(map(index_of, names))


def probes_of_benchmark(wildcards):
    return [
        f"results/{wildcards.model}/{wildcards.benchmark}/{method}/probes.h5"
        for method in METHODS
    ]


def pictured_features(wildcards):
    """The caches of the test set: clean, then its generated corruptions."""
    test = dataset_of(wildcards, "test")
    families = BENCHMARKS[wildcards.benchmark]["corruptions"]
    return [
        f"cache/{wildcards.model}/images/{test}/{views}.h5"
        for views in ("clean", *families)
    ]


def pictured_samples(wildcards):
    labelled = wildcards.benchmark in LABELLED
    return [samples_of("test")(wildcards)] if labelled else []


def picture_files():
    """Pictures of every model and benchmark whose test set has images."""
    return [
        f"results/{model}/{name}/pictures.json"
        for model, name in pairs()
        if evaluated_set(BENCHMARKS[name]) in IMAGES
    ]


def parts(kind):
    """The evaluation's files of one kind for the whole configuration."""
    found = []
    for model, name in pairs():
        benchmark = BENCHMARKS[name]
        if kind == "robustness":
            ends = evaluated_passes(benchmark)
        else:
            ends = [*benchmark["ood"]["near"], *benchmark["ood"]["far"]]
        for method in METHODS:
            found += [
                f"results/{model}/{name}/{method}/{kind}/{end}.csv" for end in ends
            ]
    return found
