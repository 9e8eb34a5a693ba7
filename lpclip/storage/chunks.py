"""Finished parts of a feature cache: one file per chunk of rows, which survive a crash.

A part is a ``.npy`` file followed by its checksum. A part that is damaged or missing when a run
resumes is made again, and no other.
"""

import io
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage.json_text import read_object
from lpclip.types import FloatArray
from lpclip.utils.writers import this_writer

log = logging.getLogger(__name__)

_CHECKSUM_BYTES = 4


class Parts:
    """The parts in a folder; a thread writes each while the next one is made.

    Attributes:
        missing: numbers of the parts that are not there yet, ascending.
        batch_size: images per forward pass. A size that was reduced because memory ran out is kept
            by a run that resumes: another batch size rounds differently.
    """

    def __init__(
        self, folder: Path, *, count: int, identity: Mapping[str, Any], batch_size: int
    ) -> None:
        """Resume from the folder if its parts were made for this very cache, else empty it.

        ``count`` is the number of parts when all are made; ``identity`` and the initial batch size
        are everything that their content depends on.
        """
        self._folder, self._count = folder, count
        # Through JSON, to be comparable with the note that is read.
        self._identity = json.loads(json.dumps({**identity, "batch_size": batch_size}))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None
        left = list(folder.iterdir())
        note = read_object(folder / "identity.json")
        found = note.get("identity")
        if found == self._identity and isinstance(note.get("batch_size"), int):
            self.batch_size = self._noted = note["batch_size"]
            self.missing = [number for number in range(count) if not self._is_whole(number)]
            known = {"identity.json", *(self._path(number).name for number in range(count))}
        else:
            if left:
                log.warning(
                    "%s: starting again, since %s", folder, _difference(found, self._identity)
                )
            self.batch_size, self.missing, known = batch_size, list(range(count)), set()
        for path in left:
            if path.name not in known:
                path.unlink()
        if not known:
            self._note(batch_size)

    def add(self, features: FloatArray, *, batch_size: int) -> None:
        """Start to write the first missing part ``[sum of versions, n, D]``; wait for the previous.

        Raises:
            OSError: the part before could not be written.
        """
        self.wait()
        self._writing = self._writer.submit(self._write, features, self.missing.pop(0), batch_size)

    def wait(self) -> None:
        """Wait until all parts are on the disk; errors as in ``add``."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def __iter__(self) -> Iterator[FloatArray]:
        """Iterate over all parts, in order.

        Raises:
            LpclipError: a part was damaged since it was written.
        """
        for number in range(self._count):
            yield _load(self._path(number))

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.shutdown()
        if kind is None:
            self.wait()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.npy"

    def _is_whole(self, number: int) -> bool:
        try:
            _load(self._path(number))
        except FileNotFoundError:
            return False
        except (LpclipError, OSError) as error:
            log.warning("%s It is made again.", error)
            return False
        return True

    def _write(self, features: FloatArray, number: int, batch_size: int) -> None:
        if batch_size != self._noted:
            self._note(batch_size)
        # Through memory: NumPy's own writing to a file loses the disk's error.
        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        buffer.write(zlib.crc32(buffer.getbuffer()).to_bytes(_CHECKSUM_BYTES, "big"))
        _replace(self._path(number), buffer.getbuffer())

    def _note(self, batch_size: int) -> None:
        note = {"identity": self._identity, "batch_size": batch_size}
        _replace(self._folder / "identity.json", json.dumps(note).encode())
        self._noted = batch_size


def _load(path: Path) -> FloatArray:
    data = path.read_bytes()
    content, checksum = memoryview(data)[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
        raise LpclipError(
            f"{path} is damaged: its checksum differs. Run the same command again, which makes "
            "it again and keeps the other parts."
        )
    features: FloatArray = np.load(io.BytesIO(content), allow_pickle=False)
    return features


def _difference(found: object, identity: Mapping[str, Any]) -> str:
    """Explain why the parts of an interrupted run cannot be used."""
    if not isinstance(found, dict):
        return "it has no readable note of what its parts were made for"
    keys = sorted(key for key in {*found, *identity} if found.get(key) != identity.get(key))
    return f"its parts were made with another {', '.join(keys)}"


def _replace(path: Path, data: bytes | memoryview) -> None:
    # Under a name of this process alone: once suspended, it must not write to its successor's file.
    temporary = path.with_name(f"{path.name}.{this_writer()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
