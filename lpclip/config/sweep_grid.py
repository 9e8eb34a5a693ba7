"""Where a configuration has sweeps, their values, and the grid that the values of an entry make."""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, TypeAlias

from lpclip.errors import LpclipError

SWEEP = "sweep"
SECTIONS = ("models", "labellings", "methods")
# Every point is trained and evaluated: more are most likely a mistake.
MOST_POINTS = 200
# What YAML takes for text, although people mean a number.
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")

Varied: TypeAlias = Mapping[str, Any]  # setting -> value
Entry: TypeAlias = Mapping[str, Any]


def grid(where: str, prefix: str, entry: Any) -> list[tuple[Varied, Entry]]:
    """Return what is varied in an entry and what it is then, for every point of its grid."""
    sweeps = dict(_found(where, entry, ()))
    if () in sweeps:
        raise LpclipError(
            f"configuration: {where} is a sweep itself. Write the entry, and {{sweep: […]}} in the "
            "place of one of its values."
        )
    if ("kind",) in sweeps:
        raise LpclipError(
            f"configuration: {where}.kind cannot be swept, since every kind has settings of its "
            "own. Write one entry per kind."
        )
    check_number(where, math.prod(map(len, sweeps.values())))
    names = [".".join((prefix, *map(str, path))) for path in sweeps]
    return [
        (
            dict(zip(names, values, strict=True)),
            _replaced(entry, dict(zip(sweeps, values, strict=True)), ()) if sweeps else entry,
        )
        for values in product(*sweeps.values())
    ]


def _found(
    where: str, value: Any, path: tuple[Any, ...]
) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """Yield the place and the values of every sweep inside a value."""
    if isinstance(value, Mapping) and SWEEP in value:
        yield path, _checked(".".join((where, *map(str, path))), value)
        return
    parts: Any = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, inside in parts:
        yield from _found(where, inside, (*path, key))


def _checked(where: str, written: Mapping[str, Any]) -> list[Any]:
    """Return the values of a sweep."""
    place = f"configuration: {where}"
    if len(written) > 1:
        others = ", ".join(str(key) for key in written if key != SWEEP)
        raise LpclipError(f"{place} has the keys {others} next to '{SWEEP}'. Remove one or other.")
    values = written[SWEEP]
    if not isinstance(values, list):
        raise LpclipError(f"{place}.{SWEEP} is {values!r}; give a list of values.")
    if not values:
        raise LpclipError(f"{place}.{SWEEP} is empty; give at least one value.")
    values = [_number(value) for value in values]
    for number, value in enumerate(values):
        if any(_same(value, other) for other in values[:number]):
            raise LpclipError(f"{place}.{SWEEP} has {value!r} twice; remove one.")
        if next(_found(where, value, ()), None):
            raise LpclipError(f"{place}.{SWEEP} has a sweep inside. Write out its values.")
    return values


def _number(value: Any) -> Any:
    """Return a number for 1e-4, which YAML takes for text since it has no point."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _replaced(value: Any, values: Mapping[tuple[Any, ...], Any], path: tuple[Any, ...]) -> Any:
    """Return a value with values in the places of sweeps."""
    if path in values:
        return values[path]
    if isinstance(value, Mapping):
        return {key: _replaced(inside, values, (*path, key)) for key, inside in value.items()}
    if isinstance(value, list):
        return [_replaced(inside, values, (*path, at)) for at, inside in enumerate(value)]
    return value


def check_number(where: str, n_points: int) -> None:
    """Refuse more points than anybody wants to wait for."""
    if n_points > MOST_POINTS:
        raise LpclipError(
            f"configuration: {where} has {n_points:,} points, each of which is trained and "
            f"evaluated; at most {MOST_POINTS} are allowed. Give fewer values, or write several "
            "entries with fewer points each."
        )


def refuse_elsewhere(given: Mapping[str, Any]) -> None:
    """Refuse a sweep in a section that has none."""
    for section, value in given.items():
        if section in SECTIONS:
            continue
        for path in _lists(value, (section,)):
            raise LpclipError(
                f"configuration: {'.'.join(map(str, path))} is a sweep, but only settings of "
                f"{', '.join(SECTIONS[:-1])} and {SECTIONS[-1]} can be swept. Write one entry per "
                "value."
            )


def _lists(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the places of mappings to a list under the one key ``sweep``."""
    if isinstance(value, Mapping):
        if list(value) == [SWEEP] and isinstance(value[SWEEP], list):
            yield path
        for key, inside in value.items():
            yield from _lists(inside, (*path, key))
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            yield from _lists(inside, (*path, number))
