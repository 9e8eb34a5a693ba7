"""Labels: which of a benchmark's classes a dataset's classes are.

A dataset knows its classes by names of its own, a benchmark by the names that it gives the text
encoder. Every reader of true labels takes them from here.
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

# Sources that keep the order in which a test set was published, as CIFAR-10-C does.
_IN_PUBLISHED_ORDER = ("arrays", "torchvision")

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Labels:
    """The labels of a dataset.

    Attributes:
        own: ``[N]``, classes of the dataset, UNLABELLED for none.
        groups: for each of these classes the classes of the benchmark that it is, mostly one.
        n_classes: of the benchmark.
    """

    own: IntArray
    groups: Groups
    n_classes: int

    @property
    def of_benchmark(self) -> IntArray:
        """``[N]``, classes of the benchmark; UNLABELLED also for a class that is several."""
        table = [group[0] if len(group) == 1 else UNLABELLED for group in self.groups]
        found: IntArray = np.array([*table, UNLABELLED], dtype=np.int64)[self.own]
        return found

    @property
    def is_subset(self) -> bool:
        """Whether the dataset has other classes than all of the benchmark's, one each."""
        return sorted(self.groups) != [(index,) for index in range(self.n_classes)]

    def restricted(self, other: IntArray) -> IntArray:
        """Labels ``[N]`` in this dataset's classes of another one's ``of_benchmark``."""
        table = np.full(self.n_classes + 1, UNLABELLED)  # the last entry is that of UNLABELLED
        for own, group in enumerate(self.groups):
            table[list(group)] = own
        found: IntArray = table[other]
        return found


def read_labels(samples: Path, class_names: Sequence[str]) -> Labels:
    """Labels of a dataset whose classes are among the benchmark's.

    Args:
        samples: its index.
        class_names: of the benchmark.

    Raises:
        LpclipError: the dataset has no classes, or one that the benchmark does not have.
    """
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
    """Classes of the benchmark ``[N]``, UNLABELLED where a dataset does not tell them."""
    try:
        return read_labels(samples, class_names).of_benchmark
    except LpclipError as error:
        log.info("no labels to judge by: %s", error)
        return np.full(len(read_samples(samples, labels=False)), UNLABELLED)


def match_classes(names: Sequence[str], class_names: Sequence[str]) -> Groups:
    """For each class of a dataset, the benchmark's classes that it is.

    By name, blanks, underscores and capitals aside, where any name is one of the benchmark's; by
    WordNet id where the benchmark's classes are ImageNet's; by number where classes are numbers,
    as many as the benchmark has.

    Args:
        names: of the dataset's classes.
        class_names: of the benchmark.

    Raises:
        LpclipError: a class that is none of the benchmark's, or two that are the same.

    >>> match_classes(["dog", "Tabby_cat"], ["tabby cat", "dog", "cow"])
    ((1,), (0,))
    >>> match_classes(["0", "10", "2"], ["a", "b", "c"])
    ((0,), (2,), (1,))
    """
    if list(names) == list(class_names):
        return tuple((index,) for index in range(len(names)))
    parts = [name.split(ALTERNATIVES) for name in names]
    places = _places([part for alternatives in parts for part in alternatives], class_names)
    groups = []
    for alternatives in parts:
        for part in alternatives:
            if part not in places:
                raise LpclipError(_not_found(part, class_names))
        groups.append(tuple(places[part] for part in alternatives))
    found = [index for group in groups for index in group]
    if repeated := {index for index in found if found.count(index) > 1}:
        twice = class_names[min(repeated)]
        raise LpclipError(f"several of its classes are the class '{twice}'. Use 'class_map'.")
    return tuple(groups)


def check_same_images(official: Path, test: Path, class_names: Sequence[str]) -> None:
    """Refuse published corruptions of other images than the test set's.

    Args:
        official: index of the corrupted set.
        test: index of the clean test set.
        class_names: of the benchmark.

    Raises:
        LpclipError: as many images, but not as many of each class; an image of the same file name
            with another label; or other labels at the same places of a set that keeps the
            published order.
    """
    ours, theirs = (read_labels(path, class_names).of_benchmark for path in (official, test))
    again = "Check that both are of the same split, and that the labels belong to the images."
    counts = [np.bincount(labels, minlength=len(class_names)) for labels in (ours, theirs)]
    if len(ours) == len(theirs) and (counts[0] != counts[1]).any():
        raise LpclipError(
            f"{official} has as many images as {test}, but other numbers of each class. {again}"
        )
    kind = read_provenance(test).json("source")["kind"]
    if (
        len(ours) == len(theirs)
        and kind in _IN_PUBLISHED_ORDER
        and not np.array_equal(ours, theirs)
    ):
        raise LpclipError(f"{official} and {test} have other labels at the same places. {again}")
    clean = dict(zip(_file_names(test), theirs, strict=True))
    if len(clean) < len(theirs):  # names such as 0001.png of every class tell nothing
        return
    for name, label in zip(_file_names(official), ours, strict=True):
        if clean.get(name, label) != label:
            raise LpclipError(f"'{name}' has another label in {official} than in {test}. {again}")


def group_logits(logits: FloatArray, groups: Groups) -> FloatArray:
    """Logits ``[..., G]`` of groups of classes, each that of its best class.

    The most probable group is that of the most probable class among all groups: a prediction is
    right if it is any of the classes that an image may have.

    Args:
        logits: ``[..., C]``.
        groups: classes of each group; classes in none are left out.

    >>> group_logits(np.array([3.0, 1.0, 2.0, 9.0]), ((1, 2), (0,))).tolist()
    [2.0, 3.0]
    """
    best: FloatArray = np.stack([logits[..., list(group)].max(axis=-1) for group in groups], -1)
    return best


def _places(names: Sequence[str], class_names: Sequence[str]) -> Mapping[str, int]:
    """Class of the benchmark for each name that has one."""
    plain = len({_folded(name) for name in class_names}) < len(set(class_names))
    keys = [name if plain else _folded(name) for name in class_names]
    known = {key: index for index, key in enumerate(keys)}
    places = {
        name: known[key] for name in names if (key := name if plain else _folded(name)) in known
    }
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
    # Numbers say no more than an order; 10 comes before 2 in the alphabet. The order of words is
    # nobody's choice, so that to take classes by their places would be wrong in silence.
    if len(names) == len(class_names) and all(name.isdecimal() for name in names):
        return {name: place for place, name in enumerate(sorted(names, key=int))}
    if len(names) == len(class_names) + 1 and list(names) == [str(i) for i in range(len(names))]:
        advice = (
            "If its labels count from 1, subtract 1: numbers index the class names from 0, and "
            "class 0 may be empty."
        )
    else:
        advice = "Tell with 'class_map' which is which, or call classes and names alike."
    raise LpclipError(
        f"it has {len(names)} classes ({listed(names)}), the benchmark {len(class_names)} class "
        f"names ({listed(class_names)}), and no name is in both. {advice}"
    )


def _file_names(samples: Path) -> list[str]:
    """The last part of every path."""
    return [str(path).rpartition("/")[2] for path in read_samples(samples, labels=False)["path"]]


def _folded(name: str) -> str:
    # Apple's file systems write an accent as a character of its own, keyboards do not.
    return unicodedata.normalize("NFC", re.sub(r"[\s_-]+", " ", name).strip().casefold())


def _not_found(name: str, class_names: Sequence[str]) -> str:
    near = get_close_matches(name, class_names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return (
        f"its class '{name}' is not among the benchmark's {len(class_names)} class names "
        f"({listed(class_names)}).{hint}"
    )
