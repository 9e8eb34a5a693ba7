"""The HDF5 files of lpclip itself, as a source of features or of labels."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lpclip import cache
from lpclip.errors import LpclipError
from lpclip.feature_files.arrays import AnyArray, Arrays


class Lpclip(Arrays):
    """A feature cache (``clean``, ``weak/0``, …), a text cache, or an index of lpclip's."""

    _TABLES: Mapping[str, str] = {"features": "samples", "text": "classes", "samples": "samples"}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with cache.open_file(path) as file:
            kind = str(file.attrs["kind"])
            if kind not in self._TABLES:
                raise LpclipError(f"{path} holds {kind}, which are no features.")
            self.provenance = cache.provenance_of(file)
        self._kind = kind
        self.ids = "id" if kind == "features" else None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with cache.open_file(self.path) as file:
            table = file[self._TABLES[self._kind]]
            if self._kind == "text":
                found["features"] = file["features"].shape
            elif self._kind == "features":
                for view in cache.views(file):
                    shape = file[f"features/{view}"].shape
                    versions = [f"{view}/{i}" for i in range(shape[0])]
                    names = versions if len(shape) == 3 else [view]
                    found |= dict.fromkeys(names, shape[-2:])
            found |= dict.fromkeys(table.dtype.names, table.shape)
        if self._kind == "samples":
            names = json.loads(self.provenance["class_names"])
            found |= {} if names is None else {"class_names": (len(names),)}
        return found

    def read(self, name: str) -> AnyArray:
        shape = self.shape(name)
        with cache.open_file(self.path) as file:
            if len(shape) == 2:
                view, _, version = name.partition("/")
                place = file["features"] if self._kind == "text" else file[f"features/{view}"]
                values: AnyArray = place[int(version)] if version else place[...]
                return values
            if name == "class_names":
                return np.array(json.loads(self.provenance["class_names"]))
            return np.array(cache.read_table(file, self._TABLES[self._kind])[name].tolist())
