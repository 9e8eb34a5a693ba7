"""Published corruptions: sets with several stored versions of each image.

Such a source lists each image once. Its attribute ``corruptions`` names the corruptions, each in
severities 1 to 5, and ``corrupted(path, corruption, severity)`` returns the path of a version for
``read``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lpclip.data.base import Source
from lpclip.errors import LpclipError, did_you_mean


def official_corruptions(source: Source) -> Sequence[str]:
    """Return the corruptions of a source of published corruptions; none for other sources."""
    found: Sequence[str] = getattr(source, "corruptions", ())
    return found


def paths_of_views(
    source: Source, paths: Sequence[str], views: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the paths of all images to read for the views (name -> settings) of N samples.

    These are the N paths, or for published corruptions, whose settings hold ``official``, N paths
    per severity, version by version.

    Raises:
        LpclipError: the source lacks these published corruptions, or they are mixed with other
            views.
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
