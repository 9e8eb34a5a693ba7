"""The exception that users see, and the helper that suggests what they meant."""

from collections.abc import Iterable
from difflib import get_close_matches


class LpclipError(Exception):
    """A mistake that a user can mend: its text says what is wrong, where, and what to do.

    The command line prints the text without a traceback and exits with status 1.
    """


class BadImageError(LpclipError):
    """An image that cannot be read.

    Attributes:
        path: where it is.
        reason: why it cannot be read, in a few words.
    """

    def __init__(self, path: str, reason: str) -> None:
        # As its arguments, so that the error survives the way out of a worker process.
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read as an image ({self.reason})."


def did_you_mean(name: str, available: Iterable[str]) -> str:
    """Sentence that names the nearest known name, if one is near, and all known names.

    >>> did_you_mean("digits-trian", ["letters", "digits-train"])
    "Did you mean 'digits-train'? Available: digits-train, letters."
    >>> did_you_mean("x", [])
    'Available: none.'
    """
    names = sorted(available)
    near = get_close_matches(name, names, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}Available: {', '.join(names) or 'none'}."
