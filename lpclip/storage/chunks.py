"""Finished parts of a feature cache: one file per chunk of rows, which survive a crash.

A part is a ``.npy`` file followed by its checksum. A part that is damaged or missing when a run
resumes is made again, and no other. When all parts are there, the unfinished cache takes them over.
"""

import io
import json
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.storage import unfinished
from lpclip.storage.features import gathered
from lpclip.storage.hdf5 import Provenance
from lpclip.storage.json_text import read_object
from lpclip.storage.unfinished import Piece, Unfinished
from lpclip.types import FloatArray
from lpclip.utils.atomic import replace_file

log = logging.getLogger(__name__)

_NOTE = "identity.json"
_CHECKSUM_BYTES = 4
# Bytes of parts that the cache takes over before they are removed together.
PIECE_BYTES = 64 << 20


class Parts:
    """The parts in a folder; a thread writes each while the next one is made.

    Attributes:
        missing: numbers of the parts that are not there yet, ascending.
        batch_size: images per forward pass. A size that was reduced because memory ran out is kept
            by a run that resumes: another batch size rounds differently.
    """

    def __init__(
        self, folder: Path, *, rows: Sequence[int], identity: Mapping[str, Any], batch_size: int
    ) -> None:
        """Resume from the folder if its parts were made for this very cache, else empty it.

        ``rows`` are the lengths of all parts; ``identity`` and the initial batch size are
        everything that their content depends on.
        """
        self._folder = folder
        # Through JSON, to be comparable with the note that is read.
        self._identity = json.loads(json.dumps({**identity, "batch_size": batch_size}))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None
        left = list(folder.iterdir())
        note = read_object(folder / _NOTE)
        found = note.get("identity")
        known = found == self._identity and isinstance(note.get("batch_size"), int)
        if known:
            self.batch_size = self._noted = note["batch_size"]
        else:
            if left:
                log.warning(
                    "%s: starting again, since %s", folder, _difference(found, self._identity)
                )
            self.batch_size = batch_size
        self._cache = Unfinished(folder, identity=self._identity)
        taken = int(np.searchsorted(np.cumsum(rows), self._cache.rows, side="right"))
        self._numbers = range(taken, len(rows))
        keep = {_NOTE, *(self._path(number).name for number in self._numbers)} if known else set()
        for path in left:
            if path.name not in (*keep, *unfinished.NAMES):
                path.unlink()
        if not known:
            self._note(batch_size)
        self.missing = [number for number in self._numbers if not self._is_whole(number)]

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

    def join(
        self,
        output: Path,
        *,
        samples: pd.DataFrame,
        versions: Mapping[str, int],
        provenance: Provenance,
    ) -> None:
        """Write the feature cache, removing the parts on the way; arguments as ``write_features``.

        Raises:
            LpclipError: a part was damaged since it was written.
        """
        self.wait()
        sizes = {number: self._path(number).stat().st_size for number in self._numbers}
        self._cache.fill(
            self._pieces(sizes),
            samples=samples,
            versions=versions,
            provenance=provenance,
            freed=sum(sizes.values()),
        )
        self._cache.publish(output)

    def _pieces(self, sizes: Mapping[int, int]) -> Iterator[Piece]:
        paths, size = list[Path](), 0
        for number, bytes_ in sizes.items():
            paths.append(self._path(number))
            size += bytes_
            if size >= PIECE_BYTES:
                yield _piece(paths)
                paths, size = [], 0
        if paths:
            yield _piece(paths)

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
        replace_file(self._path(number), buffer.getbuffer())

    def _note(self, batch_size: int) -> None:
        note = {"identity": self._identity, "batch_size": batch_size}
        replace_file(self._folder / _NOTE, json.dumps(note).encode())
        self._noted = batch_size


def _piece(paths: Iterable[Path]) -> Piece:
    def free() -> None:
        for path in paths:
            path.unlink()

    return Piece(gathered(map(_load, paths)), free)


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
