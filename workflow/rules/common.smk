import json
import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

from snakemake.exceptions import WorkflowError

from lpclip.codehash import code_hash
from lpclip.config import complete
from lpclip.corruptions import FAMILIES
from lpclip.data import modules as modules_of_source
from lpclip.errors import LpclipError
from lpclip.methods import needs
from lpclip.tiny import WEIGHTS


envvars:
    "PATH",


# Jobs find the command that is installed beside this Python, whether or not its environment is
# active.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

try:
    config = complete(
        config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml"
    )
except LpclipError as error:
    raise WorkflowError(str(error))

ENVIRONMENT = "../../environment.yml"
MODELS, DATASETS, BENCHMARKS = (
    config["models"],
    config["datasets"],
    config["benchmarks"],
)
METHODS, LABELLINGS = config["methods"], config["labellings"]


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    dataset="|".join(map(re.escape, DATASETS)),
    benchmark="|".join(map(re.escape, BENCHMARKS)),
    method="|".join(map(re.escape, METHODS)),
    labelling="|".join(map(re.escape, LABELLINGS)) or "none",
    views="|".join(["clean", "adapt", *FAMILIES]),


def settings_of(rule):
    """The one param of a rule: what it uses of the configuration and the hash of its code."""
    make = globals()[f"settings_{rule}"]
    return lambda wildcards: json.dumps(make(wildcards), sort_keys=True)


def settings_index_samples(wildcards):
    source = DATASETS[wildcards.dataset]["source"]
    return {
        "dataset": wildcards.dataset,
        "source": source,
        "code": code_hash("lpclip.index_samples", *modules_of_source(source)),
    }


def settings_embed_text(wildcards):
    benchmark = BENCHMARKS[wildcards.benchmark]
    return {
        "model": {"name": wildcards.model, **MODELS[wildcards.model]},
        "class_names": benchmark["class_names"],
        "templates": benchmark["templates"],
        "code": code_hash("lpclip.embed_text"),
        "versions": versions(),
    }


def settings_embed_images(wildcards):
    dataset = DATASETS[wildcards.dataset]
    views, modules = views_of_pass(wildcards.views, dataset["views"])
    return {
        "dataset": wildcards.dataset,
        "source": dataset["source"],
        "model": {"name": wildcards.model, **MODELS[wildcards.model]},
        "views": views,
        "seed": dataset["views"]["seed"],
        "batch_size": config["compute"]["batch_size"],
        "code": code_hash(
            "lpclip.embed_images", *modules_of_source(dataset["source"]), *modules
        ),
        "versions": versions(),
    }


def views_of_pass(name, settings):
    """Views of a pass with their settings, and the modules that make them."""
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
        "code": code_hash("lpclip.pseudo_labels"),
    }


def settings_train_probe(wildcards):
    method = dict(METHODS[wildcards.method])
    kind = method.pop("kind")
    if "labelling" in method:
        method["labelling"] = LABELLINGS[method["labelling"]]
    return {
        "benchmark": wildcards.benchmark,
        "method": wildcards.method,
        "kind": kind,
        "seeds": config["seeds"],
        "settings": method,
        "code": code_hash("lpclip.train", f"lpclip.methods.{kind}"),
    }


def settings_evaluate(wildcards):
    of_test = wildcards.dataset == BENCHMARKS[wildcards.benchmark]["test"]
    return {
        "shift": "" if of_test else wildcards.dataset,
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
    return {"code": code_hash("lpclip.evaluate")}


def settings_report(wildcards):
    return {"code": code_hash("lpclip.report.stage")}


def model_files(wildcards):
    """Files on this machine that a model is loaded from."""
    pretrained = MODELS[wildcards.model]["pretrained"]
    if pretrained == "embedded":
        return [os.path.relpath(WEIGHTS)]
    return [pretrained] if Path(pretrained).suffix else []


def features(dataset, views):
    """Path of a feature cache of a dataset, by the name of its pass."""
    return f"cache/{{model}}/images/{dataset}/{views}.h5"


def features_of(role, views):
    """Input function: the cache of the dataset that has a role in a benchmark."""
    return lambda wildcards: features(
        BENCHMARKS[wildcards.benchmark][role], views
    ).format(model=wildcards.model)


def samples_of(role):
    """Input function: the index of the dataset that has a role in a benchmark."""
    return (
        lambda wildcards: f"cache/data/{BENCHMARKS[wildcards.benchmark][role]}/samples.h5"
    )


def method_inputs(wildcards):
    """What a method reads; its index with labels only where the kind of method declares it."""
    method = METHODS[wildcards.method]
    paths = {
        "pseudo_labels": f"results/{wildcards.model}/{wildcards.benchmark}/pseudo_labels/"
        f"{method.get('labelling')}.h5",
        "adapt": features_of("adapt", "adapt")(wildcards),
        "clean": features_of("adapt", "clean")(wildcards),
        "samples": samples_of("adapt")(wildcards),
    }
    return {name: paths[name] for name in needs(method["kind"])}


def method_options(wildcards, input):
    """Command-line options for these files."""
    names = needs(METHODS[wildcards.method]["kind"])
    return [
        text for name in names for text in (f"--{name.replace('_', '-')}", input[name])
    ]


def experiments(pattern):
    """A path for every model, benchmark and method."""
    return [
        pattern.format(model=model, benchmark=benchmark, method=method)
        for model in MODELS
        for benchmark in BENCHMARKS
        for method in METHODS
    ]


def parts(kind):
    """The evaluation's files of one kind for the whole configuration."""
    found = []
    for name, benchmark in BENCHMARKS.items():
        if kind == "robustness":
            passes = ["clean", *benchmark["corruptions"]]
            ends = [f"{benchmark['test']}/{views}" for views in passes]
            ends += [f"{shift}/clean" for shift in benchmark["shifts"]]
        else:
            ends = [*benchmark["ood"]["near"], *benchmark["ood"]["far"]]
        for model in MODELS:
            for method in METHODS:
                found += [
                    f"results/{model}/{name}/{method}/{kind}/{end}.csv" for end in ends
                ]
    return found
