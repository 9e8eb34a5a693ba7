"""Files of lpclip as one DataFrame; features as an array that stays on the disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage import checksums
from lpclip.storage.features import normalise as stored_normalise
from lpclip.storage.features import stored_view, views
from lpclip.storage.hdf5 import columns as stored_columns
from lpclip.storage.hdf5 import open_file, provenance_of, read_provenance
from lpclip.storage.opening import make_again
from lpclip.storage.samples import read_samples
from lpclip.storage.shapes import check_shapes
from lpclip.storage.tables import read_table
from lpclip.types import FloatArray

MAIN_TABLE = {
    "samples": "samples",
    "text": "classes",
    "features": "samples",
    "pseudo_labels": "pseudo_labels",
    "probes": "rounds",
}


def read_frame(
    path: str | Path,
    *,
    view: str | None = None,
    version: int = 0,
    labels: str | Path | None = None,
    pseudo_labels: str | Path | None = None,
    normalise: bool = True,
) -> pd.DataFrame:
    """One DataFrame of a file that lpclip wrote.

    A feature cache gives id, path, the label or pseudo-label where asked for, then one column
    ``d0``, ``d1``, … per dimension; a text cache gives the class names and their features; every
    other file its table (``samples``, ``pseudo_labels`` with one column ``p0``, … per class, the
    ``rounds`` of a probes file).

    >>> import lpclip
    >>> frame = lpclip.read_frame(
    ...     "cache/tiny/images/digits-test/clean.h5", labels="cache/data/digits-test/samples.h5"
    ... )
    >>> frame.round(2)
              id            path  label   d0   d1   d2
    0  test-0000  digits/898.png      8  1.0  0.0  0.0
    1  test-0001  digits/899.png      8  0.6  0.8  0.0
    2  test-0002  digits/900.png      9  0.0  0.6 -0.8

    Args:
        path: the file.
        view: which view of a feature cache; its only one, or ``clean``, where None.
        version: which version of it (severity minus one for a corruption).
        labels: an index, whose labels are added as the column ``label``.
        pseudo_labels: a file of pseudo-labels, added as ``pseudo_label``, ``confidence`` and
            ``selected``.
        normalise: divide each row of features by its length.

    Raises:
        LpclipError: not a file of lpclip's, no such view or version, or files that belong to
            different indices.
    """
    path = Path(path)
    with open_file(path) as file:
        kind = str(file.attrs["kind"])
        if kind not in MAIN_TABLE:
            raise LpclipError(f"{path} holds {kind}, of which no table can be made.")
        frame = read_table(file, MAIN_TABLE[kind])
        if kind == "text":
            check_shapes(file, {"features": "CD"}, {"C": len(frame)})
            frame = _beside(frame, "d", checksums.read(file["features"]))
        elif kind == "pseudo_labels":
            stored_columns(path, frame, "selected")
            check_shapes(file, {"probabilities": "NC"}, {"N": len(frame)})
            frame["selected"] = frame["selected"].astype(bool)
            frame = _beside(frame, "p", checksums.read(file["probabilities"]).astype(np.float32))
        elif kind == "features":
            index = str(provenance_of(file)["index"])
            if labels is not None:
                frame["label"] = _labels(Path(labels), index)
            if pseudo_labels is not None:
                frame = _with_pseudo_labels(frame, Path(pseudo_labels), index)
            values = _features(path, file, view, version)
            frame = _beside(frame, "d", stored_normalise(values) if normalise else values)
    return frame


def map_features(path: str | Path, *, view: str | None = None) -> npt.NDArray[np.float16]:
    """Features of one view as they are stored, in an array that is read where it is looked at.

    >>> import lpclip
    >>> features = lpclip.map_features("cache/tiny/images/digits-test/clean.h5")
    >>> features.shape, features[[2, 0]].tolist()
    ((3, 3), [[0.0, 3.0, -4.0], [2.0, 0.0, 0.0]])

    Args:
        path: a feature cache.
        view: its only one, or ``clean``, where None.

    Returns:
        ``[N, D]``, or ``[V, N, D]`` where the view has versions; read-only, not normalised.

    Raises:
        LpclipError: not a feature cache, or no such view.
    """
    path = Path(path)
    with open_file(path, kind="features") as file:
        data = stored_view(path, file, _chosen(file, view))
        place = data.id.get_offset()
        if place is None:  # empty, or chunked, as caches were at first
            stored: npt.NDArray[np.float16] = data[...]
            return stored
        if place + data.nbytes > path.stat().st_size:
            raise LpclipError(f"{path} is damaged: it ends within '{data.name}'.{make_again(path)}")
        return np.memmap(path, data.dtype, mode="r", offset=place, shape=data.shape)


def _chosen(file: h5py.File, view: str | None) -> str:
    names = views(file)
    return view or (names[0] if len(names) == 1 else "clean")


def _features(path: Path, file: h5py.File, view: str | None, version: int) -> FloatArray:
    view = _chosen(file, view)
    data = stored_view(path, file, view)
    if data.ndim == 3 and not 0 <= version < len(data):
        raise LpclipError(
            f"{path}: view '{view}' has versions 0 to {len(data) - 1}, not {version}."
        )
    values: FloatArray = checksums.read(data, (version,) if data.ndim == 3 else ())
    return values.astype(np.float32)


def _labels(path: Path, index: str) -> Sequence[int]:
    _same_index(path, read_provenance(path, kind="samples"), index)
    return list(stored_columns(path, read_samples(path, labels=True), "label")["label"])


def _with_pseudo_labels(frame: pd.DataFrame, path: Path, index: str) -> pd.DataFrame:
    _same_index(path, read_provenance(path, kind="pseudo_labels"), index)
    with open_file(path) as file:
        table = read_table(file, "pseudo_labels")
        stored_columns(path, table, "class_index", "confidence", "selected")
    return frame.assign(
        pseudo_label=table["class_index"],
        confidence=table["confidence"],
        selected=table["selected"].astype(bool),
    )


def _same_index(path: Path, provenance: dict[str, Any], index: str) -> None:
    if provenance["index"] != index:
        raise LpclipError(f"{path} belongs to the index {provenance['index']}, not to {index}.")


def _beside(frame: pd.DataFrame, prefix: str, values: FloatArray) -> pd.DataFrame:
    columns = [f"{prefix}{number}" for number in range(values.shape[1])]
    return pd.concat([frame, pd.DataFrame(values, columns=columns)], axis=1)
