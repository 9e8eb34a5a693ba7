"""Registry of image sources: one module per kind, found by its name.

A module ``lpclip/data/sources/{kind}.py`` holds a class ``Source`` whose keyword arguments are the
settings of a dataset of that kind. There is no list to extend: a new module is a new kind.
Adding it changes no other code, so no cache is made again. A plugin (``lpclip.utils.plugins``) that
is such a module adds a kind, too.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

from lpclip.data import sources
from lpclip.data.base import Source
from lpclip.errors import LpclipError, check_known
from lpclip.utils import plugins
from lpclip.utils.settings import call


def _with_kind(source: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(source.get("kind"), str):
        raise ValueError(f"lacks the setting 'kind'. Available: {', '.join(kinds())}.")
    return source


SourceSettings: TypeAlias = Annotated[Mapping[str, Any], AfterValidator(_with_kind)]
FEATURES = "features"  # the one kind without images
_GROUP = "sources"


@cache
def own_kinds() -> tuple[str, ...]:
    """Return the names of lpclip's own kinds of source, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(sources.__path__)))


def kinds(asked: object = None) -> tuple[str, ...]:
    """Return the names of all kinds of source, sorted; ``asked`` as in ``plugins.names``."""
    return plugins.names(_GROUP, own_kinds(), asked=asked)


def modules(source: Any) -> list[str]:
    """Return the code of a source and of the sources inside it, as ``code_hash`` takes it, sorted.

    It is imported by name, so that it must be added to the modules of a code hash.

    >>> modules({"kind": "pool", "parts": [{"source": {"kind": "digits", "split": "adapt"}}]})
    ['lpclip.data.sources.digits', 'lpclip.data.sources.pool']
    """
    found: set[str] = set()
    pending = [source]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if isinstance(value.get("kind"), str):
                found.add(_code_of(value["kind"]))
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
    source: Source = call(source_class(kind), settings, where=f"Image source '{kind}'")
    return source


def source_class(kind: str) -> Callable[..., Any]:
    """Return the class of a kind, whose arguments are its settings.

    Raises:
        LpclipError: no such kind, or a plugin that is none of a source.
    """
    plugin = plugins.find(_GROUP, kind, own_kinds())
    if plugin is not None:
        return _checked(plugin)
    check_known(kind, kinds(asked=kind), f"Unknown image source '{kind}'.")
    found: Callable[..., Any] = importlib.import_module(f"{sources.__name__}.{kind}").Source
    return found


@cache
def _checked(plugin: plugins.Plugin) -> Callable[..., Any]:
    """Return the class of a plugin, which is refused where it is no source."""
    cls = plugins.load(_GROUP, plugin).Source
    for name in ("class_names", "samples", "read"):
        if not (isinstance(cls, type) and hasattr(cls, name)):
            raise LpclipError(
                f"{plugin.origin}: Source has to be a class with class_names, samples and read; "
                f"{name} is missing. See docs/extend.md."
            )
    for name, one in inspect.signature(cls).parameters.items():
        if one.annotation is one.empty:
            raise LpclipError(
                f"{plugin.origin}: the setting '{name}' of Source has no type. See docs/extend.md."
            )
    found: Callable[..., Any] = cls
    return found


def _code_of(kind: str) -> str:
    plugin = plugins.find(_GROUP, kind, own_kinds())
    return f"{sources.__name__}.{kind}" if plugin is None else plugin.code
