"""Samples that lack their image or their label: listed by a source, left out or refused later.

A source that may have such samples offers ``problems()``: path of the sample -> what is wrong, as
a sentence. Whether they stop the run or are left out is for the policy ``on_bad_image``.
"""

from collections.abc import Callable, Mapping

from lpclip.data.base import Source


def problems_of(source: Source) -> Mapping[str, str]:
    """Path of every incomplete sample of a source -> what is wrong; most kinds have none."""
    problems: Callable[[], Mapping[str, str]] | None = getattr(source, "problems", None)
    return problems() if problems else {}
