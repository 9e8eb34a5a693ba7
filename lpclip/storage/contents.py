"""The contents of any HDF5 file of lpclip: its arrays, tables and attributes."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lpclip.storage import checksums
from lpclip.storage.attributes import Attributes
from lpclip.storage.frames import MAIN_TABLE
from lpclip.storage.hdf5 import open_file, provenance_of
from lpclip.storage.pandas_frames import GROUP, pandas_keys
from lpclip.storage.tables import read_table


@dataclass(frozen=True)
class Contents:
    """Contents of a file.

    Attributes:
        kind: of the file.
        version: of its schema.
        provenance: its attributes.
        arrays: name -> type (``table``, ``float16``, …) and shape.
        pandas_keys: keys for ``pandas.read_hdf``.
        table: the main table; empty for a file without one.
    """

    kind: str
    version: int
    provenance: Attributes
    arrays: dict[str, tuple[str, list[int]]]
    pandas_keys: list[str]
    table: pd.DataFrame


def read_contents(path: Path) -> Contents:
    """Read the contents of a file; only the types and shapes of its arrays."""
    with open_file(path) as file:
        kind = str(file.attrs["kind"])
        found = {
            name.removesuffix("/table"): data
            for name, data in sorted(checksums.arrays(file).items())
            if not name.startswith(f"{GROUP}/")
        }
        tables = [name for name, data in found.items() if data.dtype.names and data.ndim == 1]
        main = MAIN_TABLE.get(kind, tables[0] if tables else "")
        return Contents(
            kind=kind,
            version=int(file.attrs["schema_version"]),
            provenance=provenance_of(file),
            arrays={
                name: ("table" if data.dtype.names else str(data.dtype), list(data.shape or ()))
                for name, data in found.items()
            },
            pandas_keys=pandas_keys(file),
            table=read_table(file, main) if main else pd.DataFrame(),
        )
