"""The configuration when it has been checked: texts read, sources open, nothing left to fill in."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from lpclip.config.schema import Compute, Dataset, Family, Method, Model, Roles, Views
from lpclip.data.base import Source
from lpclip.methods.labelling.settings import Labelling
from lpclip.utils.settings import settings_class


@settings_class
class CheckedBenchmark(Roles):
    """What is measured together, with all texts.

    Attributes:
        models: names of the models that it is run with.
        class_names: C names.
        templates: sentences with {} in the place of a name; or
        prompts: C lists of descriptions; neither where there are text features.
        corruptions: families of corruptions that are made here.
    """

    _: KW_ONLY
    models: Sequence[str]
    class_names: Sequence[str]
    templates: Sequence[str] | None = None
    prompts: Sequence[Sequence[str]] | None = None
    corruptions: Sequence[Family]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A configuration that has been checked; sections as in ``Configuration``.

    Attributes:
        sources: the source of every dataset.
        labelled: names of the benchmarks whose test set has labels, so that accuracy can be known.
    """

    seeds: Sequence[int]
    compute: Compute
    views: Views
    models: Mapping[str, Model]
    datasets: Mapping[str, Dataset]
    benchmarks: Mapping[str, CheckedBenchmark]
    labellings: Mapping[str, Labelling]
    methods: Mapping[str, Method]
    sources: Mapping[str, Source]
    labelled: Sequence[str]

    def pairs(self) -> list[tuple[str, str]]:
        """Return every model with every benchmark that is run with it."""
        return [
            (model, name)
            for model in self.models
            for name, benchmark in self.benchmarks.items()
            if model in benchmark.models
        ]

    def as_mapping(self) -> dict[str, Any]:
        """Return the sections as they are written in a file, with every default."""
        sections = {
            name: plain(value)
            for name, value in vars(self).items()
            if name not in ("sources", "labelled", "methods")
        }
        for model in sections["models"].values():
            del model["name"]
        methods = {
            name: {"kind": method.kind, **plain(method.settings)}
            for name, method in self.methods.items()
        }
        return {**sections, "methods": methods}


def plain(value: Any) -> Any:
    """Return settings as mappings, lists and numbers; what is None is left out.

    >>> plain(Compute())
    {'batch_size': 'auto', 'threads': 8, 'workers': 0}
    """
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(found)
            for field in dataclasses.fields(value)
            if (found := getattr(value, field.name)) is not None
        }
    if isinstance(value, Mapping):
        return {str(key): plain(inside) for key, inside in value.items()}
    return [plain(inside) for inside in value] if isinstance(value, list | tuple) else value
