"""Thumbnails of a dataset's images, many to a sheet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip.storage import checksums
from lpclip.storage.hdf5 import Provenance, columns, create, open_file, provenance_of
from lpclip.storage.opening import damaged
from lpclip.storage.tables import read_table, write_table

KIND, TABLE = "thumbnails", "thumbnails"
COLUMNS = 16  # thumbnails in a row of a sheet
PER_SHEET = COLUMNS * COLUMNS
_MARK = {b"\xff\xd8": "jpeg", b"RI": "webp"}


@dataclass(frozen=True)
class Thumbnails:
    """Thumbnails of the images that are kept, in the order of ``utils.thinning``.

    Attributes:
        dataset: name.
        index: fingerprint of the dataset's index.
        ids: of the images.
        side: pixels of the square of one.
        sheets: encoded pictures of up to ``PER_SHEET`` squares, ``COLUMNS`` in a row.
    """

    dataset: str
    index: str
    ids: Sequence[str]
    side: int
    sheets: Sequence[bytes]

    @property
    def format(self) -> str:
        """Jpeg or webp."""
        return _MARK[self.sheets[0][:2]] if self.sheets else "jpeg"


def write_thumbnails(
    path: Path, ids: Sequence[str], sheets: Iterable[bytes], *, side: int, provenance: Provenance
) -> None:
    """Write thumbnails; the provenance has the name and the index of the dataset."""
    found = list(sheets)
    with create(path, kind=KIND, provenance={**provenance, "side": side}) as file:
        write_table(file, TABLE, pd.DataFrame({"id": list(ids)}), listed=False)
        file["sheets"] = np.frombuffer(b"".join(found), dtype=np.uint8)
        file["ends"] = np.cumsum([len(sheet) for sheet in found], dtype=np.int64)


def read_thumbnails(path: Path) -> Thumbnails:
    """Read thumbnails.

    Raises:
        LpclipError: as ``open_file``, or its parts do not fit together, or a sheet is neither JPEG
            nor WebP.
    """
    with open_file(path, kind=KIND) as file:
        provenance = provenance_of(file)
        ids = columns(path, read_table(file, TABLE), "id")["id"].tolist()
        whole = checksums.read(file["sheets"]).tobytes()
        ends = [0, *checksums.read(file["ends"]).tolist()]
    sheets = [whole[start:end] for start, end in pairwise(ends)]
    if len(sheets) != -(-len(ids) // PER_SHEET) or any(one[:2] not in _MARK for one in sheets):
        raise damaged(path, "its sheets are not those of its images")
    dataset, index = str(provenance["dataset"]), str(provenance["index"])
    return Thumbnails(dataset, index, ids, int(provenance.number("side")), sheets)
