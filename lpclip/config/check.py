"""The configuration, checked before the first job: values, names that must exist, data sources."""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lpclip.config.checked import Checked, CheckedBenchmark
from lpclip.config.datasets import check_datasets, open_sources, with_class_maps
from lpclip.config.labels import (
    check_labels,
    corruptions_of,
    has_labelled_test,
    more_corruptions_of,
)
from lpclip.config.methods import Method
from lpclip.config.models import check_model
from lpclip.config.passes import TAKEN
from lpclip.config.plugins import use_plugins
from lpclip.config.precomputed import check_features, checked_class_names, with_weights
from lpclip.config.prompts import read_texts
from lpclip.config.schema import WHERE, Configuration, Dataset, Roles, Views
from lpclip.config.sweeps import Point, Sweeps, expand
from lpclip.config.transductive import check_methods, with_transductive
from lpclip.data.registry import FEATURES
from lpclip.errors import LpclipError, did_you_mean
from lpclip.ood_score_names import SCORES
from lpclip.utils.settings import arguments, at, convert, settings_of

_KEPT = (
    "corruptions",
    "scores",
    "plugins",
    "seeds",
    "compute",
    "views",
    "explorer",
    "models",
    "datasets",
    "labellings",
    "methods",
)


def complete(given: Mapping[str, Any], files: Iterable[str | Path] = ()) -> Checked:
    """Check a configuration as it is given, and fill in every default and all texts.

    Args:
        given: the configuration.
        files: that it was read from: their folders may have plugins.

    Raises:
        LpclipError: a plugin that cannot be used, an unknown key, a wrong value, a name that is not
            defined, a sweep that cannot be, a data source that refuses its settings, a model that
            cannot be, class names or templates that are none or do not fit the classes, or
            something that needs images where there are only features.
    """
    given, sweeps = expand(given)
    with sweeps.in_errors():
        return _complete(given, files, sweeps)


def _complete(given: Mapping[str, Any], files: Iterable[str | Path], sweeps: Sweeps) -> Checked:
    config = read(given, files)
    with _path_errors():
        _check_names(config, sweeps)
        for name, model in config.models.items():
            check_model(name, model)
        texts = {name: read_texts(name, one) for name, one in config.benchmarks.items()}
        sources = open_sources(config.datasets)
        check_datasets(config.datasets, sources)
        names = {
            name: checked_class_names(name, benchmark, texts[name].class_names)
            for name, benchmark in config.benchmarks.items()
        }
        renamed = with_class_maps(config.datasets, sources)
        benchmarks = {
            name: CheckedBenchmark(
                **{key: getattr(one, key) for key in settings_of(Roles)},
                models=list(config.models) if one.models is None else one.models,
                class_names=names[name],
                templates=texts[name].templates,
                prompts=texts[name].prompts,
                corruptions=corruptions_of(one, renamed),
                more_corruptions=more_corruptions_of(one, renamed, config.corruptions),
            )
            for name, one in config.benchmarks.items()
        }
        benchmarks = with_transductive(benchmarks)
        checked = Checked(
            **{key: getattr(config, key) for key in _KEPT},
            benchmarks=benchmarks,
            sources=sources,
            sweeps=sweeps,
            labelled=[n for n, one in benchmarks.items() if has_labelled_test(one, renamed)],
        )
        check_methods(checked)
        check_labels(checked, renamed)
        for name, benchmark in checked.benchmarks.items():
            _check_roles(name, benchmark, checked.datasets)
        check_features(checked)
        return replace(checked, models=with_weights(checked))


def read(given: Mapping[str, Any], files: Iterable[str | Path] = ()) -> Configuration:
    """Turn a configuration into typed objects, which refuse what a setting cannot be.

    Raises:
        LpclipError: a plugin that cannot be used, an unknown key, a missing one or a value that is
            not allowed.
    """
    given, _ = expand(given)
    _check_values(given, ())
    use_plugins(given, files)
    views = given.get("views", {})
    convert(Views, views, where=WHERE, path=("views",))
    datasets = given.get("datasets")
    if isinstance(datasets, Mapping):
        inherited = {name: _with_views(name, one, views) for name, one in datasets.items()}
        given = {**given, "datasets": inherited}
    return Configuration(**arguments(settings_of(Configuration), given, where=WHERE))


def _with_views(name: str, dataset: Any, views: Mapping[str, Any]) -> Any:
    """Return a dataset with all of its views: those of the section, and where it differs."""
    if not isinstance(dataset, Mapping):
        return dataset
    source = dataset.get("source")
    if isinstance(source, Mapping) and source.get("kind") == FEATURES:
        if "views" in dataset:
            raise LpclipError(
                f"configuration: datasets.{name}.views are made from images, but the dataset "
                "holds precomputed features. Remove the key."
            )
        return dataset
    return {**dataset, "views": _merge(views, dataset.get("views", {}))}


def _merge(base: Any, changes: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(changes, Mapping)):
        return changes
    merged = {key: _merge(base.get(key), value) for key, value in changes.items()}
    return {**base, **merged}


