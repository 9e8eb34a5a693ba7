"""The part of the configuration's check that is about labels: which datasets have them."""

from collections.abc import Collection, Mapping, Sequence
from typing import get_args

from lpclip.config.checked import Checked, CheckedBenchmark
from lpclip.config.datasets import class_names
from lpclip.config.schema import Benchmark, Family, Roles
from lpclip.config.transductive import methods_of
from lpclip.data.base import Source
from lpclip.data.class_matching import Groups, match_classes
from lpclip.data.imagenet import is_imagenet
from lpclip.data.official import official_corruptions
from lpclip.errors import LpclipError
from lpclip.methods.registry import sees_labels
from lpclip.utils.settings import located


def has_labelled_test(benchmark: Roles, sources: Mapping[str, Source]) -> bool:
    """Return whether accuracy can be known; labels of an adapt set never replace a test set's."""
    return benchmark.test is not None and _class_names(benchmark.test, sources) is not None


def corruptions_of(benchmark: Benchmark, sources: Mapping[str, Source]) -> Sequence[Family]:
    """Return the families of corruptions: by default all where accuracy can be known, else none."""
    if benchmark.corruptions is not None:
        return benchmark.corruptions
    return get_args(Family) if has_labelled_test(benchmark, sources) else ()


def more_corruptions_of(
    benchmark: Benchmark, sources: Mapping[str, Source], known: Collection[str]
) -> Sequence[str]:
    """Return the corruptions of plugins: by default all where lpclip's own may be by default."""
    if benchmark.more_corruptions is not None:
        return benchmark.more_corruptions
    return tuple(known) if has_labelled_test(benchmark, sources) else ()


def check_labels(config: Checked, sources: Mapping[str, Source]) -> None:
    """Refuse labels that do not fit the sources, whose classes are renamed, before the first job.

    Raises:
        LpclipError: labels that are needed and not there, a class that is none of the
            benchmark's, or a set of published corruptions in another place than its own.
    """
    for name, benchmark in config.benchmarks.items():
        where = f"configuration: benchmarks.{name}"
        _check_official(where, benchmark, sources, config)
        if name in config.labelled:
            _check_single(where, "test", benchmark.evaluated, benchmark, sources)
        elif benchmark.made:
            raise LpclipError(
                f"{where}.corruptions are there to measure accuracy, but the benchmark has no "
                "labelled test set. Give one, or set corruptions: []"
                f"{' and more_corruptions: []' if benchmark.more_corruptions else ''}."
            )
        methods = (config.methods[one] for one in methods_of(config, name))
        if any(sees_labels(method.kind) for method in methods):
            _check_single(where, "adapt", benchmark.adapt, benchmark, sources)
        for shift in benchmark.shifts:
            _groups(where, shift, benchmark, sources)
            published = config.datasets[shift].published is not None
            if published and not is_imagenet(benchmark.class_names):
                raise LpclipError(
                    f"configuration: datasets.{shift}.published names a shift of ImageNet, but "
                    f"benchmarks.{name} has other classes. Remove the key."
                )


def _check_official(
    where: str, benchmark: CheckedBenchmark, sources: Mapping[str, Source], config: Checked
) -> None:
    for role, names in benchmark.roles.items():
        for name in names:
            if role != "official_corruptions" and official_corruptions(sources[name]):
                raise LpclipError(
                    f"{where}.{role} names dataset '{name}' of published corruptions, which has "
                    "no clean images. Name it as 'official_corruptions'."
                )
    official = benchmark.official_corruptions
    if official is None:
        return
    if not official_corruptions(sources[official]):
        raise LpclipError(
            f"{where}.official_corruptions names dataset '{official}', whose source is none of "
            "published corruptions. Give one of kind 'imagenet_c' or 'cifar_c'."
        )
    if not has_labelled_test(benchmark, sources):
        raise LpclipError(f"{where}.official_corruptions needs a labelled test set.")
    if config.datasets[official].on_bad_image == "skip":
        raise LpclipError(
            f"configuration: datasets.{official}.on_bad_image is 'skip', but published corruptions "
            "are compared image by image. Repair what is damaged, and remove the key."
        )
    _groups(where, official, benchmark, sources)


def _check_single(
    where: str, role: str, dataset: str, benchmark: CheckedBenchmark, sources: Mapping[str, Source]
) -> None:
    groups = _groups(where, dataset, benchmark, sources)
    if any(len(group) > 1 for group in groups):
        raise LpclipError(
            f"{where}.{role} names dataset '{dataset}', a class of which maps to several of the "
            "benchmark's. Such a set can only be a shift."
        )


def _groups(
    where: str, dataset: str, benchmark: CheckedBenchmark, sources: Mapping[str, Source]
) -> Groups:
    names = _class_names(dataset, sources)
    if names is None:
        raise LpclipError(f"{where} needs labels of dataset '{dataset}', which has none.")
    with located(f"{where}: dataset '{dataset}'"):
        return match_classes(names, benchmark.class_names)


def _class_names(dataset: str, sources: Mapping[str, Source]) -> Sequence[str] | None:
    return class_names(f"configuration: datasets.{dataset}", sources[dataset])
