"""Convert labels, text or numbers, to indices into class names."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lpclip.data.base import UNLABELLED
from lpclip.errors import LpclipError, did_you_mean
from lpclip.storage.arrays.base import AnyArray
from lpclip.types import IntArray

log = logging.getLogger(__name__)

MOST_CLASSES = 100_000
N_IMAGENET = 1000  # two of its published names occur twice
# 7 and -1 are numbers; 07, +7 and 7.0 are names.
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,9}")


def named_classes(values: AnyArray, names: Sequence[Any] | None, *, where: str) -> list[str]:
    """Return the class names: the given ones, or derived from the labels.

    Labels ``[N]`` are whole numbers or text; ``""`` and -1 mean no label. Without names, text is
    in alphabetical order; numbers go from 0 to the largest.

    Raises:
        LpclipError: an empty or repeated name, labels of another type, or a number too large for a
            class index.
    """
    if names is None:
        values = _checked(values, where)
        if values.dtype.kind != "U":
            largest = int(values.max(initial=UNLABELLED))
            if largest >= MOST_CLASSES:
                raise LpclipError(
                    f"{where} has the label {largest}. Numbers are indices of classes, and more "
                    f"than {MOST_CLASSES:,} classes are no classes. Is it another column? Else "
                    "give class_names."
                )
            return [str(number) for number in range(largest + 1)]
        return [str(name) for name in np.unique(values) if name]
    found = [str(name) for name in names]
    first: dict[str, int] = {}
    for number, name in enumerate(found, start=1):
        if not name.strip():
            raise LpclipError(f"{where}: class_names: name {number} is empty.")
        if (before := first.setdefault(name, number)) != number:
            hint = ""
            if len(found) == N_IMAGENET:
                hint = (
                    " If these are ImageNet's classes in their usual order, leave them out here, "
                    "and give the benchmark class_names: imagenet."
                )
            raise LpclipError(
                f"{where}: class_names has a name twice, '{name}' ({before} and {number}).{hint}"
            )
    return found


def label_index(values: AnyArray, names: Sequence[str], *, where: str) -> IntArray:
    """Return the class index of every label ``[N]``, a whole number or name; -1 for none.

    Warns of labels that start at 1, which may count from 1 by mistake.

    Raises:
        LpclipError: a label that is not a class.
    """
    values = _checked(values, where)
    if values.dtype.kind != "U":
        low, high = values.min(initial=UNLABELLED), values.max(initial=UNLABELLED)
        if low < UNLABELLED or high >= len(names):
            from_one = " Do they count from 1? Then subtract 1." if high == len(names) else ""
            raise LpclipError(
                f"{where} has labels {values.min()} to {high}, but there are {len(names)} class "
                f"names; labels are 0 to {len(names) - 1}, or -1 for none.{from_one}"
            )
        if (labelled := values[values != UNLABELLED]).size and labelled.min() == 1:
            log.warning(
                "%s has labels 1 to %d: they are taken to count from 0, so that class 0 ('%s') is "
                "empty. If they count from 1, subtract 1.",
                where,
                high,
                names[0],
            )
        return values
    indices = {"": UNLABELLED} | {name: index for index, name in enumerate(names)}
    different, inverse = np.unique(values, return_inverse=True)
    for value in different:
        if str(value) not in indices:
            raise LpclipError(
                f"{where} has the label '{value}', which is no class name. "
                f"{did_you_mean(str(value), names)}"
            )
    found: IntArray = np.array([indices[str(value)] for value in different], dtype=np.int64)
    return found[inverse]


def numbers_or_text(labels: Iterable[str | None], names: Sequence[str] | None) -> AnyArray:
    """Convert labels read as text to whole numbers if all are, unless they are class names.

    ``01`` and ``1.0`` are not numbers, since numbers are not written that way.

    >>> numbers_or_text(["0", None, "10"], None), numbers_or_text(["00", "01"], None)
    (array([ 0, -1, 10]), array(['00', '01'], dtype='<U2'))
    >>> numbers_or_text(["7", "1"], ["1", "7"])
    array(['7', '1'], dtype='<U1')
    """
    texts = [label or "" for label in labels]
    different = set(texts) - {""}
    known = set(map(str, names or ()))
    if different and not different <= known and all(map(_NUMBER.fullmatch, different)):
        return np.array([int(text or UNLABELLED) for text in texts])
    return np.array(texts, dtype=str)


def _checked(values: AnyArray, where: str) -> AnyArray:
    """Return labels as int64 or as text."""
    if values.dtype.kind not in "iubU":
        raise LpclipError(f"{where} is {values.dtype.name}, but labels are whole numbers or text.")
    return values if values.dtype.kind == "U" else values.astype(np.int64)
