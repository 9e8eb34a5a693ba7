"""An output folder of clip-retrieval: numbered parts of features and of their metadata."""

import re
from pathlib import Path

import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage.arrays.base import AnyArray, Arrays
from lpclip.storage.arrays.formats import Npy
from lpclip.storage.arrays.tables import Parquet


class ClipRetrieval(Arrays):
    """Folders ``img_emb``, ``text_emb`` and ``metadata``, each in numbered parts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        folders = {name: _parts(path / name) for name in ("img_emb", "text_emb", "metadata")}
        self._metadata = folders.pop("metadata")
        self._features = {name: parts for name, parts in folders.items() if parts}
        if not self._features:
            raise LpclipError(
                f"{path} is a folder, but holds no img_emb/img_emb_0.npy or "
                "text_emb/text_emb_0.npy, as an output folder of clip-retrieval does."
            )
        for name, parts in self._features.items():
            other = sorted(set(parts) ^ set(self._metadata)) if self._metadata else []
            if other:
                raise LpclipError(
                    f"{path}: part {other[0]} is not in both {name} and metadata. "
                    "Copy the whole folder again."
                )
        columns = self._columns()
        self.ids = next((name for name in ("image_path", "key") if name in columns), None)

    def files(self) -> list[Path]:
        parts = [*self._features.values(), self._metadata]
        return [path for part in parts for path in part.values()]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for name, parts in self._features.items():
            shapes = [Npy(part).shapes()["array"] for part in parts.values()]
            if any(len(shape) != 2 or shape[1:] != shapes[0][1:] for shape in shapes):
                raise LpclipError(f"{self.path}: the parts of {name} differ in width.")
            found[name] = (sum(shape[0] for shape in shapes), shapes[0][1])
        return found | self._columns()

    def read(self, name: str) -> AnyArray:
        self.shape(name)
        if name in self._features:
            return np.concatenate(
                [Npy(part).read("array") for part in self._features[name].values()]
            )
        return np.concatenate([Parquet(part).read(name) for part in self._metadata.values()])

    def _columns(self) -> dict[str, tuple[int, ...]]:
        shapes = [Parquet(part).shapes() for part in self._metadata.values()]
        rows = (sum(next(iter(shape.values()))[0] for shape in shapes if shape),)
        common = set(shapes[0]).intersection(*shapes) if shapes else set()
        return {name: rows for name in sorted(common) if len(shapes[0][name]) == 1}


def _parts(folder: Path) -> dict[int, Path]:
    """Return the files ``{anything}_{number}.npy`` or ``.parquet`` by number, sorted.

    Raises:
        LpclipError: two files have the same number.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        if match := re.search(r"_([0-9]+)\.(npy|parquet)$", path.name):
            other = found.setdefault(int(match[1]), path)
            if other is not path:
                raise LpclipError(
                    f"{folder}: both '{other.name}' and '{path.name}' are part {int(match[1])}. "
                    "Remove one."
                )
    return dict(sorted(found.items()))
