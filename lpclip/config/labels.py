"""The part of the configuration's check that is about labels: who has them, of which classes."""

from collections.abc import Mapping, Sequence
from typing import Any

from lpclip.data.base import Source
from lpclip.data.class_matching import Groups, match_classes
from lpclip.data.imagenet import is_imagenet
from lpclip.data.official import official_corruptions
from lpclip.errors import LpclipError
from lpclip.methods.registry import sees_labels
from lpclip.transforms.corruptions.registry import FAMILIES


def evaluated_set(benchmark: Mapping[str, Any]) -> str:
    """The dataset that a benchmark's probes are looked at on: the adapt set if there is no other.

    >>> evaluated_set({"adapt": "pool"}), evaluated_set({"adapt": "pool", "test": "photos"})
    ('pool', 'photos')
    """
    return str(benchmark.get("test", benchmark["adapt"]))


def has_labelled_test(benchmark: Mapping[str, Any], sources: Mapping[str, Source]) -> bool:
    """Whether accuracy can be known; the labels of an adapt set never stand in for a test set's."""
    return "test" in benchmark and _class_names(benchmark["test"], sources) is not None


def check_labels(config: Mapping[str, Any], sources: Mapping[str, Source]) -> None:
    """Refuse labels that do not fit, before the first job; fill in the families of corruptions.

    Raises:
        LpclipError: labels that are needed and not there, a class that is none of the
            benchmark's, or a set of published corruptions in another place than its own.
    """
    labels_needed = any(sees_labels(method["kind"]) for method in config["methods"].values())
    for name, benchmark in config["benchmarks"].items():
        where = f"configuration: benchmarks.{name}"
        _check_official(where, benchmark, sources, config)
        labelled = has_labelled_test(benchmark, sources)
        benchmark.setdefault("corruptions", list(FAMILIES) if labelled else [])
        if labelled:
            _check_single(where, "test", benchmark, sources)
        elif benchmark["corruptions"]:
            raise LpclipError(
                f"{where}.corruptions are there to measure accuracy, but the benchmark has no "
                "labelled test set. Give one, or set corruptions: []."
            )
        if labels_needed:
            _check_single(where, "adapt", benchmark, sources)
        for shift in benchmark["shifts"]:
            _groups(where, shift, benchmark, sources)
            if "published" in config["datasets"][shift] and not is_imagenet(
                benchmark["class_names"]
            ):
                raise LpclipError(
                    f"configuration: datasets.{shift}.published names a shift of ImageNet, but "
                    f"benchmarks.{name} has other classes. Remove the key."
                )


def _check_official(
    where: str,
    benchmark: Mapping[str, Any],
    sources: Mapping[str, Source],
    config: Mapping[str, Any],
) -> None:
    roles = {
        "adapt": [benchmark["adapt"]],
        "test": [evaluated_set(benchmark)],
        "shifts": benchmark["shifts"],
        "ood.near": benchmark["ood"]["near"],
        "ood.far": benchmark["ood"]["far"],
    }
    for role, names in roles.items():
        for name in names:
            if official_corruptions(sources[name]):
                raise LpclipError(
                    f"{where}.{role} names dataset '{name}' of published corruptions, which has "
                    "no clean images. Name it as 'official_corruptions'."
                )
    if "official_corruptions" not in benchmark:
        return
    name = benchmark["official_corruptions"]
    if not official_corruptions(sources[name]):
        raise LpclipError(
            f"{where}.official_corruptions names dataset '{name}', whose source is none of "
            "published corruptions. Give one of kind 'imagenet_c' or 'cifar_c'."
        )
    if not has_labelled_test(benchmark, sources):
        raise LpclipError(f"{where}.official_corruptions needs a labelled test set.")
    if config["datasets"][name]["on_bad_image"] == "skip":
        raise LpclipError(
            f"configuration: datasets.{name}.on_bad_image is 'skip', but published corruptions are "
            "compared image by image. Repair what is damaged, and remove the key."
        )
    _groups(where, name, benchmark, sources)


def _check_single(
    where: str, role: str, benchmark: Mapping[str, Any], sources: Mapping[str, Source]
) -> None:
    groups = _groups(where, benchmark[role], benchmark, sources)
    if any(len(group) > 1 for group in groups):
        raise LpclipError(
            f"{where}.{role} names dataset '{benchmark[role]}', a class of which may be several of "
            "the benchmark's. Such a set can only be a shift."
        )


def _groups(
    where: str, dataset: str, benchmark: Mapping[str, Any], sources: Mapping[str, Source]
) -> Groups:
    names = _class_names(dataset, sources)
    if names is None:
        raise LpclipError(f"{where} needs labels of dataset '{dataset}', which has none.")
    try:
        return match_classes(names, benchmark["class_names"])
    except LpclipError as error:
        raise LpclipError(f"{where}: dataset '{dataset}': {error}") from error


def _class_names(dataset: str, sources: Mapping[str, Source]) -> Sequence[str] | None:
    try:
        return sources[dataset].class_names
    except LpclipError as error:
        raise LpclipError(f"configuration: datasets.{dataset}: {error}") from error
