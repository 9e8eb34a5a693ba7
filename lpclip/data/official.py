"""Published corruptions: sets that hold several versions of each image as files of their own.

Such a source lists each image once. ``corruptions`` names those that it has, each in severities
1 to 5, and ``corrupted(path, corruption, severity)`` is the path of a version, which ``read``
takes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lpclip.data.base import Source
from lpclip.errors import LpclipError, did_you_mean


def official_corruptions(source: Source) -> Sequence[str]:
    """Corruptions that a source of published corruptions has; none for any other source."""
    found: Sequence[str] = getattr(source, "corruptions", ())
    return found


def paths_of_views(
    source: Source, paths: Sequence[str], views: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Paths of all images to be read for some views.

    Args:
        source: of the dataset.
        paths: of its N samples.
        views: name -> settings; with ``official``, published versions of these severities.

    Returns:
        The N paths, or, of published corruptions, N for every version, one after the other.

    Raises:
        LpclipError: published corruptions that the source does not have, or beside other views.
    """
    official = [name for name, settings in views.items() if settings.get("official")]
    if not official:
        return list(paths)
    known = official_corruptions(source)
    for name in views:
        if name not in official or name not in known:
            raise LpclipError(
                f"There are no published corruptions '{name}'. {did_you_mean(name, known)}"
            )
    return [
        source.corrupted(path, name, severity)  # type: ignore[attr-defined]
        for name, settings in views.items()
        for severity in settings["severities"]
        for path in paths
    ]
