"""The part of the configuration's check that is about which images of a dataset are used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpclip.data.base import Source
from lpclip.data.class_maps import MappedSource
from lpclip.data.registry import has_images
from lpclip.errors import LpclipError


def check_datasets(config: Mapping[str, Any], sources: Mapping[str, Source]) -> None:
    """Refuse what a dataset cannot do: be stratified without labels, say.

    Raises:
        LpclipError: the first dataset that cannot do what it is asked for, and what to do.
    """
    for name, dataset in config["datasets"].items():
        where = f"configuration: datasets.{name}"
        if not has_images(dataset["source"]):
            if dataset["on_bad_image"] == "skip":
                raise LpclipError(
                    f"{where}.on_bad_image is for images, but the dataset holds features made "
                    "before. Remove the key."
                )
            if "class_map" in dataset:
                raise LpclipError(
                    f"{where}.class_map is for images, but the dataset holds features made before, "
                    "whose classes are named by class_names of the source. Remove the key."
                )
        frost = dataset.get("views", {}).get("corruptions", {}).get("frost_images")
        if frost is not None and not Path(frost).is_dir():
            raise LpclipError(
                f"{where}.views.corruptions.frost_images is '{frost}', which is no folder. "
                "Check it, or leave the key out for procedural pictures."
            )
        if "stratified" in dataset and class_names(where, sources[name]) is None:
            raise LpclipError(
                f"{where}.stratified needs labels, and the dataset has none. Set limit instead."
            )


def with_class_maps(config: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, Source]:
    """The sources, with the classes of those that have a map renamed.

    Raises:
        LpclipError: a map that cannot be read, or lacks a class.
    """
    mapped = dict(sources)
    for name, dataset in config["datasets"].items():
        if "class_map" in dataset:
            where = f"configuration: datasets.{name}"
            try:
                mapped[name] = MappedSource(sources[name], dataset["class_map"])
            except LpclipError as error:
                raise LpclipError(f"{where}: {error}") from error
            class_names(where, mapped[name])
    return mapped


def class_names(where: str, source: Source) -> Any:
    """Class names of a source, its errors with the place in the configuration."""
    try:
        return source.class_names
    except LpclipError as error:
        raise LpclipError(f"{where}: {error}") from error
