"""Pseudo-labels of an unlabelled set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from lpclip.storage import checksums
from lpclip.storage.hdf5 import (
    Provenance,
    check_provenance,
    check_shapes,
    columns,
    create,
    open_file,
    provenance_of,
)
from lpclip.storage.pandas_frames import Frames, fixed_length
from lpclip.storage.tables import read_table, write_table
from lpclip.types import BoolArray, FloatArray, IntArray
from lpclip.utils.memory import Rows, empty_rows, row_slices

KIND, TABLE = "pseudo_labels", "pseudo_labels"
_PROBABILITIES = "probabilities"
_COLUMNS = ("class_index", "confidence", "selected")


@dataclass(frozen=True)
class PseudoLabels:
    """Targets for N samples; leading axes (seeds) are allowed.

    Attributes:
        probabilities: ``[..., N, C]`` float32, after the prior, in a file where they do not fit in
            memory (then a sequence of ``[N, C]`` for leading axes); None where nobody needs them.
        class_index: ``[..., N]`` int32, the most probable class; -1 for a sample without a label.
        confidence: ``[..., N]`` float32, its probability.
        selected: ``[..., N]``, which samples are confident enough to learn from.
    """

    probabilities: Any
    class_index: IntArray
    confidence: FloatArray
    selected: BoolArray

    def of_seed(self, seed_index: int) -> "PseudoLabels":
        """Return those of one position of the leading axis."""
        values = self.probabilities
        return PseudoLabels(
            None if values is None else values[seed_index],
            self.class_index[seed_index],
            self.confidence[seed_index],
            self.selected[seed_index],
        )


def write_pseudo_labels(
    path: Path,
    labels: PseudoLabels,
    *,
    ids: Sequence[str],
    class_names: Sequence[str],
    provenance: Provenance,
) -> None:
    """Write the table (id, class_index, confidence, selected) and float16 probabilities.

    The class names are the columns of the probabilities for pandas.

    Raises:
        ValueError: the labels have no probabilities.
    """
    if labels.probabilities is None:
        raise ValueError("labels without probabilities cannot be written")
    table = pd.DataFrame({"id": ids, **{name: getattr(labels, name) for name in _COLUMNS}})
    with create(path, kind=KIND, provenance=provenance) as file:
        write_table(file, TABLE, table)
        values: Rows = labels.probabilities
        stored = file.create_dataset(_PROBABILITIES, values.shape, np.float16)
        for rows in row_slices(*values.shape):
            stored[rows] = values[rows].astype(np.float16)
        frames = Frames(file, fixed_length(ids))
        frames.add(_PROBABILITIES, file[_PROBABILITIES], columns=class_names)


def read_pseudo_labels(
    path: Path, *, expected: Provenance, probabilities: bool = True
) -> PseudoLabels:
    """Read the pseudo-labels of a file, if wanted without the probabilities.

    Raises:
        LpclipError: its provenance is not the expected one, or it is damaged.
    """
    with open_file(path, kind=KIND) as file:
        check_provenance(path, provenance_of(file), expected)
        table = label_table(file)
        values = stored_probabilities(file, len(table)) if probabilities else None
    return PseudoLabels(values, *(table[name].to_numpy() for name in _COLUMNS))


def label_table(file: h5py.File) -> pd.DataFrame:
    """Read the table of an open file: id, class_index, confidence, selected (bool)."""
    table = columns(Path(file.filename), read_table(file, TABLE), "id", *_COLUMNS)
    return table.assign(selected=table["selected"].astype(bool))


def stored_probabilities(file: h5py.File, n_samples: int) -> Rows:
    """Read the probabilities of an open file, float32 ``[N, C]``."""
    check_shapes(file, {_PROBABILITIES: "NC"}, {"N": n_samples})
    data = file[_PROBABILITIES]
    probabilities: Rows = empty_rows(*data.shape)
    read = checksums.Sum(data, ())
    for rows in row_slices(*data.shape):
        stored = data[rows]
        read.update(stored)
        probabilities[rows] = stored.astype(np.float32)
    read.verify()
    return probabilities
