"""Tables in an HDF5 file: compound data sets, which ``pandas.read_hdf`` opens.

Main tables are in pandas' table format (``pandas.io.pytables``): a group with the
compound data set ``table``, so that ``where=`` and ``columns=`` work and ``HDFStore.keys()`` lists
them. Tables that name the rows of arrays are the data set alone.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.storage import checksums
from lpclip.storage.opening import damaged
from lpclip.storage.pandas_frames import NONE, fixed_length, set_attributes

Columns: TypeAlias = dict[str, npt.NDArray[Any]]

# The row number, which pandas stores as a column.
_ROW = "index"


class Blocks(NamedTuple):
    """A frame that is made some rows at a time, more than once."""

    rows: int  # of the whole frame
    read: Callable[[], Iterable[pd.DataFrame]]


def write_table(
    file: h5py.Group, name: str, frame: pd.DataFrame | Blocks, *, listed: bool = True
) -> None:
    """Store a frame without its index as a compound data set; text becomes fixed-length UTF-8.

    A table that is ``listed`` has pandas' table format; any other is a plain data set.
    """
    n = frame.rows if isinstance(frame, Blocks) else len(frame)
    whole = [] if isinstance(frame, Blocks) else [_columns(frame)]

    def encoded() -> Iterable[Columns]:
        return map(_columns, frame.read()) if isinstance(frame, Blocks) else whole

    types: dict[str, np.dtype[Any]] = {_ROW: np.dtype(np.int64)} if listed else {}
    for columns in encoded():
        for key, values in columns.items():
            types[key] = np.promote_types(types.get(key, values.dtype), values.dtype)
    # Extensible: chunks may not be longer than a table of fixed size, not even an empty one.
    data = file.create_dataset(
        f"{name}/table" if listed else name,
        shape=(n,),
        dtype=list(types.items()),
        chunks=(max(1, min(n, 4096)),),
        maxshape=(None,),
    )
    start = 0
    for columns in encoded():
        block = np.empty(len(next(iter(columns.values()), ())), dtype=data.dtype)
        for key, values in columns.items():
            block[key] = values
        if listed:
            block[_ROW] = np.arange(start, start + len(block))
        data[start : start + len(block)] = block
        start += len(block)
    if listed:
        _describe(file[name], data, [key for key in types if key != _ROW])


def _columns(frame: pd.DataFrame) -> Columns:
    """Return the columns of a frame as they are stored."""
    columns = {}
    for column in frame.columns:
        values = frame[column].to_numpy()
        columns[str(column)] = values if values.dtype.kind in "biuf" else fixed_length(values)
    return columns


def read_table(file: h5py.Group, name: str) -> pd.DataFrame:
    """Read a frame that ``write_table`` stored.

    Raises:
        LpclipError: no such table, one that ``write_table`` did not store, or a wrong checksum.
    """
    return _frame(file, name, checksums.read(stored_table(file, name)))


def read_blocks(file: h5py.Group, name: str, *, rows: int = 1 << 16) -> Iterator[pd.DataFrame]:
    """Iterate over a table some rows at a time; the checksum is verified after the last ones.

    Raises:
        LpclipError: as ``read_table``.
    """
    stored = stored_table(file, name)
    whole = checksums.Sum(stored, ())
    for start in range(0, len(stored), rows):
        block = stored[start : start + rows]
        whole.update(block)
        yield _frame(file, name, block)
    whole.verify()


def _frame(file: h5py.Group, name: str, table: npt.NDArray[Any]) -> pd.DataFrame:
    """Return rows of a stored table as a frame."""
    try:
        return pd.DataFrame(
            {
                key: [text.decode() for text in table[key]]
                if table.dtype[key].kind == "S"
                else table[key]
                for key in columns_of(file, name)
            }
        )
    except UnicodeDecodeError as error:
        raise damaged(file, f"a text of its table '{name}' is not UTF-8") from error


def stored_table(file: h5py.Group, name: str) -> h5py.Dataset:
    """Return the compound data set of a table.

    Raises:
        LpclipError: ``write_table`` did not store it.
    """
    found = file[name]
    stored = found.get("table") if isinstance(found, h5py.Group) else found
    fields = stored.dtype.fields if isinstance(stored, h5py.Dataset) else None
    # One type per column: numbers, or text of a fixed length.
    types = [type_ for type_, *_ in fields.values()] if fields else []
    if not types or stored.ndim != 1 or any(t.kind not in "biufS" or t.shape for t in types):
        raise damaged(file, f"'{name}' is not a table")
    return stored


def columns_of(file: h5py.Group, name: str) -> list[str]:
    """Return the column names of a table, without the row number."""
    listed = isinstance(file[name], h5py.Group)
    names = stored_table(file, name).dtype.names
    return [key for key in names if not (listed and key == _ROW)]


def _describe(group: h5py.Group, data: h5py.Dataset, names: list[str]) -> None:
    """Write the attributes that pandas expects of its tables; all columns are searchable."""
    info: dict[int | str, Any] = {1: {"names": [None], "type": "Index"}, _ROW: {}}
    info |= {key: {} for key in names}
    set_attributes(
        group,
        {
            "CLASS": "GROUP",
            "VERSION": "1.0",
            "pandas_type": "frame_table",
            "pandas_version": "0.15.2",  # pandas before 3 warns of old files without it
            "table_type": "appendable_frame",
            "encoding": "UTF-8",
            "errors": "strict",
            "data_columns": _literal(names),
            "values_cols": _literal(names),
            "index_cols": _literal([(0, _ROW)]),
            "non_index_axes": _literal([(1, names)]),
            "info": _literal(info),
            "levels": 1,
            "nan_rep": NONE,
            "data_col_nan_rep": np.uint8(1),  # no text stands for a missing one
            "mi_level_nan_rep": np.uint8(0),
        },
    )
    texts = {"CLASS": "TABLE", "VERSION": "2.7", f"{_ROW}_kind": "integer"}
    set_attributes(data, {**texts, "NROWS": len(data)})
    for place, key in enumerate([_ROW, *names]):
        type_ = data.dtype[key]
        is_text = type_.kind == "S"
        fill = np.zeros((), "S1" if is_text else np.uint8 if type_ == np.bool_ else type_)
        set_attributes(data, {f"FIELD_{place}_NAME": key, f"FIELD_{place}_FILL": fill})
        if key != _ROW:
            kind = f"bytes{8 * type_.itemsize}" if is_text else type_.name
            meta = "str" if is_text else NONE
            described = {"dtype": kind, "kind": _literal([key]), "meta": meta}
            set_attributes(data, {f"{key}_{what}": text for what, text in described.items()})


def _literal(value: Any) -> np.bytes_:
    """Pickle lists and texts as PyTables does; they hold no code, and lpclip never reads them."""
    return np.bytes_(pickle.dumps(value, protocol=0))
