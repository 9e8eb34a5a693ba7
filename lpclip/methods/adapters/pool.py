"""The pool as adapters see it: one unit-length row of features per image."""

from pathlib import Path

import numpy as np

from lpclip.methods.adapters.blocks import blocks
from lpclip.storage.features import normalise, open_versions, verify_versions, versions_of
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray


def read_view(adapt: Path, view: str, head: ZeroShotHead) -> FloatArray:
    """Read the mean over the versions of a view, unit length, as one version: ``[1, N, D]``.

    No more than the result is held in memory.

    Raises:
        LpclipError: the cache is of another model, damaged, or lacks the view.
    """
    versions = [(view, number) for number in range(versions_of(adapt, view))]
    with open_versions(adapt, versions, expected=head.expected) as read:
        n, dim = verify_versions(adapt, versions)
        features = np.empty((1, n, dim), dtype=np.float32)
        for rows in blocks(n, dim * len(versions)):
            total = read(0, rows)
            for place in range(1, len(versions)):
                total = total + read(place, rows)
            features[0, rows] = total if len(versions) == 1 else normalise(total)
    return features
