"""The configuration, checked before the first job: schema, names that must exist, data sources."""

import contextlib
import copy
import math
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from lpclip.config.datasets import check_datasets, with_class_maps
from lpclip.config.labels import check_labels, evaluated_set
from lpclip.config.models import complete_models
from lpclip.config.precomputed import check_features, complete_class_names
from lpclip.config.prompts import complete_prompts
from lpclip.data.base import Source
from lpclip.data.registry import has_images, open_source
from lpclip.errors import LpclipError, did_you_mean


def complete(config: Mapping[str, Any], schema: Path) -> dict[str, Any]:
    """The configuration with every default filled in.

    Args:
        config: as read from YAML files and the command line.
        schema: JSON schema (2020-12) in YAML, with defaults.

    Raises:
        LpclipError: an unknown key, a wrong value, a name that is not defined, a data source that
            refuses its settings, a model that cannot be, class names or templates that are none or
            do not fit the classes, or something that needs images where there are only features.
    """
    completed = copy.deepcopy(dict(config))
    _check_numbers(completed, "")
    validator = _validator(schema)
    for error in validator.iter_errors(completed):
        raise LpclipError(_sentence(error))
    for name, dataset in completed["datasets"].items():
        if not has_images(dataset["source"]):
            if "views" in dataset:
                raise LpclipError(
                    f"configuration: datasets.{name}.views are made from images, but the dataset "
                    "holds features made before. Remove the key."
                )
            continue
        views = _merge(completed["views"], dataset.get("views", {}))
        for error in _views_validator(schema).iter_errors(views):
            raise LpclipError(_sentence(error, f"datasets.{name}.views"))
        dataset["views"] = views
    for benchmark in completed["benchmarks"].values():
        benchmark.setdefault("models", list(completed["models"]))
    with _path_errors():
        _check_names(completed)
        complete_models(completed)
        complete_prompts(completed)
        sources = open_sources(completed)
        check_datasets(completed, sources)
        complete_class_names(completed)
        check_labels(completed, with_class_maps(completed, sources))
        for name, benchmark in completed["benchmarks"].items():
            _check_roles(name, benchmark, completed["datasets"])
        check_features(completed, sources)
    return completed


def open_sources(config: Mapping[str, Any]) -> dict[str, Source]:
    """The image source of every dataset.

    Raises:
        LpclipError: a source refuses its settings.
    """
    return {name: _open(name, dataset) for name, dataset in config["datasets"].items()}


def training_views(student_view: str, *, images: bool) -> tuple[str, str]:
    """Views that student and teacher of self-training look at: the clean one without images.

    Args:
        student_view: as configured: ``both``, ``strong``, ``weak`` or ``clean``.
        images: whether the adapt set has images.

    >>> training_views("both", images=True), training_views("both", images=False)
    (('both', 'weak'), ('clean', 'clean'))
    """
    if student_view == "clean" or not images:
        return "clean", "clean"
    return student_view, "weak"


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


@cache
def _validator(path: Path) -> Any:
    """Validator that also fills in defaults, before it looks at what it filled in."""
    schema = yaml.safe_load(path.read_text())
    check_properties = Draft202012Validator.VALIDATORS["properties"]

    def fill_and_check(
        validator: Any, properties: Mapping[str, Any], instance: Any, parent: Mapping[str, Any]
    ) -> Iterator[ValidationError]:
        if isinstance(instance, dict):
            for key, value in properties.items():
                if "default" in value:
                    instance.setdefault(key, copy.deepcopy(value["default"]))
        yield from check_properties(validator, properties, instance, parent)

    extended = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {"properties": fill_and_check}
    )
    return extended(schema)


@cache
def _views_validator(path: Path) -> Any:
    validator = _validator(path)
    return validator.evolve(
        schema={**validator.schema["$defs"]["views"], "$defs": validator.schema["$defs"]}
    )


def _sentence(error: Any, prefix: str = "") -> str:
    place = ".".join(filter(None, [prefix, *map(str, error.absolute_path)]))
    where = f"configuration: {place}" if place else "configuration"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        unknown = next(key for key in error.instance if key not in known)
        return f"{where} has an unknown key '{unknown}'. {did_you_mean(str(unknown), known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{where} lacks the key '{missing}'."
    if error.validator == "enum":
        allowed = ", ".join(map(str, error.validator_value))
        return f"{where} is {error.instance!r}; allowed: {allowed}."
    hint = _other_type(error) if error.validator == "type" else ""
    return f"{where}: {error.message}.{hint}"


def _other_type(error: Any) -> str:
    """What to write where YAML took a value for one of another type than it looks."""
    value, wanted = error.instance, str(error.validator_value)
    if "string" in wanted and not isinstance(value, dict | list):
        return " If it is text, put it in quotes."
    if isinstance(value, str) and ("number" in wanted or "integer" in wanted):
        with contextlib.suppress(ValueError):
            number = float(value)
            written = repr(int(number) if "integer" in wanted and number.is_integer() else number)
            return f" YAML reads this as text; write {written} without quotes."
    return ""


