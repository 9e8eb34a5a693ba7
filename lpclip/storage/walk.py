"""Walk through an HDF5 file to find what must not be read: links to other files, absurd sizes.

Also a script, which ``lpclip.storage.untrusted`` runs in a child process; so it imports nothing of
lpclip.
"""

import errno
import json
import os
import resource
import sys
from math import prod
from typing import Any

import h5py

MAX_OBJECTS = 200_000
# An array may declare this many bytes whatever the size of the file; a larger one at most this many
# times the bytes that are stored, the limit of deflate compression.
SMALL_BYTES = 1 << 26
MAX_RATIO = 1100
_READ_BYTES = 1 << 24
# Errors of the disk or the network: the file itself may be intact.
_DEVICE = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN)


def refusal(file: h5py.File, *, read: bool = False) -> str | None:
    """Return why a file must not be read, as the end of a sentence after its name; or None.

    Refuses external links, data sets stored in or built from other files, and declared sizes that
    the file cannot hold. Dangling links within the file are ignored.

    Args:
        file: the file, open.
        read: also read all attributes, and all data that the library has to decode (those that are
            not contiguous plain bytes).
    """
    size = os.path.getsize(file.filename)  # noqa: PTH202 - the name is text
    # Low-level functions: those of h5py.Group take ten times as long.
    seen, pending = set[Any](), [("", h5py.h5g.open(file.id, b"/"))]
    while pending:
        place, group = pending.pop()
        if read:
            _read_attributes(h5py.Group(group))
        for name in group:
            inside = f"{place}/{name.decode(errors='backslashreplace')}"
            kind = group.links.get_info(name).type
            if kind == h5py.h5l.TYPE_EXTERNAL:
                other = group.links.get_val(name)[0].decode(errors="backslashreplace")
                return (
                    f"links to another file ('{inside}' to {other}), which lpclip does not "
                    "follow. Copy the data into one file."
                )
            if kind != h5py.h5l.TYPE_HARD:
                continue  # the target is reached by its hard link
            item = h5py.h5o.open(group, name)
            address = h5py.h5o.get_info(item).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                return f"has more than {MAX_OBJECTS:,} groups and data sets, too many for lpclip."
            if isinstance(item, h5py.h5g.GroupID):
                pending.append((inside, item))
            elif isinstance(item, h5py.h5d.DatasetID):
                if reason := _refused_data(inside, item, size):
                    return reason
                if read:
                    data = h5py.Dataset(item)
                    _read_attributes(data)
                    _read_data(data)
    return None


def reason_of(error: Exception) -> str:
    """Describe an error of the HDF5 library, as the end of a sentence that begins with the file."""
    text = " ".join(str(error).split()).strip("'\"")[:200]
    if isinstance(error, MemoryError):
        return "declares more data than there is memory for."
    if is_of_device(error):
        return (
            f"cannot be read from its disk or over the network ({text}). The file may be whole. "
            "Run the same command again."
        )
    if isinstance(error, OSError) and ("signature" in text or "truncated" in text):
        return "is truncated. Copy or download it again."
    return f"is damaged or lacks a part ({text})."


def is_of_device(error: Exception) -> bool:
    """Whether the error comes from the disk or the network and not from the file's content."""
    # The library does not always set the number, but its text mostly has it.
    known = {error.errno} if isinstance(error, OSError) else set()
    return any(code in known or f"errno = {code}," in str(error) for code in _DEVICE)


def _refused_data(place: str, data: h5py.h5d.DatasetID, size: int) -> str | None:
    made = data.get_create_plist()
    if made.get_external_count():
        other = made.get_external(0)[0].decode(errors="backslashreplace")
        return (
            f"stores '{place}' in another file ({other}), which lpclip does not "
            "read. Copy the data into one file."
        )
    stored = min(data.get_storage_size(), size)
    if made.get_layout() == h5py.h5d.VIRTUAL:
        sources = h5py.Dataset(data).virtual_sources()
        if others := {source.file_name for source in sources} - {"."}:
            return (
                f"makes '{place}' of another file ({sorted(others)[0]}), which lpclip does not "
                "read. Copy the data into one file."
            )
        stored = size
    declared = prod([int(data.get_type().get_size()), *map(int, data.shape or ())])
    if declared > SMALL_BYTES and declared > MAX_RATIO * stored:
        return (
            f"is damaged: '{place}' has shape {list(data.shape)}, but only {stored} bytes are "
            "stored of it."
        )
    return None


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        item.attrs[name]


def _read_data(data: h5py.Dataset) -> None:
    if data.id.get_offset() is not None and not data.dtype.hasobject:
        return  # contiguous plain bytes
    if not data.shape:
        data[()]
        return
    width = prod([int(data.dtype.itemsize), *map(int, data.shape[1:])])
    rows = max(1, _READ_BYTES // max(width, 1))
    for start in range(0, data.shape[0], rows):
        data[start : start + rows]


def main(path: str) -> None:
    """Print as JSON why a file must not be read, ``null`` if nothing is found."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must leave no core dump
    try:
        with h5py.File(path, "r", locking=False) as file:
            reason = refusal(file, read=True)
    except Exception as error:  # the library raises many types
        reason = reason_of(error)
    print(json.dumps(reason))


if __name__ == "__main__":
    main(sys.argv[1])
