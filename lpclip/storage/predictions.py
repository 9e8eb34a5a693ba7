"""What a method predicts for every image of a test set, and all methods in one file."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip.storage.hdf5 import Provenance, create, open_file, read_provenance
from lpclip.storage.tables import write_table
from lpclip.types import FloatArray, IntArray

KIND = "predictions"
# Provenance of one method: what its group is called in the file of all, and what the group keeps.
_NAMES = ("model", "benchmark", "method")
_KEPT = ("class_names", "dataset", "index", "weights")


def write_predictions(
    path: Path,
    *,
    ids: Sequence[str],
    labels: IntArray,
    predicted: Iterable[tuple[int, IntArray, FloatArray]],
    provenance: Provenance,
) -> None:
    """Write one table per seed, ``seed_0``, …: id, label, prediction and confidence.

    Args:
        path: the file.
        ids: of N images.
        labels: ``[N]``, -1 for none.
        predicted: seed, predicted classes and their probabilities, ``[N]`` each.
        provenance: attributes, among them those of ``_NAMES`` and ``_KEPT``.
    """
    with create(path, kind=KIND, provenance=provenance) as file:
        for seed, classes, confidence in predicted:
            table = pd.DataFrame(
                {
                    "id": ids,
                    "label": labels.astype(np.int32),
                    "prediction": classes.astype(np.int32),
                    "confidence": confidence.astype(np.float32),
                }
            )
            write_table(file, f"seed_{seed}", table)


def gather_predictions(parts: Sequence[Path], output: Path) -> None:
    """Copy the tables of all methods to one file, ``{model}/{benchmark}/{method}/seed_{seed}``."""
    with create(output, kind=KIND, provenance={"experiments": len(parts)}) as file:
        for part in parts:
            found = read_provenance(part, kind=KIND)
            group = file.create_group("/".join(str(found[key]) for key in _NAMES))
            for key in _KEPT:
                group.attrs[key] = found[key]
            with open_file(part, kind=KIND) as source:
                for name in sorted(source):
                    source.copy(name, group)
