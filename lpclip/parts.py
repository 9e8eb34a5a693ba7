"""Finished parts of a feature cache: one file per chunk of rows, which outlive a kill."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from lpclip.types import FloatArray


class Parts:
    """The parts in a folder, written one after another by a thread while the next is made.

    Attributes:
        done: how many there are.
        batch_size: images that are encoded at once. What was made smaller because memory ran out
            stays so in a run that continues: another batch size rounds otherwise.
    """

    def __init__(self, folder: Path, *, identity: Mapping[str, Any], batch_size: int) -> None:
        """Carry on what is in the folder if it was made for this very cache, else empty it.

        Args:
            folder: where the parts are.
            identity: everything that shapes the parts.
            batch_size: to begin with; part of the identity.
        """
        self._folder = folder
        self._identity = {**identity, "batch_size": batch_size}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writing: Future[None] | None = None
        note = _read(folder / "identity.json")
        if note.get("identity") == self._identity:
            self.batch_size = self._noted = int(note["batch_size"])
        else:
            for path in folder.iterdir():
                path.unlink()
            self.batch_size = batch_size
            self._note(batch_size)
        self.done = len(self._files())

    def add(self, features: FloatArray, *, batch_size: int) -> None:
        """Write the next part, ``[sum of versions, n, D]``; wait for the one before it.

        Raises:
            OSError: that could not be written.
        """
        self.wait()
        self._writing = self._writer.submit(self._write, features, self.done, batch_size)
        self.done += 1

    def wait(self) -> None:
        """Return when all parts are on the disk; errors as in ``add``."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def __iter__(self) -> Iterator[FloatArray]:
        """All parts, in order."""
        return (np.load(path, allow_pickle=False) for path in self._files())

    def __enter__(self) -> "Parts":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.shutdown()
        if error is None:
            self.wait()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.npy"))

    def _write(self, features: FloatArray, number: int, batch_size: int) -> None:
        if batch_size != self._noted:
            self._note(batch_size)
        # By way of memory: NumPy's own writing to a file forgets why a disk refused it.
        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        _replace(self._folder / f"{number:08d}.npy", buffer.getbuffer())

    def _note(self, batch_size: int) -> None:
        note = {"identity": self._identity, "batch_size": batch_size}
        _replace(self._folder / "identity.json", json.dumps(note).encode())
        self._noted = batch_size


def _read(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _replace(path: Path, data: bytes | memoryview) -> None:
    temporary = path.parent / "next"
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
