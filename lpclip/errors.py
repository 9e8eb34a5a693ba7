"""The exception that users see, and the helper that suggests what they meant."""

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches


class LpclipError(Exception):
    """A mistake that a user can fix: its text says what is wrong, where, and what to do.

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


def bad_images(found: Sequence[BadImageError], advice: str) -> LpclipError:
    """One error for all images that cannot be read: the first ten and how many there are.

    >>> print(bad_images([BadImageError("a.png", "the file is empty")], "Remove it."))
    a.png cannot be read as an image (the file is empty). Remove it.
    """
    if len(found) == 1:
        return LpclipError(f"{found[0]} {advice}")
    first = "".join(f"\n  {error.path} ({error.reason})" for error in found[:10])
    title = f"{len(found):,} images cannot be read"
    return LpclipError(f"{title}{', among them' if len(found) > 10 else ''}:{first}\n{advice}")


def did_you_mean(name: str, available: Iterable[str]) -> str:
    """Sentence that names the nearest known name, if one is near, and known names.

    >>> did_you_mean("digits-trian", ["letters", "digits-train"])
    "Did you mean 'digits-train'? Available: digits-train, letters."
    >>> did_you_mean("x", [])
    'Available: none.'
    >>> did_you_mean("x", (f"{number:03}" for number in range(500)))
    'Available: 000, 001, 002, 003, 004, 005, 006, 007, 008, 009, … (500 in all).'
    """
    names = sorted(available)
    near = get_close_matches(name, names, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    shown = names if len(names) <= 50 else [*names[:10], f"… ({len(names):,} in all)"]
    return f"{hint}Available: {', '.join(shown) or 'none'}."


def check_known(name: str, available: Collection[str], problem: str) -> None:
    """Refuse a name that is not available: the problem, then what was meant."""
    if name not in available:
        raise LpclipError(f"{problem} {did_you_mean(name, available)}")


def listed(names: Sequence[str]) -> str:
    """The first names, for the text of an error.

    >>> listed(["a", "b"]), listed("abcdefghijklmn")[-7:]
    ('a, b', 'k, l, …')
    """
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
