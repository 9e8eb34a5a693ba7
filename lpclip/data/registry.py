"""Registry of image sources: one module per kind, found by its name.

A module ``lpclip/data/sources/{kind}.py`` holds a class ``Source`` whose keyword arguments are the
settings of a dataset of that kind. There is no list to extend: a new module is a new kind.
Adding it changes no other code, so no cache is made again.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

from lpclip.data import sources
from lpclip.data.base import Source
from lpclip.errors import check_known
from lpclip.utils.settings import call


def _with_kind(source: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(source.get("kind"), str):
        raise ValueError(f"lacks the setting 'kind'. Available: {', '.join(kinds())}.")
    return source


SourceSettings: TypeAlias = Annotated[Mapping[str, Any], AfterValidator(_with_kind)]
FEATURES = "features"  # the one kind without images


def kinds() -> list[str]:
    """Return the names of all kinds of source."""
    return sorted(module.name for module in pkgutil.iter_modules(sources.__path__))


def modules(source: Any) -> list[str]:
    """Return the modules of a source and of the sources inside it, sorted.

    They are imported by name, so that they must be added to the modules of a code hash.

    >>> modules({"kind": "pool", "parts": [{"source": {"kind": "digits", "split": "adapt"}}]})
    ['lpclip.data.sources.digits', 'lpclip.data.sources.pool']
    """
    found: set[str] = set()
    pending = [source]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if isinstance(value.get("kind"), str):
                found.add(f"{sources.__name__}.{value['kind']}")
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
    return sorted(found)


def has_images(source: Mapping[str, Any]) -> bool:
    """Whether a source, given by ``kind`` and settings, has images and not only features."""
    return bool(source["kind"] != FEATURES)


def open_source(kind: str, settings: Mapping[str, Any]) -> Source:
    """Open a source of the given kind.

    Raises:
        LpclipError: no such kind; an unknown, missing or mistyped setting; or settings that the
            kind refuses, such as a folder that does not exist.
    """
    check_known(kind, kinds(), f"Unknown image source '{kind}'.")
    cls = importlib.import_module(f"{sources.__name__}.{kind}").Source
    source: Source = call(cls, settings, where=f"Image source '{kind}'")
    return source
