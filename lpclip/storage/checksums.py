"""Checksums of the arrays in an HDF5 file, which reveal bits that flipped on the disk.

Every array has XXH3 sums (64 bits) in its attribute ``xxh3_64``: one sum, or one per item of the
first axis (version, round) if it has more than two axes, so that a version can be read and verified
alone. They cover type, shape and bytes. The root's ``attributes_xxh3_64`` is the sum of all
attributes. Files of earlier versions have none and are read unverified.
"""

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64

from lpclip.errors import LpclipError
from lpclip.storage.opening import damaged, make_again

SUMS = "xxh3_64"
ATTRIBUTES = "attributes_xxh3_64"

# Bytes read at a time to compute the sum of stored data.
_BLOCK = 4 << 20

AnyArray: TypeAlias = npt.NDArray[Any]
Part: TypeAlias = tuple[int, ...]


class Sum:
    """Running checksum of one part of an array, updated in storage order."""

    def __init__(self, data: h5py.Dataset, part: Part) -> None:
        self._data, self._part, self._dtype = data, part, data.dtype
        shape = data.shape[len(part) :]
        self._hash = xxh3_64(f"{data.dtype.descr} {shape}".encode())

    def update(self, block: AnyArray) -> None:
        """Add the next elements, in blocks of any size."""
        self._hash.update(np.ascontiguousarray(block, dtype=self._dtype).data)

    def value(self) -> int:
        """Return the sum so far."""
        return self._hash.intdigest()

    def verify(self) -> None:
        """Compare with the sum in the file, if it has one.

        Raises:
            LpclipError: they differ.
        """
        stored = self._data.attrs.get(SUMS)
        if stored is None:
            return
        place = self._part[0] if self._part else 0
        whole = np.shape(stored) == (len(parts(self._data)),)
        if not whole or int(stored[place]) != self.value():
            which = f" (version {place})" if self._part else ""
            name = f"'{self._data.name.strip('/')}'{which}"
            raise damaged(self._data, f"the array {name} is not as written: its checksum differs")


def parts(data: h5py.Dataset) -> list[Part]:
    """Return the parts of an array that have a sum each."""
    return [(item,) for item in range(data.shape[0])] if data.ndim > 2 else [()]


def store(data: h5py.Dataset, sums: list[Sum]) -> None:
    """Write the sums of an array, in the order of ``parts``."""
    data.attrs[SUMS] = np.array([one.value() for one in sums], dtype=np.uint64)


def read(data: h5py.Dataset, part: Part = ()) -> AnyArray:
    """Read and verify an array, or one of its ``parts``.

    Raises:
        LpclipError: the checksum differs.
    """
    values: AnyArray = np.asarray(data[part or ...])
    for place in [part] if part else parts(data):
        one = Sum(data, place)
        one.update(values if part else values[place])
        one.verify()
    return values


def verify(data: h5py.Dataset, part: Part = ()) -> None:
    """Verify an array on the disk, or one of its ``parts``, in blocks.

    Raises:
        LpclipError: the checksum differs.
    """
    for place in [part] if part else parts(data):
        _of_file(data, place).verify()


def seal(file: h5py.File) -> None:
    """Write the missing sums: of arrays without one, and of all attributes.

    Arrays are read from the file in blocks, whatever their size.
    """
    for data in arrays(file).values():
        if SUMS not in data.attrs:
            store(data, [_of_file(data, place) for place in parts(data)])
    file.attrs[ATTRIBUTES] = _of_attributes(file)


def damages(file: h5py.File) -> list[str]:
    """List what differs from what was written: a sentence per array, one for the attributes."""
    found = []
    for data in arrays(file).values():
        try:
            verify(data)
        except LpclipError as error:
            found.append(str(error))
    if ATTRIBUTES in file.attrs and file.attrs[ATTRIBUTES] != _of_attributes(file):
        found.append(
            f"{file.filename} is damaged or was edited: the checksum of its attributes differs."
            f"{make_again(Path(file.filename))}"
        )
    return found


def arrays(file: h5py.File) -> Mapping[str, h5py.Dataset]:
    """Return the arrays stored in the file, each under one name, without virtual ones."""
    return {
        name: item
        for name, item in _objects(file)
        if isinstance(item, h5py.Dataset) and not item.is_virtual
    }


def _objects(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Iterate over groups and data sets, each once, preferring lpclip's names to pandas' links."""
    seen = set()
    waiting: list[tuple[str, Any]] = [("", file["/"])]
    while waiting:
        name, item = waiting.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        yield name, item
        if isinstance(item, h5py.Group):
            # The last entry is visited next, so 'frames', which holds links, comes last.
            # Names that are not UTF-8 come as bytes.
            names = sorted(item, key=lambda key: (key != "frames" or bool(name), str(key)))
            waiting += [(f"{name}/{key}".lstrip("/"), item[key]) for key in names]


def _of_file(data: h5py.Dataset, part: Part) -> Sum:
    one = Sum(data, part)
    for block in _blocks(data, part):
        one.update(block)
    return one


def _blocks(data: h5py.Dataset, place: Part) -> Iterator[AnyArray]:
    shape = data.shape[len(place) :]
    row = data.dtype.itemsize * prod(shape[1:])
    if not shape:
        yield np.asarray(data[place or ...])
    elif row > _BLOCK and len(shape) > 1:
        for item in range(shape[0]):
            yield from _blocks(data, (*place, item))
    else:
        step = max(1, _BLOCK // max(1, row))
        for start in range(0, shape[0], step):
            yield data[(*place, slice(start, start + step))]


def _of_attributes(file: h5py.File) -> np.uint64:
    """Sum of the names and attributes of all objects, except those that are written last."""
    total = xxh3_64()
    for name, item in sorted(_objects(file), key=lambda pair: pair[0]):
        total.update(f"\0{name}\0".encode())
        for number in range(h5py.h5a.get_num_attrs(item.id)):
            attribute = h5py.h5a.open(item.id, index=number)  # sorted by name
            if not name and attribute.name in (ATTRIBUTES.encode(), b"complete"):
                continue
            total.update(attribute.name + b"\0" + _bytes(item, attribute))
    return np.uint64(total.intdigest())


def _bytes(item: h5py.HLObject, attribute: Any) -> bytes:
    """Type, shape and value of an attribute, by low-level functions: a file has hundreds."""
    if attribute.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return b""
    type_ = attribute.get_type()
    if type_.get_class() == h5py.h5t.STRING and type_.is_variable_str():
        return str(item.attrs[attribute.name.decode()]).encode()
    value = np.empty(attribute.shape, attribute.dtype)
    attribute.read(value)
    return f"{value.dtype.str} {value.shape} ".encode() + value.tobytes()
