"""Read a file of lpclip as one DataFrame, or features as a memory-mapped array."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage import checksums, features, probes, samples, text
from lpclip.storage import pseudo_labels as labels_file
from lpclip.storage.features import normalise as unit_rows
from lpclip.storage.features import stored_view, views
from lpclip.storage.hdf5 import columns as checked_columns
from lpclip.storage.hdf5 import open_file, provenance_of, read_provenance
from lpclip.storage.opening import damaged
from lpclip.storage.samples import read_samples
from lpclip.storage.tables import read_table
from lpclip.types import FloatArray

# Kind of file -> its main table.
MAIN_TABLE: Mapping[str, str] = {
    module.KIND: module.TABLE for module in (samples, text, features, labels_file, probes)
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
    """Read a file that lpclip wrote as one DataFrame.

    A feature cache gives id, path, the label or pseudo-label if requested, then one column
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
            raise LpclipError(f"{path} holds {kind}, which cannot be read as a table.")
        if kind == labels_file.KIND:
            frame = labels_file.label_table(file)
            values = labels_file.stored_probabilities(file, len(frame))[:]
            return _with_columns(frame, "p", values)
        frame = read_table(file, MAIN_TABLE[kind])
        if kind == text.KIND:
            values = checksums.read(text.stored_features(file, len(frame)))
            return _with_columns(frame, "d", values)
        if kind == features.KIND:
            index = str(provenance_of(file)["index"])
            if labels is not None:
                frame["label"] = _labels(Path(labels), index)
            if pseudo_labels is not None:
                frame = _with_pseudo_labels(frame, Path(pseudo_labels), index)
            values = _features(path, file, view, version)
            frame = _with_columns(frame, "d", unit_rows(values) if normalise else values)
    return frame


def map_features(path: str | Path, *, view: str | None = None) -> npt.NDArray[np.float16]:
    """Map the features of one view into memory as they are stored; rows are read on access.

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
    with open_file(path, kind=features.KIND) as file:
        data = stored_view(path, file, _chosen(file, view))
        place = data.id.get_offset()
        if place is None:  # empty, or chunked, as caches were at first
            stored: npt.NDArray[np.float16] = data[...]
            return stored
        if place + data.nbytes > path.stat().st_size:
            raise damaged(path, f"it ends within '{data.name}'")
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
    _check_same_index(path, samples.KIND, index)
    return list(checked_columns(path, read_samples(path, labels=True), "label")["label"])


def _with_pseudo_labels(frame: pd.DataFrame, path: Path, index: str) -> pd.DataFrame:
    _check_same_index(path, labels_file.KIND, index)
    with open_file(path) as file:
        table = labels_file.label_table(file)
    names = {"class_index": "pseudo_label"}
    return frame.join(table.drop(columns="id").rename(columns=names))


def _check_same_index(path: Path, kind: str, index: str) -> None:
    found = read_provenance(path, kind=kind)["index"]
    if found != index:
        raise LpclipError(f"{path} belongs to the index {found}, not to {index}.")


def _with_columns(frame: pd.DataFrame, prefix: str, values: FloatArray) -> pd.DataFrame:
    columns = [f"{prefix}{number}" for number in range(values.shape[1])]
    return pd.concat([frame, pd.DataFrame(values, columns=columns)], axis=1)
