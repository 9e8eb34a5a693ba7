"""The pool as adapters see it: one unit-length row of features per image."""

from pathlib import Path

from lpclip.methods.adapters.blocks import as_views, blocks
from lpclip.storage.features import normalise, open_versions, verify_versions, versions_of
from lpclip.storage.stored_views import Views
from lpclip.storage.text import ZeroShotHead
from lpclip.utils.memory import Rows, empty_rows


def read_view(adapt: Path, view: str, head: ZeroShotHead) -> Views:
    """Read the mean over the versions of a view, unit length, as one version: ``[1, N, D]``.

    No more than the result is held in memory.

    Raises:
        LpclipError: the cache is of another model, damaged, or lacks the view.
    """
    versions = [(view, number) for number in range(versions_of(adapt, view))]
    with open_versions(adapt, versions, expected=head.expected) as read:
        n, dim = verify_versions(adapt, versions)
        features: Rows = empty_rows(n, dim)
        for rows in blocks(n, dim * len(versions)):
            total = read(0, rows)
            for place in range(1, len(versions)):
                total = total + read(place, rows)
            features[rows] = total if len(versions) == 1 else normalise(total)
    found: Views = as_views(features)
    return found
