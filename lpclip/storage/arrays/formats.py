"""One file of arrays: NumPy's ``.npy`` and ``.npz``, ``.safetensors``, PyTorch's ``.pt``, HDF5."""

import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import IO, Any

import h5py
import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage.arrays.base import AnyArray, Arrays, readable
from lpclip.storage.opening import open_plain

MAPPED_BYTES = 2**20  # smaller arrays are read, and the archive's checksum is verified


class Npy(Arrays):
    """One array, which is called ``array``."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"array": self.read("array").shape}

    def read(self, name: str) -> AnyArray:
        with readable(self.path, name):
            # np.load would take a broken file for a pickle.
            values: AnyArray = np.lib.format.open_memmap(self.path, mode="r")
        return values


class Npz(Arrays):
    """Arrays by name, compressed or not."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        with readable(self.path), zipfile.ZipFile(self.path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    if member.removesuffix(".npy") in found:
                        raise LpclipError(
                            f"{self.path} has two arrays '{member.removesuffix('.npy')}'. "
                            "Save it again with a name for each."
                        )
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
        """Map a large uncompressed array into memory; None for any other."""
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
            # The local header may be longer than the one in the central directory.
            file.seek(info.header_offset + 26)
            lengths = np.frombuffer(file.read(4), dtype="<u2")
        start += info.header_offset + 30 + int(lengths.sum())
        return np.memmap(
            self.path, dtype, "r", offset=start, shape=shape, order="F" if fortran else "C"
        )


class Safetensors(Arrays):
    """Tensors by name, of NumPy's types; bfloat16 becomes float32, which is exact."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        from safetensors import safe_open

        with readable(self.path), safe_open(self.path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def read(self, name: str) -> AnyArray:
        from safetensors import safe_open

        self.shape(name)
        with readable(self.path, name), safe_open(self.path, framework="numpy") as file:
            kind = str(file.get_slice(name).get_dtype())
            if kind.startswith("F8"):
                raise _unknown_type(self, name, kind)
            if kind == "BF16":  # which only torch has
                with safe_open(self.path, framework="pt") as tensors:
                    values: AnyArray = tensors.get_tensor(name).float().numpy()
            else:
                values = file.get_tensor(name)
        return values


class Torch(Arrays):
    """A tensor, or nested dicts of tensors and of lists of text or whole numbers.

    Nothing else is ever loaded; a single tensor is called ``array``.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in self._values.items()}

    def read(self, name: str) -> AnyArray:
        self.shape(name)
        value = self._values[name]
        if isinstance(value, np.ndarray):
            return value
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()  # exact
        if value.dtype.is_floating_point and value.dtype.itemsize < 2:
            raise _unknown_type(self, name, value.dtype)
        with readable(self.path, name):
            values: AnyArray = value.detach().numpy()
        return values

    @cached_property
    def _values(self) -> dict[str, Any]:
        import torch  # only for these files

        try:
            mapped = zipfile.is_zipfile(self.path) or None
            loaded = torch.load(self.path, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:  # of many types; their texts advise to load what may run code
            raise LpclipError(
                f"{self.path} cannot be read as tensors: it is not whole, or holds Python objects, "
                "which lpclip never unpickles. Save a tensor, or a dict of tensors, by torch.save."
            ) from error
        if isinstance(loaded, torch.Tensor):
            return {"array": loaded}
        if not isinstance(loaded, Mapping):
            raise LpclipError(
                f"{self.path} holds a {type(loaded).__name__}. Save a tensor, or a dict of tensors."
            )
        found: dict[str, Any] = {}
        pending = [("", loaded)]
        while pending:
            prefix, values = pending.pop()
            for key, value in values.items():
                name = f"{prefix}{key}"
                if isinstance(value, Mapping):
                    pending.append((f"{name}/", value))
                elif isinstance(value, torch.Tensor):
                    found[name] = value
                elif isinstance(value, list) and (column := _plain_column(value)) is not None:
                    found[name] = column
        return found


class Hdf5(Arrays):
    """Data sets of numbers or text, by path, in an HDF5 file that lpclip did not write.

    Links to other files, data stored outside, and virtual data sets of other files are refused.
    """

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._content[0]

    def refused(self) -> dict[str, str]:
        return self._content[1]

    def read(self, name: str) -> AnyArray:
        self.shape(name)
        with readable(self.path, name), open_plain(self.path) as file:
            place = file[name]
            if h5py.check_string_dtype(place.dtype) is not None:
                text: AnyArray = np.asarray(place.asstr()[...]).astype(str)
                return text
            values: AnyArray = place[...]
        return values

    @cached_property
    def _content(self) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
        """Shapes of the arrays that can be read, and reasons why the others cannot."""
        shapes: dict[str, tuple[int, ...]] = {}
        reasons: dict[str, str] = {}
        with readable(self.path), open_plain(self.path) as file:
            seen = {h5py.h5o.get_info(file.id).addr}
            pending = [("", file)]
            while pending:
                prefix, group = pending.pop()
                for key in group:
                    name = f"{prefix}{key}"
                    link = group.get(key, getlink=True)
                    if not isinstance(link, h5py.HardLink):
                        reasons[name] = _NO_LINK.format(link=getattr(link, "filename", link.path))
                        continue
                    place = group[key]
                    if isinstance(place, h5py.Group):
                        if (address := h5py.h5o.get_info(place.id).addr) not in seen:
                            seen.add(address)
                            pending.append((f"{name}/", place))
                    elif isinstance(place, h5py.Dataset):
                        if reason := _why_not(place):
                            reasons[name] = reason
                        else:
                            shapes[name] = place.shape
        return shapes, reasons


_NO_LINK = "is a link to '{link}', and lpclip reads only what lies in the file itself."


def _why_not(place: h5py.Dataset) -> str:
    """Return why a data set cannot be read, as the end of a sentence; "" if it can."""
    if place.external:
        return f"is stored outside the file, in '{place.external[0][0]}', which lpclip never opens."
    sources = place.virtual_sources() if place.is_virtual else []
    if others := [source.file_name for source in sources if source.file_name != "."]:
        return f"is made of another file, '{others[0]}', which lpclip never opens."
    text = h5py.check_string_dtype(place.dtype) is not None
    if place.shape is None or not (text or place.dtype.kind in "iufb"):
        return f"holds {place.dtype}, no numbers or text."
    return ""


def _plain_column(values: Sequence[Any]) -> AnyArray | None:
    """Convert a list of text or of whole numbers to an array; None for any other."""
    for kind in (str, int):
        if values and all(type(value) is kind for value in values):
            return np.array(values)
    return None


def _unknown_type(arrays: Arrays, name: str, type_: Any) -> LpclipError:
    return LpclipError(
        f"{arrays.path}: '{name}' is {type_}, which NumPy does not have. "
        "Save it as float16 or float32."
    )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the shape, whether in Fortran order, and type of an array; its bytes follow."""
    first = np.lib.format.read_magic(file) == (1, 0)
    header = np.lib.format
    read = header.read_array_header_1_0 if first else header.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = read(file)
    return found
