"""What a setting can be, in words, and what was probably meant."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt


def bare(annotation: Any) -> Any:
    """Return a type without constraints and without None as an alternative."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    kinds = [one for one in alternatives(annotation) if one is not NoneType]
    return bare(kinds[0]) if len(kinds) == 1 and kinds[0] is not annotation else annotation


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, else the one type."""
    union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if union else (annotation,)


def allowed(annotation: Any) -> str:
    """Describe what a setting can be.

    >>> allowed(Annotated[float, Gt(0)] | Literal["auto"])
    'a number greater than 0 or auto'
    >>> allowed(Annotated[int, Ge(1), Lt(9)])
    'a whole number at least 1 and less than 9'
    """
    if get_origin(annotation) is Annotated:
        words = {Ge: "at least", Gt: "greater than", Le: "at most", Lt: "less than"}
        bounds = [
            f"{words[type(one)]} {getattr(one, type(one).__name__.lower()):g}"
            for one in annotation.__metadata__
            if type(one) in words
        ]
        return " ".join(filter(None, [allowed(get_args(annotation)[0]), " and ".join(bounds)]))
    kinds = [one for one in alternatives(annotation) if one is not NoneType]
    if len(kinds) > 1 or kinds[0] is not annotation:
        return " or ".join(filter(None, map(allowed, kinds)))
    if get_origin(annotation) is Literal:
        return ", ".join(str(one) for one in get_args(annotation) if one != "")
    if dataclasses.is_dataclass(annotation) or get_origin(annotation) in (dict, Mapping):
        return "a mapping of names to values"
    if get_origin(annotation) in (list, tuple, Sequence):
        return "a list"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def hint(annotation: Any, value: Any) -> str:
    """Return a sentence, after a space, on what was probably meant; empty where nothing was."""
    kinds = list(_leaves(annotation))
    if isinstance(value, str):
        near = get_close_matches(value, [one for one in kinds if isinstance(one, str)], n=1)
        if near:
            return f" Did you mean '{near[0]}'?"
        with suppress(ValueError):
            number = float(value)
            if int in kinds and number.is_integer():
                return f" This is text; write {int(number)} without quotes."
            if float in kinds:
                return f" This is text; write {number!r} without quotes."
    elif str in kinds and not isinstance(value, list | tuple | Mapping):
        return " If it is text, put it in quotes."
    return ""


def _leaves(annotation: Any) -> Iterator[Any]:
    """Types and literal values that a setting can have or be."""
    for one in alternatives(annotation):
        if get_origin(one) is Annotated:
            yield from _leaves(get_args(one)[0])
        elif get_origin(one) is Literal:
            yield from get_args(one)
        else:
            yield one
