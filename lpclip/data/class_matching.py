"""Map the classes of a dataset to those of a benchmark.

A dataset names its classes in its own way, a benchmark by what the text encoder gets. True labels
are read only through this module.
"""

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from lpclip.data.base import ALTERNATIVES, UNLABELLED
from lpclip.data.imagenet import is_imagenet, synsets
from lpclip.errors import LpclipError, listed
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.opening import make_again
from lpclip.storage.samples import class_names_of, read_samples
from lpclip.types import FloatArray, IntArray

log = logging.getLogger(__name__)

# Sources that keep the published order of a test set, as CIFAR-10-C does.
_IN_PUBLISHED_ORDER = ("arrays", "torchvision")

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Labels:
    """The labels of a dataset.

    Attributes:
        own: ``[N]``, classes of the dataset, or UNLABELLED.
        groups: for each of these classes the benchmark classes that it maps to, mostly one.
        n_classes: number of benchmark classes.
    """

    own: IntArray
    groups: Groups
    n_classes: int

    @property
    def of_benchmark(self) -> IntArray:
        """``[N]``, benchmark classes; UNLABELLED also for a class that maps to several."""
        table = [group[0] if len(group) == 1 else UNLABELLED for group in self.groups]
        found: IntArray = np.array([*table, UNLABELLED], dtype=np.int64)[self.own]
        return found

    @property
    def is_subset(self) -> bool:
        """Whether the classes are not exactly those of the benchmark, one each."""
        return sorted(self.groups) != [(index,) for index in range(self.n_classes)]

    def restricted(self, other: IntArray) -> IntArray:
        """Convert another dataset's ``of_benchmark`` to this dataset's classes, ``[N]``."""
        table = np.full(self.n_classes + 1, UNLABELLED)  # the last entry is for UNLABELLED
        for own, group in enumerate(self.groups):
            table[list(group)] = own
        found: IntArray = table[other]
        return found


def read_labels(samples: Path, class_names: Sequence[str]) -> Labels:
    """Read a dataset's labels from its index; LpclipError if the benchmark lacks a class of it."""
    names = class_names_of(read_provenance(samples, kind="samples"))
    if names is None:
        raise LpclipError(f"{samples} has no labels.")
    try:
        groups = match_classes(names, class_names)
    except LpclipError as error:
        raise LpclipError(f"{samples}: {error}") from error
    own = read_samples(samples, labels=True)["label"].to_numpy().astype(np.int64)
    if len(own) and not UNLABELLED <= own.min() <= own.max() < len(names):
        raise LpclipError(
            f"{samples} has labels {own.min()} to {own.max()}, but {len(names)} classes."
            f"{make_again(samples)}"
        )
    return Labels(own, groups, len(class_names))


def labels_if_any(samples: Path, class_names: Sequence[str]) -> IntArray:
    """Read benchmark classes ``[N]``; all UNLABELLED if the dataset has no usable labels."""
    try:
        return read_labels(samples, class_names).of_benchmark
    except LpclipError as error:
        log.info("no labels to evaluate with: %s", error)
        return np.full(len(read_samples(samples, labels=False)), UNLABELLED)


