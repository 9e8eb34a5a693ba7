"""The part of the configuration's check that is about which images of a dataset are used."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lpclip.config.schema import Dataset
from lpclip.data.base import Source
from lpclip.data.class_maps import MappedSource
from lpclip.data.registry import has_images, open_source
from lpclip.errors import LpclipError
from lpclip.utils.settings import located


def open_sources(datasets: Mapping[str, Dataset]) -> dict[str, Source]:
    """Open the source of every dataset.

    Raises:
        LpclipError: a source refuses its settings.
    """
    found = {}
    for name, dataset in datasets.items():
        settings = dict(dataset.source)
        with located(f"configuration: datasets.{name}"):
            found[name] = open_source(settings.pop("kind"), settings)
    return found


def check_datasets(datasets: Mapping[str, Dataset], sources: Mapping[str, Source]) -> None:
    """Refuse what a dataset cannot do: to be stratified without labels, for example.

    Raises:
        LpclipError: the first dataset that cannot do what it is configured for, and what to do.
    """
    for name, dataset in datasets.items():
        where = f"configuration: datasets.{name}"
        if not has_images(dataset.source):
            if dataset.on_bad_image == "skip":
                raise LpclipError(
                    f"{where}.on_bad_image is for images, but the dataset holds precomputed "
                    "features. Remove the key."
                )
            if dataset.class_map is not None:
                raise LpclipError(
                    f"{where}.class_map is for images, but the dataset holds precomputed features, "
                    "whose classes are named by class_names of the source. Remove the key."
                )
        frost = None if dataset.views is None else dataset.views.corruptions.frost_images
        if frost is not None and not Path(frost).is_dir():
            raise LpclipError(
                f"{where}.views.corruptions.frost_images is '{frost}', which is no folder. "
                "Check it, or leave the key out for procedural pictures."
            )
        if dataset.stratified is not None and class_names(where, sources[name]) is None:
            raise LpclipError(
                f"{where}.stratified needs labels, and the dataset has none. Set limit instead."
            )


def with_class_maps(
    datasets: Mapping[str, Dataset], sources: Mapping[str, Source]
) -> dict[str, Source]:
    """Return the sources, with the classes of those that have a map renamed.

    Raises:
        LpclipError: a map that cannot be read, or lacks a class.
    """
    mapped = dict(sources)
    for name, dataset in datasets.items():
        if dataset.class_map is not None:
            where = f"configuration: datasets.{name}"
            with located(where):
                mapped[name] = MappedSource(sources[name], dataset.class_map)
            class_names(where, mapped[name])
    return mapped


def class_names(where: str, source: Source) -> Sequence[str] | None:
    """Return the class names of a source, its errors with the place in the configuration."""
    with located(where):
        return source.class_names
