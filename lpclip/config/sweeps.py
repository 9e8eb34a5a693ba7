"""Sweeps: lists of values in methods, labellings and models become one entry per point of a grid.

``{sweep: [1.0e-4, 3.0e-4]}`` stands in the place of a value. All that follows sees ordinary
entries, so a further value adds only its own jobs and the reports, which alone receive what was
varied.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lpclip.config.methods import DEFAULT
from lpclip.config.sweep_grid import (
    SECTIONS,
    SWEEP,
    Entry,
    Varied,
    check_number,
    grid,
    refuse_elsewhere,
)
from lpclip.config.sweep_names import point_name
from lpclip.errors import LpclipError
from lpclip.methods.registry import GUARDED, load_method
from lpclip.utils.settings import settings_of

# Of an entry as it is written: what was varied and the entry, by the name of the point.
_Grid: TypeAlias = dict[str, tuple[Varied, Entry]]
_SUGGESTED = re.compile(r"Did you mean '[^']*'\?")


@dataclass(frozen=True)
class Point:
    """A point of a sweep.

    Attributes:
        sweep: name of the entry as it is written.
        varied: what distinguishes its points, by setting: ``method.rounds``, ``labelling.prior``,
            ``model.image_size``, or ``base.method.rounds`` of the method that it is made from.
    """

    sweep: str
    varied: Varied


@dataclass(frozen=True)
class Sweeps:
    """The points of a configuration by their names."""

    models: Mapping[str, Point] = field(default_factory=dict)
    labellings: Mapping[str, Point] = field(default_factory=dict)
    methods: Mapping[str, Point] = field(default_factory=dict)

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Add to an error about a point which one it is: its name is not in the file."""
        try:
            yield
        except LpclipError as error:
            text = _SUGGESTED.sub("", str(error))
            for section in SECTIONS:
                points: Mapping[str, Point] = getattr(self, section)
                for name in sorted(points, key=len, reverse=True):
                    if f"{section}.{name}" in text or f"'{name}'" in text:
                        raise LpclipError(
                            f"{error} '{name}' is the point {_in_words(points[name].varied)} of "
                            f"the sweep {section}.{points[name].sweep}."
                        ) from error
            raise


def expand(given: Mapping[str, Any]) -> tuple[dict[str, Any], Sweeps]:
    """Return a configuration without sweeps, and their points.

    A swept labelling multiplies the methods that learn it, a swept method those that are made from
    it, and a swept model the benchmarks' lists of models; a guard gets all points of a candidate.

    Raises:
        LpclipError: a sweep that is empty, repeats a value, is inside another one, has too many
            points or stands where none may; a point whose name is taken.
    """
    given = dict(given)
    refuse_elsewhere(given)
    models = _of_section("models", given)
    labellings = _of_section("labellings", given)
    if models:
        given["models"] = _expanded("models", given["models"], models)
        given["benchmarks"] = _with_models(given.get("benchmarks"), models)
    if labellings:
        given["labellings"] = _expanded("labellings", given["labellings"], labellings)
    written = given.get("methods", DEFAULT)
    methods = _Methods(written, labellings).points if isinstance(written, Mapping) else {}
    if methods:
        given["methods"] = _expanded("methods", written, methods)
    found = {"models": models, "labellings": labellings, "methods": methods}
    return given, Sweeps(
        **{
            section: {
                name: Point(sweep, varied)
                for sweep, points in grids.items()
                for name, (varied, _) in points.items()
                if varied
            }
            for section, grids in found.items()
        }
    )


def _of_section(section: str, given: Mapping[str, Any]) -> dict[str, _Grid]:
    """Return the points of the entries of a section that have sweeps."""
    entries = given.get(section)
    if not isinstance(entries, Mapping):
        return {}
    found = {}
    for name, entry in entries.items():
        points = grid(f"{section}.{name}", section.removesuffix("s"), entry)
        if len(points) > 1 or points[0][0]:
            found[name] = _named(section, name, points)
    return found


