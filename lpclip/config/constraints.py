"""Constraints of wildcards: which names may stand in their place."""

import re
from collections.abc import Iterable
from itertools import groupby


def one_of(names: Iterable[str]) -> str:
    """Return a regular expression that matches the names, nothing where there is none.

    Common beginnings are written once: Snakemake searches the expression for every path.

    >>> one_of(["letters", "digits", "lens"]), one_of([])
    ('(?:digits|le(?:ns|tters))', '(?!)')
    """
    names = sorted(set(names))
    if names == [""]:
        return ""
    found = [
        re.escape(first) + one_of(name[1:] for name in group)
        for first, group in groupby(names, key=lambda name: name[:1])
    ]
    if not found:
        return "(?!)"
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"