@contextlib.contextmanager
def _path_errors() -> Iterator[None]:
    """Turn what the file system refuses to look at, a name that is too long, into a sentence."""
    try:
        yield
    except OSError as error:
        raise LpclipError(
            f"configuration: the path '{error.filename}' cannot be looked at ({error.strerror}). "
            "Check it."
        ) from error


def _check_numbers(value: Any, where: str) -> None:
    """Refuse nan and infinity, which no setting can be, and which JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise LpclipError(f"configuration: {where} is {value}; give a finite number.")
    if isinstance(value, Mapping):
        for key, inside in value.items():
            _check_numbers(inside, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            _check_numbers(inside, f"{where}.{number}")


def _check_names(config: Mapping[str, Any]) -> None:
    datasets = config["datasets"]
    for name, benchmark in config["benchmarks"].items():
        named = {
            "adapt": [benchmark["adapt"]],
            "test": [evaluated_set(benchmark)],
            "shifts": benchmark["shifts"],
            "ood.near": benchmark["ood"]["near"],
            "ood.far": benchmark["ood"]["far"],
            "official_corruptions": [
                benchmark[key] for key in ("official_corruptions",) if key in benchmark
            ],
        }
        for key, values in named.items():
            for value in values:
                _defined(f"benchmarks.{name}.{key}", "dataset", value, datasets)
        for value in benchmark["models"]:
            _defined(f"benchmarks.{name}.models", "model", value, config["models"])
    for name, method in config["methods"].items():
        if "labelling" in method:
            where = f"methods.{name}.labelling"
            _defined(where, "labelling", method["labelling"], config["labellings"])
        if "method" in method:
            _check_base(name, config["methods"])


def _check_roles(name: str, benchmark: Mapping[str, Any], datasets: Mapping[str, Any]) -> None:
    """Refuse a dataset in two roles that exclude each other, under one name or under two."""
    near, far = benchmark["ood"]["near"], benchmark["ood"]["far"]
    excluded = [("shifts", benchmark["shifts"], "test", [evaluated_set(benchmark)])]
    own = {"adapt": [benchmark["adapt"]], "test": [evaluated_set(benchmark)]}
    own["shifts"] = benchmark["shifts"]
    excluded += [("ood.near", near, role, names) for role, names in own.items()]
    excluded += [("ood.far", far, role, names) for role, names in own.items()]
    excluded += [("ood.far", far, "ood.near", near)]
    for role, names, other_role, others in excluded:
        for one in names:
            for other in others:
                if _images_of(datasets[one]) == _images_of(datasets[other]):
                    same = "" if one == other else f", which has the images of '{other}'"
                    raise LpclipError(
                        f"configuration: benchmarks.{name}.{role} names dataset '{one}'{same}; "
                        f"the same images are its '{other_role}' already. Remove one of the two."
                    )
    for role, names in (("shifts", benchmark["shifts"]), ("ood.near", near), ("ood.far", far)):
        for place, one in enumerate(names):
            for other in names[:place]:
                if _images_of(datasets[one]) == _images_of(datasets[other]):
                    raise LpclipError(
                        f"configuration: benchmarks.{name}.{role} names the same images twice, as "
                        f"'{other}' and as '{one}'. Remove one of the two."
                    )


def _images_of(dataset: Mapping[str, Any]) -> list[Any]:
    """What tells whether two datasets have the same images, however their paths are spelled."""
    source = {key: value for key, value in dataset["source"].items() if key != "labelled"}
    for key in ("root", "path"):
        if isinstance(source.get(key), str):
            source[key] = os.path.realpath(source[key])
    return [source, *(dataset.get(key) for key in ("limit", "stratified", "seed"))]


def _check_base(name: str, methods: Mapping[str, Any]) -> None:
    """A method that is made from another one's probes, and so on, ends at one that is not."""
    method, chain = methods[name], [name]
    where = f"methods.{name}.method"
    while "method" in method:
        _defined(f"methods.{chain[-1]}.method", "method", method["method"], methods)
        if method["method"] in chain:
            raise LpclipError(
                f"configuration: {where} leads back to itself: "
                f"{' -> '.join([*chain, method['method']])}."
            )
        chain.append(method["method"])
        method = methods[method["method"]]
    kind = methods[methods[name]["method"]]["kind"]
    if methods[name]["kind"] == "guarded" and kind != "self_training":
        raise LpclipError(
            f"configuration: {where} names method '{methods[name]['method']}' of kind '{kind}'; "
            "only a method of kind 'self_training' can be guarded."
        )


def _defined(where: str, what: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise LpclipError(
            f"configuration: {where} names {what} '{name}', which is not defined. "
            f"{did_you_mean(name, known)}"
        )


def _open(name: str, dataset: Mapping[str, Any]) -> Source:
    settings = dict(dataset["source"])
    try:
        return open_source(settings.pop("kind"), settings)
    except LpclipError as error:
        raise LpclipError(f"configuration: datasets.{name}: {error}") from error
