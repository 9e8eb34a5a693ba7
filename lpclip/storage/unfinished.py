"""An unfinished feature cache in a working directory, which takes over rows piece by piece.

What it took over is on the disk, and noted, before the piece that it came from is freed. So the
disk needs hardly more than the cache, and after a crash nothing is lost: the next run continues
after the rows in the note, and the finished file is the same, byte for byte.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lpclip.storage.features import arrays_of, finish, lay_out
from lpclip.storage.hdf5 import Provenance
from lpclip.storage.hdf5_output import apply_journal
from lpclip.storage.json_text import read_object
from lpclip.storage.row_writer import RowWriter, check_space
from lpclip.types import FloatArray
from lpclip.utils.atomic import file_to_write, replace_file, sync_folder

log = logging.getLogger(__name__)

_FILE, _NOTE, _JOURNAL = "features.h5", "rows.json", "journal.json"
NAMES = (_FILE, _NOTE, _JOURNAL)


class Piece(NamedTuple):
    """Some of the next rows of a cache."""

    blocks: Iterable[FloatArray]  # ``[sum of versions, n, D]`` float16
    free: Callable[[], None]  # removes the file that they are in


class Unfinished:
    """An unfinished cache; what is there is resumed if it was made for the same identity.

    Attributes:
        rows: number of rows that it took over and whose pieces may be gone.
        path: the file.
    """

    def __init__(self, folder: Path, *, identity: Mapping[str, Any], resume: bool = True) -> None:
        self.path, self._note, self._journal = (folder / name for name in NAMES)
        self._folder = folder
        self._identity = json.loads(json.dumps(dict(identity)))
        self._writer: RowWriter | None = None
        self.rows = 0
        note = read_object(self._note) if resume else {}
        if note and not self._resume(note):
            log.warning("%s does not hold the rows that %s lists", self.path, self._note)
        if self.rows == 0:
            for path in (self._journal, self._note, self.path):
                path.unlink(missing_ok=True)

    def fill(
        self,
        pieces: Iterable[Piece],
        *,
        samples: pd.DataFrame,
        versions: Mapping[str, int],
        provenance: Provenance,
        freed: int,
    ) -> None:
        """Take over all other rows and complete the file.

        Args:
            pieces: from ``rows`` on; all but the last are freed.
            samples: as in ``write_features``.
            versions: as in ``write_features``.
            provenance: as in ``write_features``.
            freed: bytes on the disk that the pieces occupy.

        Raises:
            RuntimeError: not as many rows as samples.
        """
        if self._journal.exists():
            apply_journal(self.path, self._journal)
            return
        size = sum(max(1, count) for count in versions.values()) * 2 * len(samples)
        before = None
        for piece in pieces:
            if before is not None:
                self._keep(versions, total=len(samples))
                before.free()
            before = piece
            for block in piece.blocks:
                if self._writer is None:
                    check_space(self._folder, size * block.shape[2], freed=freed)
                    lay_out(self.path, samples, versions, block.shape[2], provenance)
                    self._writer = RowWriter(self.path, arrays_of(versions))
                self._writer.write(block)
        found = self._writer.rows if self._writer is not None else 0
        if self._writer is None or found != len(samples):
            raise RuntimeError(f"{self.path}: {found} rows of features for {len(samples)} samples")
        # Without a note, a run after a crash begins anew, from all pieces.
        if self.rows:
            self._writer.sync()
        finish(self.path, self._writer, journal=self._journal if self.rows else None)

    def publish(self, output: Path) -> None:
        """Give the completed file its name."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(file_to_write(output))

    def _keep(self, versions: Iterable[str], *, total: int) -> None:
        """Note that all rows so far are on the disk."""
        assert self._writer is not None
        self._writer.sync()
        note = {
            "identity": self._identity,
            "arrays": arrays_of(versions),
            "rows": self._writer.rows,
            "total": total,
            "sums": self._writer.sums(),
        }
        replace_file(self._note, json.dumps(note).encode())
        sync_folder(self._folder)
        self.rows = self._writer.rows

    def _resume(self, note: Mapping[str, Any]) -> bool:
        if note.get("identity") != self._identity:
            return False
        try:
            if self._journal.exists() and self.path.exists():
                self.rows = note["total"]
                return True
            self._writer = RowWriter(self.path, note["arrays"])
            if self._writer.resume(note["rows"], note["sums"]):
                self.rows = note["rows"]
                return True
        except (OSError, KeyError, TypeError, ValueError) as error:
            log.debug("cannot resume", exc_info=error)
        self._writer = None
        return False