def match_classes(names: Sequence[str], class_names: Sequence[str]) -> Groups:
    """Return for each class of a dataset the benchmark classes that it maps to.

    Classes match by name, ignoring blanks, underscores and case, if any name matches; by WordNet id
    if the benchmark's classes are ImageNet's; by number if classes are numbers, as many as the
    benchmark has.

    Raises:
        LpclipError: a class matches no benchmark class, or two match the same one.

    >>> match_classes(["dog", "Tabby_cat"], ["tabby cat", "dog", "cow"])
    ((1,), (0,))
    >>> match_classes(["0", "10", "2"], ["a", "b", "c"])
    ((0,), (2,), (1,))
    """
    if list(names) == list(class_names):
        return tuple((index,) for index in range(len(names)))
    parts = [name.split(ALTERNATIVES) for name in names]
    flat = [part for alternatives in parts for part in alternatives]
    places = _places(flat, class_names)
    for part in flat:
        if part not in places:
            near = get_close_matches(part, class_names, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise LpclipError(
                f"its class '{part}' is not among the benchmark's {len(class_names)} class names "
                f"({listed(class_names)}).{hint}"
            )
    found = [places[part] for part in flat]
    if repeated := {index for index in found if found.count(index) > 1}:
        twice = class_names[min(repeated)]
        raise LpclipError(f"several of its classes are the class '{twice}'. Use 'class_map'.")
    return tuple(tuple(places[part] for part in alternatives) for alternatives in parts)


def check_same_images(official: Path, test: Path, class_names: Sequence[str]) -> None:
    """Refuse an index of published corruptions of images other than the clean test set's.

    Raises:
        LpclipError: the same number of images, but not of each class; the same file name with
            another label; or other labels at the same positions in a set with published order.
    """
    ours, theirs = (read_labels(path, class_names).of_benchmark for path in (official, test))
    again = "Check that both are of the same split, and that the labels belong to the images."
    counts = [np.bincount(labels, minlength=len(class_names)) for labels in (ours, theirs)]
    if len(ours) == len(theirs) and (counts[0] != counts[1]).any():
        raise LpclipError(
            f"{official} has as many images as {test}, but other numbers of each class. {again}"
        )
    in_order = read_provenance(test).json("source")["kind"] in _IN_PUBLISHED_ORDER
    if in_order and len(ours) == len(theirs) and (ours != theirs).any():
        raise LpclipError(f"{official} and {test} have other labels at the same places. {again}")
    clean = dict(zip(_file_names(test), theirs, strict=True))
    if len(clean) < len(theirs):  # names such as 0001.png in every class identify no image
        return
    for name, label in zip(_file_names(official), ours, strict=True):
        if clean.get(name, label) != label:
            raise LpclipError(f"'{name}' has another label in {official} than in {test}. {again}")


def group_logits(logits: FloatArray, groups: Groups) -> FloatArray:
    """Return logits ``[..., G]`` of groups of classes from ``[..., C]``, the maximum of each.

    The most probable group is that of the most probable class among all groups: a prediction is
    correct if it is any of the classes that an image may have. Classes without a group are left
    out.

    >>> group_logits(np.array([3.0, 1.0, 2.0, 9.0]), ((1, 2), (0,))).tolist()
    [2.0, 3.0]
    """
    best: FloatArray = np.stack([logits[..., list(group)].max(axis=-1) for group in groups], -1)
    return best


def _places(names: Sequence[str], class_names: Sequence[str]) -> Mapping[str, int]:
    """Return the benchmark class of each name that has one."""
    plain = len({_folded(name) for name in class_names}) < len(set(class_names))
    key = str if plain else _folded
    keys = [key(name) for name in class_names]
    known = {name: index for index, name in enumerate(keys)}
    places = {name: known[key(name)] for name in names if key(name) in known}
    for name, index in places.items():
        if keys.count(keys[index]) > 1:
            raise LpclipError(
                f"its class '{name}' may be one of several class names that are the same. Leave "
                "class_map out where folders are WordNet ids, or give other names."
            )
    if places:
        return places
    if all(re.fullmatch(r"n\d{8}", name) for name in names) and is_imagenet(class_names):
        return {name: index for index, name in enumerate(synsets())}
    # Numbers only define an order; 10 sorts before 2 as text. Words have no inherent order, so that
    # matching them by position would be silently wrong.
    if len(names) == len(class_names) and all(name.isdecimal() for name in names):
        return {name: place for place, name in enumerate(sorted(names, key=int))}
    if len(names) == len(class_names) + 1 and list(names) == [str(i) for i in range(len(names))]:
        advice = (
            "If its labels count from 1, subtract 1: numbers index the class names from 0, and "
            "class 0 may be empty."
        )
    else:
        advice = "Match them with 'class_map', or give classes and class names the same names."
    raise LpclipError(
        f"it has {len(names)} classes ({listed(names)}), the benchmark {len(class_names)} class "
        f"names ({listed(class_names)}), and no name is in both. {advice}"
    )


def _file_names(samples: Path) -> list[str]:
    return [str(path).rpartition("/")[2] for path in read_samples(samples, labels=False)["path"]]


def _folded(name: str) -> str:
    # Apple's file systems store accents as separate characters, keyboards do not type them so.
    return unicodedata.normalize("NFC", re.sub(r"[\s_-]+", " ", name).strip().casefold())
