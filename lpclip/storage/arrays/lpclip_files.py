"""The HDF5 files of lpclip itself, as a source of features or of labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage import checksums
from lpclip.storage.arrays.base import AnyArray, Arrays
from lpclip.storage.features import stored_view, views
from lpclip.storage.hdf5 import open_file, provenance_of
from lpclip.storage.shapes import check_shapes
from lpclip.storage.tables import columns_of, read_table, stored_table
from lpclip.storage.untrusted import check_foreign


class Lpclip(Arrays):
    """A feature cache (``clean``, ``weak/0``, …), a text cache, or an index of lpclip's."""

    _TABLES: Mapping[str, str] = {"features": "samples", "text": "classes", "samples": "samples"}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        check_foreign(path)
        with open_file(path) as file:
            kind = str(file.attrs["kind"])
            if kind not in self._TABLES:
                raise LpclipError(f"{path} holds {kind}, which are no features.")
            self.provenance = self._stated = provenance_of(file)
        self._kind = kind
        self.ids = "id" if kind == "features" else None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with open_file(self.path) as file:
            name = self._TABLES[self._kind]
            table = stored_table(file, name)
            if self._kind == "text":
                check_shapes(file, {"features": "CD"}, {"C": len(table)})
                found["features"] = file["features"].shape
            elif self._kind == "features":
                for view in views(file):
                    shape = stored_view(self.path, file, view).shape
                    versions = [f"{view}/{i}" for i in range(shape[0])]
                    names = versions if len(shape) == 3 else [view]
                    found |= dict.fromkeys(names, shape[-2:])
            found |= dict.fromkeys(columns_of(file, name), table.shape)
        if self._kind == "samples" and (classes := self._class_names()) is not None:
            found["class_names"] = (len(classes),)
        return found

    def read(self, name: str) -> AnyArray:
        shape = self.shape(name)
        with open_file(self.path) as file:
            if len(shape) == 2:
                view, _, version = name.partition("/")
                if self._kind == "text":
                    place = file["features"]
                else:
                    place = stored_view(self.path, file, view)
                return checksums.read(place, (int(version),) if version else ())
            if name == "class_names":
                return np.array(self._class_names())
            return np.array(read_table(file, self._TABLES[self._kind])[name].tolist())

    def _class_names(self) -> tuple[str, ...] | None:
        return (
            None if self._stated.json("class_names") is None else self._stated.texts("class_names")
        )
