"""One file: NumPy's ``.npy`` and ``.npz``, ``.safetensors``, Parquet."""

import zipfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.feature_files.arrays import AnyArray, Arrays, readable

MAPPED_BYTES = 2**20  # smaller arrays are read, and their checksum is looked at


class Npy(Arrays):
    """One array, which has no name of its own."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"array": self.read("array").shape}

    def read(self, name: str) -> AnyArray:
        with readable(self.path, name):
            # Not np.load, which takes a broken file for a pickle.
            values: AnyArray = np.lib.format.open_memmap(self.path, mode="r")
        return values


class Npz(Arrays):
    """Arrays by name, compressed or not."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with readable(self.path), zipfile.ZipFile(self.path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        found[member.removesuffix(".npy")] = _header(file)[0]
        return found

    def read(self, name: str) -> AnyArray:
        self.shape(name)
        with readable(self.path, name):
            if (mapped := self._mapped(f"{name}.npy")) is not None:
                return mapped
            with np.load(self.path, allow_pickle=False) as archive:
                values: AnyArray = archive[name]
        return values

    def _mapped(self, member: str) -> AnyArray | None:
        """A large array that lies in the file as it is, mapped into memory."""
        with zipfile.ZipFile(self.path) as archive:
            info = archive.getinfo(member)
            if info.compress_type != zipfile.ZIP_STORED or info.file_size < MAPPED_BYTES:
                return None
            with archive.open(member) as file:
                shape, fortran, dtype = _header(file)
                start = file.tell()
        if dtype.hasobject:
            return None
        with self.path.open("rb") as file:
            # The local header may be longer than what the directory at the end knows of it.
            file.seek(info.header_offset + 26)
            lengths = np.frombuffer(file.read(4), dtype="<u2")
        start += info.header_offset + 30 + int(lengths.sum())
        return np.memmap(
            self.path, dtype, "r", offset=start, shape=shape, order="F" if fortran else "C"
        )


class Safetensors(Arrays):
    """Tensors by name, of the types that NumPy has."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        from safetensors import safe_open

        with readable(self.path), safe_open(self.path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def read(self, name: str) -> AnyArray:
        from safetensors import safe_open

        self.shape(name)
        with readable(self.path, name), safe_open(self.path, framework="numpy") as file:
            kind = str(file.get_slice(name).get_dtype())
            if kind.startswith(("BF", "F8")):
                raise LpclipError(
                    f"{self.path}: '{name}' is {kind}, which NumPy does not have. "
                    "Save it as float16 or float32."
                )
            values: AnyArray = file.get_tensor(name)
        return values


class Parquet(Arrays):
    """Columns by name; numeric columns ``d0``, ``d1``, … are also one array, ``d``."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        from pyarrow import parquet, types  # takes long to import

        found: dict[str, tuple[int, ...]] = {}
        with readable(self.path), parquet.ParquetFile(self.path) as file:
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
        from pyarrow import compute, parquet, types

        shape = self.shape(name)
        with readable(self.path, name):
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
            lengths = set(compute.list_value_length(table[name]).unique().to_pylist())
            if lengths != {shape[1]}:
                raise LpclipError(
                    f"{self.path}: the lists of column '{name}' differ in length "
                    f"({min(lengths)} to {max(lengths)}); every row of features needs the same."
                )
            return np.concatenate([chunk.flatten().to_numpy() for chunk in lists]).reshape(shape)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of an array, whose bytes follow in the file."""
    first = np.lib.format.read_magic(file) == (1, 0)
    header = np.lib.format
    read = header.read_array_header_1_0 if first else header.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(file)
    return found


def _numbered(columns: Mapping[str, Any] | Sequence[str]) -> dict[str, list[str]]:
    """Prefix -> its columns ``{prefix}0``, ``{prefix}1``, … without a gap, two at least."""
    found: dict[str, list[str]] = {}
    for name in columns:
        prefix = name.rstrip("0123456789")
        if prefix and name == f"{prefix}{len(found.get(prefix, ()))}":
            found.setdefault(prefix, []).append(name)
    return {prefix: names for prefix, names in found.items() if len(names) > 1}
