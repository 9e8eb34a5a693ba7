"""HDF5 files of lpclip itself, as a source of features or labels."""

from pathlib import Path

import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage import checksums, features, samples, text
from lpclip.storage.arrays.base import AnyArray, Arrays
from lpclip.storage.features import stored_view, views
from lpclip.storage.hdf5 import open_file, provenance_of
from lpclip.storage.tables import columns_of, read_table, stored_table
from lpclip.storage.untrusted import check_untrusted


class Lpclip(Arrays):
    """A feature cache (arrays ``clean``, ``weak/0``, …), a text cache, or an index."""

    _TABLES = {module.KIND: module.TABLE for module in (features, text, samples)}  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        check_untrusted(path)
        with open_file(path) as file:
            kind = str(file.attrs["kind"])
            if kind not in self._TABLES:
                raise LpclipError(f"{path} holds {kind}, which are no features.")
            self.provenance = self._stated = provenance_of(file)
        self._kind = kind
        self.ids = "id" if kind == features.KIND else None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with open_file(self.path) as file:
            main = self._TABLES[self._kind]
            table = stored_table(file, main)
            if self._kind == text.KIND:
                found["features"] = text.stored_features(file, len(table)).shape
            elif self._kind == features.KIND:
                for view in views(file):
                    shape = stored_view(self.path, file, view).shape
                    versions = [f"{view}/{i}" for i in range(shape[0])]
                    arrays = versions if len(shape) == 3 else [view]
                    found |= dict.fromkeys(arrays, shape[-2:])
            found |= dict.fromkeys(columns_of(file, main), table.shape)
        names = samples.class_names_of(self._stated) if self._kind == samples.KIND else None
        if names is not None:
            found["class_names"] = (len(names),)
        return found

    def read(self, name: str) -> AnyArray:
        shape = self.shape(name)
        with open_file(self.path) as file:
            if len(shape) == 2:
                view, _, version = name.partition("/")
                if self._kind == text.KIND:
                    place = text.stored_features(file, shape[0])
                else:
                    place = stored_view(self.path, file, view)
                return checksums.read(place, (int(version),) if version else ())
            if name == "class_names":
                return np.array(samples.class_names_of(self._stated))
            return np.array(read_table(file, self._TABLES[self._kind])[name].tolist())
