"""The part of the configuration's check that is about precomputed features.

What cannot be embedded is refused before the first job: text and images for a precomputed model,
views and corruptions of a dataset without images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lpclip.config.checked import Checked, CheckedBenchmark
from lpclip.config.schema import Benchmark, Model, Roles, TextFeatures
from lpclip.data.base import Source
from lpclip.data.registry import FEATURES, has_images
from lpclip.data.sources.features import Source as FeatureSource
from lpclip.errors import LpclipError
from lpclip.models.spec import PRECOMPUTED
from lpclip.storage.arrays.base import Arrays
from lpclip.storage.arrays.registry import TEXT_KEYS, open_arrays
from lpclip.utils.settings import located


def checked_class_names(
    name: str, benchmark: Benchmark, names: Sequence[str] | None
) -> Sequence[str]:
    """Return the class names of a benchmark, as written or in its file of text features.

    Raises:
        LpclipError: not exactly one of templates, prompts and text features; no class names, or
            others than in the file; not one row per class.
    """
    where, text = f"configuration: benchmarks.{name}", benchmark.text_features
    if [benchmark.templates, benchmark.prompts, text].count(None) != 2:
        raise LpclipError(
            f"{where} needs one of templates, prompts, and text_features (precomputed)."
        )
    if text is not None:
        arrays = _text_arrays(where, text)
        found = _names_in(arrays, where, text)
        if names is not None and found is not None and list(names) != found:
            raise LpclipError(
                f"{where}.class_names are not those in {arrays.path} "
                f"({', '.join(found[:12])}{', …' if len(found) > 12 else ''}), whose order is "
                "that of the rows. Leave one of them out."
            )
        names = found if names is None else names
        rows = _shape(where, arrays, text)[0]
        if names is not None and rows != len(names):
            raise LpclipError(
                f"{where}.text_features has {rows} rows for {len(names)} class names. "
                "Give one row per class, in the order of the names."
            )
    if names is None:
        raise LpclipError(f"{where} lacks the setting 'class_names'.")
    return names


def check_features(config: Checked) -> None:
    """Refuse what features without images, or models without weights, cannot do.

    Raises:
        LpclipError: the first thing that does not fit, and what to do.
    """
    for name, benchmark in config.benchmarks.items():
        where = f"configuration: benchmarks.{name}"
        _check_models(where, benchmark, config)
        test = benchmark.evaluated
        if benchmark.made and not has_images(config.datasets[test].source):
            raise LpclipError(
                f"{where}.corruptions are made from images, but its test set '{test}' "
                "holds precomputed features. Set corruptions: []"
                f"{' and more_corruptions: []' if benchmark.more_corruptions else ''}."
            )
        _check_widths(where, benchmark, config.sources)


def with_weights(config: Checked) -> dict[str, Model]:
    """Return the models, precomputed ones with the hash of their weights if a cache has it.

    Raises:
        LpclipError: features of one model were made with different weights.
    """
    return {
        name: _with_weights(name, model, config) if model.pretrained == PRECOMPUTED else model
        for name, model in config.models.items()
    }


def _check_models(where: str, benchmark: CheckedBenchmark, config: Checked) -> None:
    for name in benchmark.models:
        if config.models[name].pretrained != PRECOMPUTED:
            continue
        others = "or list the benchmark's 'models' without it"
        if benchmark.text_features is None:
            texts = "prompts" if benchmark.templates is None else "templates"
            raise LpclipError(
                f"{where} has {texts}, but model '{name}' is precomputed and cannot embed text. "
                f"Give text_features instead, {others}."
            )
        for dataset in benchmark.datasets:
            if has_images(config.datasets[dataset].source):
                raise LpclipError(
                    f"{where} uses dataset '{dataset}' of images, but model '{name}' is "
                    f"precomputed and cannot embed them. Give a dataset of kind '{FEATURES}', "
                    f"{others}."
                )


def _check_widths(where: str, benchmark: Roles, sources: Mapping[str, Source]) -> None:
    widths = {}
    if benchmark.text_features is not None:
        text = _text_arrays(where, benchmark.text_features)
        widths["text_features"] = _shape(where, text, benchmark.text_features)[1]
    for name, source in _feature_sources(benchmark, sources).items():
        widths[f"dataset '{name}'"] = source.shape[1]
    for name, width in widths.items():
        first = next(iter(widths))
        if width != widths[first]:
            raise LpclipError(
                f"{where}: {name} has features of width {width}, {first} of width "
                f"{widths[first]}; one model makes features of one width."
            )


def _with_weights(name: str, model: Model, config: Checked) -> Model:
    """Return a model with the one hash of weights that the files of its benchmarks carry."""
    known, place = model.weights, f"models.{name}.weights"
    for benchmark_name, benchmark in config.benchmarks.items():
        if name not in benchmark.models or benchmark.text_features is None:
            continue
        where = f"configuration: benchmarks.{benchmark_name}"
        sources = _feature_sources(benchmark, config.sources)
        files = {f"dataset '{one}'": source.provenance for one, source in sources.items()}
        text = _text_arrays(where, benchmark.text_features)
        for what, provenance in {"text_features": text.provenance, **files}.items():
            weights = str(provenance.get("weights", PRECOMPUTED))
            if weights == PRECOMPUTED:
                continue
            if known is not None and known != weights:
                raise LpclipError(
                    f"{where}: {what} was made with weights {weights} of model "
                    f"'{provenance.get('model')}', but {place} is {known}. "
                    "Give each set of weights a model of its own."
                )
            known, place = weights, what
    return replace(model, weights=known)


def _feature_sources(benchmark: Roles, sources: Mapping[str, Source]) -> dict[str, FeatureSource]:
    used = {name: sources[name] for name in benchmark.datasets}
    return {name: one for name, one in used.items() if isinstance(one, FeatureSource)}


def _text_arrays(where: str, text: TextFeatures) -> Arrays:
    with located(f"{where}.text_features"):
        return open_arrays(text.path)


def _shape(where: str, arrays: Arrays, text: TextFeatures) -> tuple[int, ...]:
    with located(f"{where}.text_features"):
        return arrays.shape(arrays.pick(text.key, ndim=2, prefer=TEXT_KEYS))


def _names_in(arrays: Arrays, where: str, text: TextFeatures) -> Sequence[str] | None:
    """Return class names that the file of text features holds; a text cache always does."""
    key = text.class_names or ("name" if arrays.provenance else None)
    if key is None:
        return None
    with located(f"{where}.text_features.class_names"):
        values = arrays.column(arrays.pick(key, ndim=1))
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
