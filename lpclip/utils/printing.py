"""Text for terminals and logs, with control characters escaped.

Ids, paths and class names come from files of any origin. An escape sequence in one of them could
move the cursor, hide lines or change the title of the window, and a mark of writing direction could
reverse letters. Files that lpclip writes hold such names unchanged.
"""

import logging
import sys
import unicodedata

# Marks and overrides of the writing direction, and invisible characters.
_INVISIBLE = frozenset(
    "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
# Controls (C0 and C1), lone surrogates, and separators of lines and paragraphs.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def visible(text: str, *, keep: str = "\n") -> str:
    r"""Escape the characters that would control a terminal, except those to keep, as in Python.

    >>> print(visible("a\x1b[2Jb\u202ec\n数字 é"))
    a\x1b[2Jb\u202ec
    数字 é
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) if character not in keep else character for character in text)


def _shown(character: str) -> str:
    steers = character in _INVISIBLE or unicodedata.category(character) in _CATEGORIES
    return character.encode("unicode_escape").decode() if steers else character


def show(text: str) -> None:
    """Print text, escaped."""
    print(visible(text))


def show_data(text: str) -> None:
    """Print lines of data: escaped on a terminal, unchanged to a file or pipe."""
    sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


class Formatter(logging.Formatter):
    """Log formatter that escapes control characters, since logs are read in terminals."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as ``logging.Formatter`` does, escaped."""
        return visible(super().format(record), keep="\n\t")


def duration(seconds: float) -> str:
    """Return a rough duration.

    >>> duration(0.4), duration(42), duration(600), duration(12_000)
    ('1 second', '42 seconds', '10 minutes', '3.3 hours')
    """
    if seconds < 99:
        whole = max(1, round(seconds))
        return f"{whole} second{'s' * (whole > 1)}"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.2g} hours"
