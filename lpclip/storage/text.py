"""Text caches: the features of the class names, which form the zero-shot head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from lpclip.storage import checksums
from lpclip.storage.hdf5 import Provenance, check_shapes, columns, create, open_file, provenance_of
from lpclip.storage.pandas_frames import Frames, fixed_length
from lpclip.storage.tables import read_table, write_table
from lpclip.types import FloatArray, IntArray

KIND, TABLE = "text", "classes"
_FEATURES = "features"


def write_text(
    path: Path, *, features: FloatArray, class_names: Sequence[str], provenance: Provenance
) -> None:
    """Write text features: ``features``, their frame by class name, and the table ``classes``.

    The features are ``[C, D]`` float32, of unit length; the provenance holds the model's ``scale``
    and ``bias``.
    """
    with create(path, kind=KIND, provenance=provenance) as file:
        file[_FEATURES] = features
        names = pd.DataFrame(
            {"class_index": np.arange(len(class_names), dtype=np.int32), "name": list(class_names)}
        )
        write_table(file, TABLE, names, listed=False)
        Frames(file, fixed_length(class_names)).add(_FEATURES, file[_FEATURES])


@dataclass(frozen=True)
class ZeroShotHead:
    """The text features as a probe; every method starts from it.

    Attributes:
        weight: ``[C, D]`` float32, unit rows.
        bias: of the logits.
        scale: factor of the cosines.
        class_names: C names.
        expected: model and weights that every cache used with the head must have.
    """

    weight: FloatArray
    bias: float
    scale: float
    class_names: tuple[str, ...]
    expected: dict[str, Any]

    def of(self, classes: IntArray) -> "ZeroShotHead":
        """Return the head of some of the classes."""
        names = tuple(self.class_names[number] for number in classes)
        return replace(self, weight=self.weight[classes], class_names=names)

    def as_round(self, n_seeds: int) -> tuple[FloatArray, FloatArray]:
        """Return weight ``[S, C, D]`` and bias ``[S, C]`` of round 0."""
        n_classes, dim = self.weight.shape
        weight = np.broadcast_to(self.weight, (n_seeds, n_classes, dim))
        return weight, np.full((n_seeds, n_classes), self.bias, dtype=np.float32)


def text_fingerprint(features: FloatArray) -> str:
    """Return a hash of text features, 16 hexadecimal digits; names and templates change it."""
    return sha256(np.ascontiguousarray(features, dtype=np.float32).tobytes()).hexdigest()[:16]


def stored_features(file: h5py.File, n_classes: int) -> h5py.Dataset:
    """Return the data set of text features, ``[C, D]``, of an open text cache.

    Raises:
        LpclipError: it has another shape.
    """
    check_shapes(file, {_FEATURES: "CD"}, {"C": n_classes})
    return file[_FEATURES]


def read_head(text: Path) -> tuple[ZeroShotHead, dict[str, Any]]:
    """Read the zero-shot head of a text cache, and the cache's provenance."""
    with open_file(text, kind=KIND) as file:
        provenance = provenance_of(file)
        names = tuple(columns(text, read_table(file, TABLE), "name")["name"])
        weight = checksums.read(stored_features(file, len(names)))
    head = ZeroShotHead(
        weight=weight,
        bias=provenance.number("bias"),
        scale=provenance.number("scale"),
        class_names=names,
        expected={key: provenance[key] for key in ("model", "weights")},
    )
    return head, provenance
