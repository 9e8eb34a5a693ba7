"""The HDF5 files of lpclip itself, as a source of features or of labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lpclip import cache
from lpclip.errors import LpclipError
from lpclip.feature_files.arrays import AnyArray, Arrays
from lpclip.storage import checksums
from lpclip.storage.foreign import check_foreign
from lpclip.storage.shapes import check_shapes
from lpclip.storage.tables import columns_of, stored_table


class Lpclip(Arrays):
    """A feature cache (``clean``, ``weak/0``, …), a text cache, or an index of lpclip's."""

    _TABLES: Mapping[str, str] = {"features": "samples", "text": "classes", "samples": "samples"}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        check_foreign(path)
        with cache.open_file(path) as file:
            kind = str(file.attrs["kind"])
            if kind not in self._TABLES:
                raise LpclipError(f"{path} holds {kind}, which are no features.")
            self.provenance = self._stated = cache.provenance_of(file)
        self._kind = kind
        self.ids = "id" if kind == "features" else None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with cache.open_file(self.path) as file:
            name = self._TABLES[self._kind]
            table = stored_table(file, name)
            if self._kind == "text":
                check_shapes(file, {"features": "CD"}, {"C": len(table)})
                found["features"] = file["features"].shape
            elif self._kind == "features":
                for view in cache.views(file):
                    shape = cache.stored_view(self.path, file, view).shape
                    versions = [f"{view}/{i}" for i in range(shape[0])]
                    names = versions if len(shape) == 3 else [view]
                    found |= dict.fromkeys(names, shape[-2:])
            found |= dict.fromkeys(columns_of(file, name), table.shape)
        if self._kind == "samples" and (classes := self._class_names()) is not None:
            found["class_names"] = (len(classes),)
        return found

    def read(self, name: str) -> AnyArray:
        shape = self.shape(name)
        with cache.open_file(self.path) as file:
            if len(shape) == 2:
                view, _, version = name.partition("/")
                if self._kind == "text":
                    place = file["features"]
                else:
                    place = cache.stored_view(self.path, file, view)
                return checksums.read(place, (int(version),) if version else ())
            if name == "class_names":
                return np.array(self._class_names())
            return np.array(cache.read_table(file, self._TABLES[self._kind])[name].tolist())

    def _class_names(self) -> tuple[str, ...] | None:
        return (
            None if self._stated.json("class_names") is None else self._stated.texts("class_names")
        )
