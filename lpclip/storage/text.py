"""Text caches: the features of the class names, which are the zero-shot head."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lpclip.storage import checksums
from lpclip.storage.hdf5 import (
    Provenance,
    columns,
    create,
    open_file,
    provenance_of,
)
from lpclip.storage.pandas_frames import Frames, fixed_length
from lpclip.storage.shapes import check_shapes
from lpclip.storage.tables import read_table, write_table
from lpclip.types import FloatArray


def write_text(
    path: Path,
    *,
    features: FloatArray,
    class_names: Sequence[str],
    provenance: Provenance,
) -> None:
    """Store text features: ``features``, their frame by class name, and the table ``classes``.

    Args:
        path: the text cache.
        features: ``[C, D]`` float32, of unit length.
        class_names: C names.
        provenance: attributes, among them the model's ``scale`` and ``bias``.
    """
    with create(path, kind="text", provenance=provenance) as file:
        file["features"] = features
        names = pd.DataFrame(
            {"class_index": np.arange(len(class_names), dtype=np.int32), "name": list(class_names)}
        )
        write_table(file, "classes", names, listed=False)
        Frames(file, fixed_length(class_names)).add("features", file["features"])


@dataclass(frozen=True)
class ZeroShotHead:
    """The text features as a probe; every method starts from it.

    Attributes:
        weight: ``[C, D]`` float32, unit rows.
        bias: what the model adds to its logits.
        scale: what the model multiplies cosines with.
        class_names: C names.
        expected: model and weights, which every cache that is used with the head must name.
    """

    weight: FloatArray
    bias: float
    scale: float
    class_names: tuple[str, ...]
    expected: dict[str, Any]

    def as_round(self, n_seeds: int) -> tuple[FloatArray, FloatArray]:
        """Weight ``[S, C, D]`` and bias ``[S, C]`` of round 0."""
        n_classes, dim = self.weight.shape
        weight = np.broadcast_to(self.weight, (n_seeds, n_classes, dim))
        return weight, np.full((n_seeds, n_classes), self.bias, dtype=np.float32)


def text_fingerprint(features: FloatArray) -> str:
    """Hash of text features, 16 hexadecimal digits: other names or templates, another hash."""
    return sha256(np.ascontiguousarray(features, dtype=np.float32).tobytes()).hexdigest()[:16]


def read_head(text: Path) -> tuple[ZeroShotHead, dict[str, Any]]:
    """The zero-shot head of a text cache, and the cache's provenance."""
    with open_file(text, kind="text") as file:
        provenance = provenance_of(file)
        names = tuple(columns(text, read_table(file, "classes"), "name")["name"])
        check_shapes(file, {"features": "CD"}, {"C": len(names)})
        weight = checksums.read(file["features"])
    head = ZeroShotHead(
        weight=weight,
        bias=provenance.number("bias"),
        scale=provenance.number("scale"),
        class_names=names,
        expected={key: provenance[key] for key in ("model", "weights")},
    )
    return head, provenance