class _Methods:
    """The points of methods, which refer to labellings and to one another."""

    def __init__(self, written: Mapping[str, Any], labellings: Mapping[str, _Grid]) -> None:
        self._written, self._labellings = written, labellings
        self._found: dict[str, _Grid | None] = {}
        for name in written:
            _refuse_circle(written, [name])
            self._of(name)
        self.points = {name: grid for name, grid in self._found.items() if grid is not None}

    def _of(self, name: str) -> _Grid | None:
        """Return the points of a method; None where it is a single one, which keeps its name."""
        if name in self._found or name not in self._written:
            return self._found.get(name)
        self._found[name] = None  # for a guard that is made from its candidate, refused later
        where, entry = f"methods.{name}", self._written[name]
        points = [
            one
            for varied, own in grid(where, "method", entry)
            for one in self._with_references(varied, own)
        ]
        check_number(where, len(points))
        if any(varied for varied, _ in points):
            self._found[name] = _named("methods", name, points)
        elif points[0][1] is not entry:  # a guard, whose candidates have become others
            self._found[name] = {name: points[0]}
        return self._found[name]

    def _with_references(self, varied: Varied, entry: Any) -> list[tuple[Varied, Entry]]:
        """Return the points that an entry has since what it names has points."""
        if not isinstance(entry, Mapping):
            return [(varied, entry)]
        found = [(varied, self._with_candidates(entry))]
        for key, grids, prefix in (
            ("labelling", self._labellings.get, ""),
            ("method", self._of, "base."),
        ):
            named = entry.get(key)
            points = grids(named) if isinstance(named, str) else None
            if points:
                found = [
                    ({**own, **{f"{prefix}{at}": value for at, value in more.items()}},
                     {**changed, key: point})
                    for own, changed in found
                    for point, (more, _) in points.items()
                ]  # fmt: skip
        return found

    def _with_candidates(self, entry: Entry) -> Entry:
        if entry.get("kind") != GUARDED:
            return entry
        usual = settings_of(load_method(GUARDED).Settings)["candidates"].default
        named = entry.get("candidates", usual)
        if not isinstance(named, list | tuple):
            return entry
        grids = {one: self._of(one) for one in named if isinstance(one, str)}
        if not any(grids.values()):
            return entry
        return {**entry, "candidates": _with_points(named, grids)}


def _refuse_circle(written: Mapping[str, Any], way: Sequence[str]) -> None:
    """Refuse a method, the first of the way, that is made from another one's, and so on, forever.

    Before names of points replace those of sweeps, so that the error has the names of the file.
    """
    entry = written.get(way[-1])
    named = entry.get("method") if isinstance(entry, Mapping) else None
    values = named.get(SWEEP) if isinstance(named, Mapping) else [named]
    for base in values if isinstance(values, list) else ():
        if base in way:
            circle = [*way[way.index(base) :], base]
            raise LpclipError(
                f"configuration: methods.{base}.method leads back to itself: {' -> '.join(circle)}."
            )
        if isinstance(base, str):
            _refuse_circle(written, [*way, base])


def _named(section: str, entry: str, points: Sequence[tuple[Varied, Entry]]) -> _Grid:
    """Return the points by their names."""
    settings = dict.fromkeys(setting for varied, _ in points for setting in varied)
    found: _Grid = {}
    for varied, own in points:
        name = point_name(entry, list(varied.items()), settings) if varied else entry
        if name in found:
            raise LpclipError(
                f"configuration: two points of the sweep {section}.{entry} would be called "
                f"'{name}': {_in_words(found[name][0])}, and {_in_words(varied)}. Write one of "
                "them as an entry of its own."
            )
        found[name] = (varied, own)
    return found


def _expanded(
    section: str, written: Mapping[str, Any], grids: Mapping[str, _Grid]
) -> dict[str, Any]:
    """Return the entries of a section with points in the places of what was swept."""
    found: dict[str, Any] = {}
    for name, entry in written.items():
        points = {one: own for one, (_, own) in grids.get(name, {name: ({}, entry)}).items()}
        for point in points:
            if point in found or (point != name and point in written):
                raise LpclipError(
                    f"configuration: {section}.{point} is defined, but a point of the sweep "
                    f"{section}.{name} has the same name. Rename one of them."
                )
        found |= points
    return found


def _with_models(benchmarks: Any, models: Mapping[str, _Grid]) -> Any:
    """Return benchmarks that name the points of models."""
    if not isinstance(benchmarks, Mapping):
        return benchmarks
    return {
        name: {
            **benchmark,
            "models": _with_points(benchmark["models"], models),
        }
        if isinstance(benchmark, Mapping) and isinstance(benchmark.get("models"), list)
        else benchmark
        for name, benchmark in benchmarks.items()
    }


def _with_points(named: Sequence[Any], grids: Mapping[str, _Grid | None]) -> list[Any]:
    """Return names with points in the places of sweeps; what is no name is refused later."""
    return [
        point
        for one in named
        for point in ((grids.get(one) if isinstance(one, str) else None) or [one])
    ]


def _in_words(varied: Varied) -> str:
    return ", ".join(
        f"{setting} = {json.dumps(value, default=str)}" for setting, value in varied.items()
    )
