"""The part of the configuration's check that is about features made before.

What cannot be embedded is said before the first job: text and images for a precomputed model,
views and corruptions of a dataset without images.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lpclip.config.labels import evaluated_set
from lpclip.data.base import Source
from lpclip.data.registry import FEATURES, has_images
from lpclip.data.sources.features import Source as FeatureSource
from lpclip.errors import LpclipError
from lpclip.models.spec import PRECOMPUTED
from lpclip.storage.arrays.base import Arrays
from lpclip.storage.arrays.registry import TEXT_KEYS, open_arrays


def complete_class_names(config: Mapping[str, Any]) -> None:
    """Fill in the class names of every benchmark whose file of text features holds them.

    Raises:
        LpclipError: not exactly one of templates, prompts and text features; no class names, or
            others than in the file; not one row per class.
    """
    for name, benchmark in config["benchmarks"].items():
        where = f"configuration: benchmarks.{name}"
        if sum(key in benchmark for key in ("templates", "prompts", "text_features")) != 1:
            raise LpclipError(
                f"{where} needs one of templates, prompts, and text_features that were made before."
            )
        names = benchmark.get("class_names")
        if "text_features" in benchmark:
            text = _text_arrays(where, benchmark["text_features"])
            found = _names_in(text, where, benchmark["text_features"])
            if names is not None and found is not None and list(names) != found:
                raise LpclipError(
                    f"{where}.class_names are not those in {text.path} "
                    f"({', '.join(found[:12])}{', …' if len(found) > 12 else ''}), whose order is "
                    "that of the rows. Leave one of them out."
                )
            names = found if names is None else names
            rows = _shape(where, text, benchmark["text_features"])[0]
            if names is not None and rows != len(names):
                raise LpclipError(
                    f"{where}.text_features has {rows} rows for {len(names)} class names. "
                    "Give one row per class, in the order of the names."
                )
        if names is None:
            raise LpclipError(f"{where} lacks the key 'class_names'.")
        benchmark["class_names"] = list(names)


def check_features(config: Mapping[str, Any], sources: Mapping[str, Source]) -> None:
    """Refuse what features without images, or models without weights, cannot do.

    Also fills in the hash of the weights of a precomputed model that an lpclip cache tells.

    Raises:
        LpclipError: the first thing that does not fit, and what to do.
    """
    for name, benchmark in config["benchmarks"].items():
        where = f"configuration: benchmarks.{name}"
        _check_models(where, benchmark, config)
        _check_views(where, benchmark, config)
        _check_widths(where, benchmark, sources)
    for name, model in config["models"].items():
        if model["pretrained"] == PRECOMPUTED:
            _complete_weights(name, model, config, sources)


def datasets_of(benchmark: Mapping[str, Any]) -> list[str]:
    """Names of all datasets of a benchmark, each once."""
    ood = benchmark["ood"]
    roles = [
        benchmark[key] for key in ("adapt", "test", "official_corruptions") if key in benchmark
    ]
    names = [*roles, *benchmark["shifts"], *ood["near"], *ood["far"]]
    return list(dict.fromkeys(names))


def _check_models(where: str, benchmark: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    for name in benchmark["models"]:
        if config["models"][name]["pretrained"] != PRECOMPUTED:
            continue
        others = "or list the benchmark's 'models' without it"
        if "text_features" not in benchmark:
            texts = "templates" if "templates" in benchmark else "prompts"
            raise LpclipError(
                f"{where} has {texts}, but model '{name}' is precomputed and cannot embed text. "
                f"Give text_features instead, {others}."
            )
        for dataset in datasets_of(benchmark):
            if has_images(config["datasets"][dataset]["source"]):
                raise LpclipError(
                    f"{where} uses dataset '{dataset}' of images, but model '{name}' is "
                    f"precomputed and cannot embed them. Give a dataset of kind '{FEATURES}', "
                    f"{others}."
                )


def _check_views(where: str, benchmark: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    sources = {name: dataset["source"] for name, dataset in config["datasets"].items()}
    test = evaluated_set(benchmark)
    if benchmark["corruptions"] and not has_images(sources[test]):
        raise LpclipError(
            f"{where}.corruptions are made from images, but its test set '{test}' "
            "holds features made before. Set corruptions: []."
        )


def _check_widths(where: str, benchmark: Mapping[str, Any], sources: Mapping[str, Source]) -> None:
    widths = {}
    if "text_features" in benchmark:
        text = _text_arrays(where, benchmark["text_features"])
        widths["text_features"] = _shape(where, text, benchmark["text_features"])[1]
    for name, source in _feature_sources(benchmark, sources):
        widths[f"dataset '{name}'"] = source.shape[1]
    for name, width in widths.items():
        first = next(iter(widths))
        if width != widths[first]:
            raise LpclipError(
                f"{where}: {name} has features of width {width}, {first} of width "
                f"{widths[first]}; one model makes features of one width."
            )


def _complete_weights(
    name: str,
    model: dict[str, Any],
    config: Mapping[str, Any],
    sources: Mapping[str, Source],
) -> None:
    """One model is one set of weights: files that do not say theirs are taken for these."""
    place = f"models.{name}.weights"
    for benchmark_name, benchmark in config["benchmarks"].items():
        if name not in benchmark["models"]:
            continue
        where = f"configuration: benchmarks.{benchmark_name}"
        files = {f"dataset '{n}'": s.provenance for n, s in _feature_sources(benchmark, sources)}
        text = _text_arrays(where, benchmark["text_features"])
        for what, provenance in {"text_features": text.provenance, **files}.items():
            weights = str(provenance.get("weights", PRECOMPUTED))
            if weights == PRECOMPUTED:
                continue
            if model.setdefault("weights", weights) != weights:
                raise LpclipError(
                    f"{where}: {what} was made with weights {weights} of model "
                    f"'{provenance.get('model')}', but {place} is {model['weights']}. "
                    "Give each set of weights a model of its own."
                )
            place = what


def _feature_sources(
    benchmark: Mapping[str, Any], sources: Mapping[str, Source]
) -> Iterator[tuple[str, FeatureSource]]:
    for name in datasets_of(benchmark):
        source = sources[name]
        if isinstance(source, FeatureSource):
            yield name, source


def _text_arrays(where: str, text: Mapping[str, Any]) -> Arrays:
    try:
        return open_arrays(text["path"])
    except LpclipError as error:
        raise LpclipError(f"{where}.text_features: {error}") from error


def _shape(where: str, arrays: Arrays, text: Mapping[str, Any]) -> tuple[int, ...]:
    try:
        return arrays.shape(arrays.pick(text.get("key"), ndim=2, prefer=TEXT_KEYS))
    except LpclipError as error:
        raise LpclipError(f"{where}.text_features: {error}") from error


def _names_in(arrays: Arrays, where: str, text: Mapping[str, Any]) -> Sequence[str] | None:
    """Class names that the file of text features holds; an lpclip text cache always does."""
    key = text.get("class_names", "name" if arrays.provenance else None)
    if key is None:
        return None
    try:
        values = arrays.column(arrays.pick(key, ndim=1))
    except LpclipError as error:
        raise LpclipError(f"{where}.text_features.class_names: {error}") from error
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