@contextlib.contextmanager
def _path_errors() -> Iterator[None]:
    """Turn what the file system refuses to look up, a name that is too long, into a sentence."""
    try:
        yield
    except OSError as error:
        raise LpclipError(
            f"configuration: the path '{error.filename}' cannot be used ({error.strerror}). "
            "Check it."
        ) from error


def _check_values(value: Any, path: tuple[Any, ...]) -> None:
    """Refuse nothing, nan and infinity, which no setting can be, and JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise LpclipError(f"{at(WHERE, path)} is {value}; give a finite number.")
    if value is None and "source" not in path:
        raise LpclipError(f"{at(WHERE, path)} is empty; give a value, or remove the key.")
    if isinstance(value, Mapping):
        for key, inside in value.items():
            _check_values(inside, (*path, key))
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            _check_values(inside, (*path, number))


def _check_names(config: Configuration, sweeps: Sweeps) -> None:
    for name, benchmark in config.benchmarks.items():
        for key, values in benchmark.roles.items():
            for value in values:
                _defined(f"benchmarks.{name}.{key}", "dataset", value, config.datasets)
        for value in benchmark.more_corruptions or ():
            where = f"benchmarks.{name}.more_corruptions"
            _defined(where, "corruption", value, config.corruptions)
        for value in benchmark.models or ():
            where = f"benchmarks.{name}.models"
            _defined(where, "model", value, config.models, sweeps.models)
    for section, names, taken in (
        ("scores", config.scores, SCORES),
        ("corruptions", config.corruptions, TAKEN),
    ):
        for name in set(names) & set(taken):
            raise LpclipError(
                f"configuration: {section}.{name} has a name that lpclip uses itself. Choose "
                "another name."
            )
    for name, method in config.methods.items():
        if method.labelling is not None:
            where = f"methods.{name}.labelling"
            _defined(where, "labelling", method.labelling, config.labellings, sweeps.labellings)
        if method.base is not None:
            where = f"methods.{name}.method"
            _defined(where, "method", method.base, config.methods, sweeps.methods)
        _check_candidates(name, config.methods, sweeps)


def _check_roles(name: str, benchmark: Roles, datasets: Mapping[str, Dataset]) -> None:
    """Refuse a dataset in two roles that exclude each other, under one name or under two."""
    roles = benchmark.roles
    pairs = [("shifts", "test"), ("ood.far", "ood.near")]
    for role in ("adapt", "test", "shifts"):
        pairs += [("ood.near", role), ("ood.far", role)]
    images = {one: _images_of(datasets[one]) for one in benchmark.datasets}
    for role, other_role in pairs:
        for one, other in product(roles[role], roles[other_role]):
            if images[one] == images[other]:
                same = "" if one == other else f", which has the images of '{other}'"
                raise LpclipError(
                    f"configuration: benchmarks.{name}.{role} names dataset '{one}'{same}; "
                    f"the same images are its '{other_role}' already. Remove one of the two."
                )
    for role in ("shifts", "ood.near", "ood.far"):
        for place, one in enumerate(roles[role]):
            for other in roles[role][:place]:
                if images[one] == images[other]:
                    raise LpclipError(
                        f"configuration: benchmarks.{name}.{role} names the same images twice, as "
                        f"'{other}' and as '{one}'. Remove one of the two."
                    )


def _images_of(dataset: Dataset) -> list[Any]:
    """Return what two datasets with the same images share, however their paths are spelled."""
    source = {key: value for key, value in dataset.source.items() if key != "labelled"}
    for key in ("root", "path"):
        if isinstance(source.get(key), str):
            source[key] = os.path.realpath(source[key])
    return [source, dataset.limit, dataset.stratified, dataset.seed]


def _check_candidates(name: str, methods: Mapping[str, Method], sweeps: Sweeps) -> None:
    """Refuse candidates of a guard that it cannot train."""
    where = f"methods.{name}.candidates"
    on_clean_views = {}
    for one in methods[name].candidates:
        if one in methods[name].settings.get("adapters", ()):
            raise LpclipError(
                f"configuration: {where} and methods.{name}.adapters both name '{one}'. Give the "
                "method another name."
            )
        _defined(where, "method", one, methods, sweeps.methods)
        candidate = methods[one]
        if candidate.kind != "self_training":
            raise LpclipError(
                f"configuration: {where} names method '{one}' of kind '{candidate.kind}'; only "
                "methods of kind 'self_training' can be candidates. Adapters are set by adapters."
            )
        on_clean_views[candidate.settings["student_view"] == "clean"] = one
    if len(on_clean_views) > 1:
        raise LpclipError(
            f"configuration: {where} names '{on_clean_views[True]}', which learns from the clean "
            f"view, and '{on_clean_views[False]}', which does not. Name candidates of one sort."
        )


def _defined(
    where: str,
    what: str,
    name: str,
    known: Mapping[str, Any],
    points: Mapping[str, Point] = MappingProxyType({}),
) -> None:
    if name in known:
        return
    swept = sorted({point.sweep for point in points.values()})
    raise LpclipError(
        f"configuration: {where} names {what} '{name}', which is not defined. "
        f"{did_you_mean(name, {*known, *swept})}"
        + (
            f" Sweeps, whose names stand for all of their points: {', '.join(swept)}."
            if swept
            else ""
        )
    )
