"""The layout of a benchmark with one model: a place in the plane for its images, and neighbours."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage import checksums
from lpclip.storage.attributes import Attributes
from lpclip.storage.hdf5 import Provenance, check_shapes, columns, create, open_file, provenance_of
from lpclip.storage.opening import damaged
from lpclip.storage.tables import read_table, write_table
from lpclip.types import FloatArray, IntArray

KIND, TABLE = "layout", "points"
_COLUMNS = ("id", "path", "dataset", "row", "x", "y", "ood_score")


@dataclass(frozen=True)
class Layout:
    """Images as points.

    Attributes:
        points: N rows, dataset by dataset: id, path, dataset (place in ``datasets``), row (in the
            cache of that dataset), x, y, ood_score (of the features alone, high means
            in-distribution).
        neighbours: ``[N, K]``, the nearest other points, nearest first.
        distances: ``[N, K]``, Euclidean distances of features of unit length.
        datasets: name, role, index (fingerprint) and images (how many there are) of each.
        axes: what the two axes are, in words.
    """

    points: pd.DataFrame
    neighbours: IntArray
    distances: FloatArray
    datasets: Sequence[Mapping[str, Any]]
    axes: str


def write_layout(path: Path, layout: Layout, provenance: Provenance) -> None:
    """Write a layout: the table ``points``, ``neighbours`` int32 and ``distances`` float32."""
    with create(path, kind=KIND, provenance=provenance) as file:
        file.attrs["axes"] = layout.axes
        file.attrs["datasets"] = json.dumps(list(layout.datasets))
        write_table(file, TABLE, layout.points[list(_COLUMNS)])
        file["neighbours"] = layout.neighbours.astype(np.int32)
        file["distances"] = layout.distances.astype(np.float32)


def read_layout(path: Path) -> tuple[Layout, Attributes]:
    """Read a layout and its provenance.

    Raises:
        LpclipError: as ``open_file``, or its parts do not fit together.
    """
    with open_file(path, kind=KIND) as file:
        provenance = provenance_of(file)
        points = columns(path, read_table(file, TABLE), *_COLUMNS)
        arrays = {}
        for name in ("neighbours", "distances"):
            # Of one point alone there are no neighbours, which ``check_shapes`` refuses.
            if name in file and file[name].size:
                check_shapes(file, {name: "NK"}, {"N": len(points)})
            arrays[name] = checksums.read(file[name])
        datasets = provenance.json("datasets")
        layout = Layout(points, **arrays, datasets=datasets, axes=str(provenance["axes"]))
    _check(path, layout)
    return layout, provenance


def _check(path: Path, layout: Layout) -> None:
    n, places = len(layout.points), layout.points["dataset"]
    keys = ("dataset", "role", "index", "images")
    if not all(isinstance(one, dict) and set(keys) <= one.keys() for one in layout.datasets):
        raise damaged(path, "its datasets have no name, role and index")
    if layout.neighbours.size and not 0 <= layout.neighbours.min() <= layout.neighbours.max() < n:
        raise damaged(path, "a neighbour is no point")
    if n and not 0 <= places.min() <= places.max() < len(layout.datasets):
        raise LpclipError(f"{path}: a point is of no dataset.")
