"""Arrays that other programs wrote, picked by key: features, ids, labels, class names.

``.npy``, ``.npz``, ``.parquet``, ``.safetensors``, an output folder of clip-retrieval, and the
HDF5 files of lpclip itself. Names and shapes are known before an array is read, and nothing is
ever unpickled.
"""

import contextlib
import json
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lpclip import cache
from lpclip.errors import LpclipError, did_you_mean

AnyArray: TypeAlias = npt.NDArray[Any]

# Arrays that are taken for the features where no key is given and several arrays would do.
IMAGE_KEYS = ("clean", "img_emb")
TEXT_KEYS = ("features", "text_emb")

_FLOATS = ("float16", "float32", "float64")


class Arrays(ABC):
    """The arrays of one file or folder.

    Attributes:
        path: the file or folder.
        ids: name of the array that identifies the rows; None where the format has none.
        provenance: what a file of lpclip's says about its making; empty for any other.
    """

    ids: str | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.provenance: Mapping[str, Any] = {}

    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of every array -> its shape."""

    @abstractmethod
    def read(self, name: str) -> AnyArray:
        """One array; text has NumPy's type ``U``."""

    def files(self) -> list[Path]:
        """The files that hold the arrays."""
        return [self.path]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one array.

        Raises:
            LpclipError: there is none of that name; names the nearest.
        """
        shapes = self.shapes()
        if name not in shapes:
            raise LpclipError(f"{self.path} has no array '{name}'. {did_you_mean(name, shapes)}")
        return shapes[name]

    def pick(self, key: str | None, *, ndim: int, prefer: Sequence[str] = ()) -> str:
        """Name of the array that a key, or the lack of one, means.

        Args:
            key: a name, or None for the only array of ``ndim`` axes.
            ndim: 2 for features, 1 for ids and labels.
            prefer: names that are taken first where no key is given.

        Raises:
            LpclipError: no such array, no or several candidates, another number of axes, no rows.
        """
        shapes = self.shapes()
        fitting = [name for name, shape in shapes.items() if len(shape) == ndim]
        if key is None:
            preferred = [name for name in prefer if name in fitting]
            candidates = preferred[:1] or fitting
            if len(candidates) != 1:
                raise LpclipError(
                    f"{self.path} has {len(fitting) or 'no'} arrays of {ndim} axes; name one as "
                    f"'key'. Available: {', '.join(shapes) or 'none'}."
                )
            key = candidates[0]
        shape = self.shape(key)
        if len(shape) != ndim:
            raise LpclipError(
                f"{self.path}: '{key}' has shape {list(shape)}, but {ndim} axes are needed. "
                f"Arrays that have them: {', '.join(fitting) or 'none'}."
            )
        if shape[0] == 0:
            raise LpclipError(f"{self.path}: '{key}' has no rows.")
        return key

    def features(self, name: str) -> AnyArray:
        """Features ``[N, D]`` as they are stored: float16, float32 or float64.

        Raises:
            LpclipError: another type of number.
        """
        values = self.read(name)
        if values.dtype.name not in _FLOATS:
            raise LpclipError(
                f"{self.path}: '{name}' is {values.dtype.name}, but features are "
                f"{', '.join(_FLOATS[:-1])} or {_FLOATS[-1]}."
            )
        return values


def open_arrays(path: str | Path) -> Arrays:
    """The arrays of a file or folder, by the ending of its name.

    Raises:
        LpclipError: it does not exist, has an unknown ending, or is broken.
    """
    path = Path(path)
    if path.is_dir():
        return _ClipRetrieval(path)
    if not path.is_file():
        raise LpclipError(f"the file or folder '{path}' does not exist. Check 'path'.")
    if path.suffix.lower() not in _FORMATS:
        raise LpclipError(
            f"{path} has no ending that tells its format. {did_you_mean(path.suffix, _FORMATS)}"
        )
    return _FORMATS[path.suffix.lower()](path)


class _Npy(Arrays):
    """One array, which has no name of its own."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"array": self.read("array").shape}

    def read(self, name: str) -> AnyArray:
        with _readable(self.path, name):
            # Not np.load, which takes a broken file for a pickle.
            values: AnyArray = np.lib.format.open_memmap(self.path, mode="r")
        return values


