"""Incomplete samples, which lack their image or label.

A source that may have such samples has a method ``problems()``: path of the sample -> problem, as
a sentence. The policy ``on_bad_image`` decides whether they stop the run or are left out.
"""

from collections.abc import Callable, Mapping

from lpclip.data.base import Source


def problems_of(source: Source) -> Mapping[str, str]:
    """Return the problem of every incomplete sample of a source, by path."""
    problems: Callable[[], Mapping[str, str]] | None = getattr(source, "problems", None)
    return problems() if problems else {}
