"""The one exception that users see, and the helper that suggests what they meant."""

from collections.abc import Iterable
from difflib import get_close_matches


class LpclipError(Exception):
    """A mistake that a user can mend: its text says what is wrong, where, and what to do.

    The command line prints the text without a traceback and exits with status 1.
    """


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
