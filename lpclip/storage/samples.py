"""The index of a dataset: one row per image, with its label."""

from hashlib import sha256
from pathlib import Path

import pandas as pd

from lpclip.storage.hdf5 import columns, open_file
from lpclip.storage.tables import read_table

# What an index says of an image, but for its label.
IMAGE_COLUMNS = ("id", "path", "size")


def fingerprint(samples: pd.DataFrame) -> str:
    """Hash of the ids and paths of an index, and of its files' sizes, 16 hexadecimal digits.

    Labels are not part of it: what is derived from the images must not depend on them.

    Args:
        samples: ``id``, ``path`` and, in an index of image files, ``size``; other columns are not
            looked at.
    """
    columns = [column for column in IMAGE_COLUMNS if column in samples]
    digest = sha256()
    for row in samples[columns].itertuples(index=False):
        digest.update(("\0".join(map(str, row)) + "\n").encode())
    return digest.hexdigest()[:16]


def read_samples(path: Path, *, labels: bool) -> pd.DataFrame:
    """Index of a dataset: id, path, size in bytes and, where asked for, label (-1 for none).

    Raises:
        LpclipError: as ``open_file``, or a column is missing.
    """
    with open_file(path, kind="samples") as file:
        frame = read_table(file, "samples")
    if labels:
        return frame
    sizes = ["size"] if "size" in frame else []  # older indices have none
    return columns(path, frame, "id", "path", *sizes)
