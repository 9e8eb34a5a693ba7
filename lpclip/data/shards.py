"""Expand patterns of shards, with braces and wildcards, to paths and addresses."""

import glob
import os
import re

from lpclip.data.remote import check_address, is_address, listed
from lpclip.errors import LpclipError

MOST_SHARDS = 1_000_000

_RANGE = re.compile(
    r"\{(?:(-?[0-9]{1,4300})\.\.(-?[0-9]{1,4300})|([A-Za-z])\.\.([A-Za-z]))"
    r"(?:\.\.-?([0-9]{1,4300}))?\}"  # int() refuses longer numbers
)


def expand(pattern: str) -> list[str]:
    """Return the paths that match a pattern, in the order of its braces, then of names.

    Raises:
        LpclipError: no files, or too many; unbalanced braces; an impossible name; an address that
            cannot be opened or, with wildcards, listed.
    """
    import braceexpand

    if _count(pattern) > MOST_SHARDS:
        raise LpclipError(
            f"shards '{pattern[:100]}' means more than {MOST_SHARDS:,} files. Check its braces."
        )
    if "\0" in pattern:
        raise LpclipError("shards has a zero byte, which no file's name has.")
    if pattern.startswith("pipe:"):
        raise LpclipError(
            f"shards '{pattern}' are not files. Single images are read by their place, so copy the "
            "shards to this machine first."
        )
    try:
        names = list(braceexpand.braceexpand(pattern))
    except (ValueError, RecursionError) as error:
        raise LpclipError(
            f"shards '{pattern[:100]}' has braces that do not match, or too many of them."
        ) from error
    found = []
    for name in names:
        if is_address(name):
            found.extend(_addresses(name))
            continue
        # As text, and with glob.glob, which unlike Path.glob takes absolute patterns.
        is_file = os.path.isfile(name)  # noqa: PTH113
        paths = [name] if is_file else sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        if not paths:
            raise LpclipError(f"shards '{pattern}': there is no file '{name}'. Check 'shards'.")
        found.extend(paths)
    for path in found:
        if "::" in path:
            raise LpclipError(f"shard '{path}' has '::' in its path. Rename it.")
    return found


def _addresses(name: str) -> list[str]:
    """Return an address, or those that match its wildcards; a ``?`` of the web starts a query."""
    web = name.startswith(("http://", "https://"))
    check_address(name)
    if not any(character in name for character in ("*[" if web else "*?[")):
        return [name]
    if found := listed(name):
        return found
    raise LpclipError(f"shards '{name}': there is no such file. Check 'shards'.")


def _count(pattern: str) -> int:
    """Count the paths of a pattern with braces, without listing them as braceexpand does."""
    import braceexpand

    levels = [(0, 1)]  # per open brace: paths of the previous alternatives, and of this one so far
    place = 0
    while place < len(pattern):
        character = pattern[place]
        before, here = levels[-1]
        if found := _RANGE.match(pattern, place):
            first, last = (
                (int(found[1]), int(found[2]))
                if found[1]
                else (braceexpand.alphabet.index(found[3]), braceexpand.alphabet.index(found[4]))
            )
            step = max(int(found[5] or 1), 1)
            levels[-1] = before, here * (abs(last - first) // step + 1)
            place = found.end() - 1
        elif character == "{":
            levels.append((0, 1))
        elif character == "," and len(levels) > 1:
            levels[-1] = before + here, 1
        elif character == "}" and len(levels) > 1:
            levels.pop()
            outer, factor = levels[-1]
            levels[-1] = outer, factor * (before + here)
        if levels[-1][1] > MOST_SHARDS:
            return levels[-1][1]  # no need to count the rest
        place += 2 if character == "\\" else 1
    return levels[0][1]
