"""Arrays of an HDF5 file as DataFrames for ``pandas.read_hdf``, without a second copy.

This is pandas' fixed format of one block: the names of the rows and columns, and values that are a
hard link to the stored array, or a virtual data set over one version of it. Attributes are those
that pandas writes (``pandas.io.pytables.FrameFixed``, ``SeriesFixed``).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from lpclip.storage.checksums import Part

GROUP = "frames"

# How PyTables writes an empty string, and None.
EMPTY = h5py.Empty(h5py.string_dtype("utf-8", 1))
NONE = np.bytes_(b"N.")


class Frames:
    """Frames of one file with the same row names; what they share is stored once.

    ``rows`` are the index of every frame, see ``fixed_length``; nothing is written before the first
    frame.
    """

    def __init__(self, file: h5py.File, rows: npt.NDArray[np.bytes_]) -> None:
        self._file, self._rows = file, rows
        self._stored: dict[str, h5py.Dataset] = {}

    def add(
        self,
        key: str,
        values: h5py.Dataset,
        *,
        part: Part = (),
        columns: Sequence[str] | None = None,
    ) -> None:
        """Let ``pandas.read_hdf(path, "frames/{key}")`` return an array as a DataFrame.

        ``values`` are ``[..., N, D]``, in the same file; ``part`` is the position on their leading
        axes. ``columns`` are D names, the same for all frames; 0 to D - 1 if None or not unique.
        """
        frame = self._group(key, "frame", ("axis0", "axis1", "block0_items"))
        frame.attrs["nblocks"], frame.attrs["ndim"] = 1, 2
        if columns is None or len(set(columns)) < len(columns):  # pandas refuses repeated names
            frame["axis0"] = self._named("columns", np.arange(values.shape[-1]), "integer")
        else:
            frame["axis0"] = self._named("columns", fixed_length(columns), "string")
        frame["axis1"] = self._named("rows", self._rows, "string")
        frame["block0_items"] = frame["axis0"]
        _attach(frame, "block0_values", values, part)

    def add_versions(
        self, key: str, values: h5py.Dataset, numbers: Sequence[int] | None = None
    ) -> None:
        """Add a frame of an array ``[N, D]``; of ``[V, N, D]`` one per version, ``{key}/{number}``.

        ``numbers`` name the versions (severities); by default 0 to V - 1.
        """
        if values.ndim == 2:
            self.add(key, values)
            return
        for place, number in enumerate(numbers or range(len(values))):
            self.add(f"{key}/{number}", values, part=(place,))

    def add_series(self, key: str, values: h5py.Dataset, *, part: Part) -> None:
        """Add an array ``[..., N]`` as a Series; arguments as in ``add``."""
        series = self._group(key, "series", ("index",))
        series.attrs["name"] = NONE
        series["index"] = self._named("rows", self._rows, "string")
        _attach(series, "values", values, part)

    def _group(self, key: str, kind: str, axes: Sequence[str]) -> h5py.Group:
        group = self._file.create_group(f"{GROUP}/{key}")
        texts = {f"{axis}_variety": "regular" for axis in axes}
        texts |= {"CLASS": "GROUP", "VERSION": "1.0", "pandas_type": kind}
        set_attributes(group, {**texts, "encoding": "UTF-8", "errors": "strict"})
        return group

    def _named(self, name: str, values: npt.NDArray[Any], kind: str) -> h5py.Dataset:
        """Store an array of names, to be linked from every frame, under no name of its own."""
        if name not in self._stored:
            data = self._file.create_dataset(None, data=values)
            _describe(data)
            set_attributes(data, {"kind": kind, "name": NONE})
            if kind == "string":
                data.attrs["nan_rep"] = EMPTY  # no text means "missing"
            self._stored[name] = data
        return self._stored[name]


def pandas_keys(file: h5py.File) -> list[str]:
    """Return what ``HDFStore.keys()`` lists, without the leading slash."""
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if "pandas_type" in item.attrs:
            found.append(name)

    file.visititems(visit)
    return found


def fixed_length(texts: Iterable[Any]) -> npt.NDArray[np.bytes_]:
    """Encode texts as UTF-8 of fixed length."""
    encoded = [str(text).encode() for text in texts]
    return np.array(encoded, dtype=f"S{max(map(len, encoded), default=1) or 1}")


def set_attributes(item: h5py.HLObject, attributes: Mapping[str, Any]) -> None:
    """Write attributes as PyTables reads them (text: fixed length, UTF-8), and an empty title."""
    # Low-level functions: h5py renames each of the hundreds of attributes after writing it.
    scalar = h5py.h5s.create(h5py.h5s.SCALAR)
    for key, value in attributes.items():
        if isinstance(value, str):
            text = np.bytes_(value.encode())
            type_ = _text_type(len(text))
            h5py.h5a.create(item.id, key.encode(), type_, scalar).write(np.array(text), type_)
        else:
            item.attrs[key] = value
    if not h5py.h5a.exists(item.id, b"TITLE"):
        empty = h5py.h5s.create(h5py.h5s.NULL)
        h5py.h5a.create(item.id, b"TITLE", _text_type(1), empty)


@cache
def _text_type(length: int) -> Any:
    type_ = h5py.h5t.C_S1.copy()
    type_.set_size(length)
    type_.set_strpad(h5py.h5t.STR_NULLPAD)
    type_.set_cset(h5py.h5t.CSET_UTF8)
    return type_


def _attach(group: h5py.Group, name: str, values: h5py.Dataset, part: Part) -> None:
    if not part:
        group[name] = values
        if "CLASS" not in values.attrs:
            _describe(values)
        return
    shape = values.shape[len(part) :]
    space, source = h5py.h5s.create_simple(shape), h5py.h5s.create_simple(values.shape)
    source.select_hyperslab((*part, *(0 for _ in shape)), (*(1 for _ in part), *shape))
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_obj_track_times(False)  # h5py's functions for virtual data sets store a date
    settings.set_virtual(space, b".", values.name.encode(), source)
    type_ = values.id.get_type()
    _describe(h5py.Dataset(h5py.h5d.create(group.id, name.encode(), type_, space, settings)))


def _describe(data: h5py.Dataset) -> None:
    set_attributes(data, {"CLASS": "ARRAY", "FLAVOR": "numpy", "VERSION": "2.4"})
    data.attrs["transposed"] = np.uint8(1)