class _Npz(Arrays):
    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with _readable(self.path), zipfile.ZipFile(self.path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        first = np.lib.format.read_magic(file) == (1, 0)
                        header = np.lib.format
                        read = (
                            header.read_array_header_1_0 if first else header.read_array_header_2_0
                        )
                        found[member.removesuffix(".npy")] = read(file)[0]
        return found

    def read(self, name: str) -> AnyArray:
        self.shape(name)
        with _readable(self.path, name), np.load(self.path, allow_pickle=False) as archive:
            values: AnyArray = archive[name]
        return values


class _Safetensors(Arrays):
    def shapes(self) -> dict[str, tuple[int, ...]]:
        from safetensors import safe_open

        with _readable(self.path), safe_open(self.path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def read(self, name: str) -> AnyArray:
        from safetensors import safe_open

        self.shape(name)
        with _readable(self.path, name), safe_open(self.path, framework="numpy") as file:
            kind = str(file.get_slice(name).get_dtype())
            if kind.startswith(("BF", "F8")):
                raise LpclipError(
                    f"{self.path}: '{name}' is {kind}, which NumPy does not have. "
                    "Save it as float16 or float32."
                )
            values: AnyArray = file.get_tensor(name)
        return values


class _Parquet(Arrays):
    """Columns by name; numeric columns ``d0``, ``d1``, … are also one array, ``d``."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        from pyarrow import parquet, types

        found: dict[str, tuple[int, ...]] = {}
        with _readable(self.path), parquet.ParquetFile(self.path) as file:
            rows = file.metadata.num_rows
            for field in file.schema_arrow:
                found[field.name] = (rows,)
                if types.is_fixed_size_list(field.type):
                    found[field.name] = (rows, field.type.list_size)
                elif types.is_list(field.type) or types.is_large_list(field.type):
                    first = next(file.iter_batches(batch_size=1, columns=[field.name]), None)
                    width = len(first[0][0].as_py() or ()) if first is not None else 0
                    found[field.name] = (rows, width)
        for prefix, columns in _numbered(found).items():
            found.setdefault(prefix, (rows, len(columns)))
        return found

    def read(self, name: str) -> AnyArray:
        from pyarrow import parquet, types

        shape = self.shape(name)
        with _readable(self.path, name):
            columns = parquet.read_schema(self.path).names
            chosen = [name] if name in columns else _numbered(columns)[name]
            table = parquet.read_table(self.path, columns=chosen, partitioning=None)
            for column in chosen:
                if table[column].null_count:
                    raise LpclipError(f"{self.path}: column '{column}' has empty cells. Fill them.")
            if name not in columns:
                return np.stack([table[column].to_numpy() for column in chosen], axis=1)
            if len(shape) == 1:
                values: AnyArray = table[name].to_numpy()
                kind = table.schema.field(name).type
                text = types.is_string(kind) or types.is_large_string(kind)
                return values.astype(str) if text or values.dtype == object else values
            lists = table[name].chunks
            lengths = {len(row) for chunk in lists for row in chunk}
            if lengths != {shape[1]}:
                raise LpclipError(
                    f"{self.path}: the lists of column '{name}' differ in length "
                    f"({min(lengths)} to {max(lengths)}); every row of features needs the same."
                )
            return np.concatenate([chunk.flatten().to_numpy() for chunk in lists]).reshape(shape)


class _ClipRetrieval(Arrays):
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
            shapes = [_Npy(part).shapes()["array"] for part in parts.values()]
            if any(len(shape) != 2 or shape[1:] != shapes[0][1:] for shape in shapes):
                raise LpclipError(f"{self.path}: the parts of {name} differ in width.")
            found[name] = (sum(shape[0] for shape in shapes), shapes[0][1])
        return found | self._columns()

    def read(self, name: str) -> AnyArray:
        self.shape(name)
        if name in self._features:
            return np.concatenate(
                [_Npy(part).read("array") for part in self._features[name].values()]
            )
        return np.concatenate([_Parquet(part).read(name) for part in self._metadata.values()])

    def _columns(self) -> dict[str, tuple[int, ...]]:
        shapes = [_Parquet(part).shapes() for part in self._metadata.values()]
        rows = (sum(next(iter(shape.values()))[0] for shape in shapes if shape),)
        common = set(shapes[0]).intersection(*shapes) if shapes else set()
        return {name: rows for name in sorted(common) if len(shapes[0][name]) == 1}


class _Lpclip(Arrays):
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


_FORMATS: Mapping[str, type[Arrays]] = {
    ".npy": _Npy,
    ".npz": _Npz,
    ".parquet": _Parquet,
    ".safetensors": _Safetensors,
    ".h5": _Lpclip,
}


def _parts(folder: Path) -> dict[int, Path]:
    """Number -> file ``{anything}_{number}.npy`` or ``.parquet``, in the order of numbers."""
    matches = ((re.search(r"_(\d+)\.(npy|parquet)$", path.name), path) for path in folder.glob("*"))
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


def _numbered(columns: Mapping[str, Any] | Sequence[str]) -> dict[str, list[str]]:
    """Prefix -> its columns ``{prefix}0``, ``{prefix}1``, … without a gap, two at least."""
    found: dict[str, list[str]] = {}
    for name in columns:
        prefix = name.rstrip("0123456789")
        if prefix and name == f"{prefix}{len(found.get(prefix, ()))}":
            found.setdefault(prefix, []).append(name)
    return {prefix: names for prefix, names in found.items() if len(names) > 1}


@contextlib.contextmanager
def _readable(path: Path, name: str | None = None) -> Iterator[None]:
    """Turn what the libraries say of a broken file into a sentence."""
    what = f"{path}: '{name}'" if name else str(path)
    try:
        yield
    except LpclipError:
        raise
    except Exception as error:
        # Every library raises kinds of its own; all mean that the file is not what it should be.
        text = " ".join(str(error).split())
        if "pickle" in text or "Python objects in dtype" in text:
            raise LpclipError(
                f"{what} holds Python objects, which lpclip never unpickles. Save numbers as "
                "float32 and text as an array of NumPy's type U: array.astype(str)."
            ) from error
        raise LpclipError(f"{what} cannot be read ({text[:200]}). Is it whole?") from error
