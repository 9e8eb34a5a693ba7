"""The configuration when it has been checked: texts read, sources open, nothing left to fill in."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from lpclip.config.kinds import Corruption, Score
from lpclip.config.methods import Method
from lpclip.config.schema import Compute, Dataset, Family, Model, Roles, Views
from lpclip.config.sweeps import Sweeps
from lpclip.data.base import Source
from lpclip.evaluation.layout_settings import Explorer
from lpclip.methods.labelling.settings import Labelling
from lpclip.utils.kinds import Kind
from lpclip.utils.settings import settings_class


@settings_class
class CheckedBenchmark(Roles):
    """What is measured together, with all texts: no templates and prompts beside text features."""

    _: KW_ONLY
    models: Sequence[str]  # that it is run with
    class_names: Sequence[str]  # C names
    templates: Sequence[str] | None = None  # sentences with {} in the place of a name
    prompts: Sequence[Sequence[str]] | None = None  # C lists of descriptions
    corruptions: Sequence[Family]  # that are made here
    more_corruptions: Sequence[str] = ()  # of plugins
    derived_from: str | None = None  # benchmark that this is the transductive form of

    @property
    def made(self) -> list[str]:
        """Passes of corruptions that are made of the test set: families, and those of plugins."""
        return [*self.corruptions, *self.more_corruptions]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A configuration that has been checked; sections as in ``Configuration``."""

    plugins: Sequence[str]
    seeds: Sequence[int]
    compute: Compute
    views: Views
    explorer: Explorer
    models: Mapping[str, Model]
    datasets: Mapping[str, Dataset]
    benchmarks: Mapping[str, CheckedBenchmark]
    labellings: Mapping[str, Labelling]
    corruptions: Mapping[str, Corruption]
    scores: Mapping[str, Score]
    methods: Mapping[str, Method]
    sources: Mapping[str, Source]  # of every dataset
    sweeps: Sweeps  # that its sections had as they were written
    labelled: Sequence[str]  # benchmarks whose test set has labels, so that accuracy can be known

    def pairs(self) -> list[tuple[str, str]]:
        """Return every model with every benchmark that is run with it."""
        return [
            (model, name)
            for model in self.models
            for name, benchmark in self.benchmarks.items()
            if model in benchmark.models
        ]

    def as_mapping(self) -> dict[str, Any]:
        """Return the sections as they are written in a file, with every default.

        What is derived from a benchmark is not written.
        """
        sections = {
            name: plain(value)
            for name, value in vars(self).items()
            if name not in ("sources", "sweeps", "labelled", "methods")
        }
        for model in sections["models"].values():
            del model["name"]
        for name, benchmark in self.benchmarks.items():
            if benchmark.derived_from is not None:
                del sections["benchmarks"][name]
        methods = {
            name: {"kind": method.kind, **plain(_given(method.settings))}
            for name, method in self.methods.items()
        }
        return {**sections, "methods": methods}


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def plain(value: Any) -> Any:
    """Return settings as mappings, lists and numbers; what is None is left out.

    >>> plain(Compute())
    {'batch_size': 'auto', 'threads': 8, 'workers': 0, 'memory_gb': 4.0, 'share_imports': False}
    """
    if isinstance(value, Kind):
        return {"kind": value.kind, **plain(_given(value.settings))}
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(found)
            for field in dataclasses.fields(value)
            if (found := getattr(value, field.name)) is not None
        }
    if isinstance(value, Mapping):
        return {str(key): plain(inside) for key, inside in value.items()}
    return [plain(inside) for inside in value] if isinstance(value, list | tuple) else value
