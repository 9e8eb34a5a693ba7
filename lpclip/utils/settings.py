"""Settings: classes that check their values, and the way to them from mappings.

A class of settings is the one place that states its defaults, bounds and descriptions: the
configuration, its JSON schema and the stages that are run by hand are checked against it. The text
below a field describes it.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NoReturn,
    TypeAlias,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import pydantic.dataclasses
from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError

from lpclip.errors import LpclipError, did_you_mean
from lpclip.utils.allowed import allowed, alternatives, bare, hint

T = TypeVar("T")
REQUIRED: Any = object()  # in the place of a default


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def settings_class(cls: type[T]) -> type[T]:
    """Make a class of settings: a frozen dataclass that checks its values whenever it is built.

    No value is converted, but for whole numbers where any number is allowed.
    """
    config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, config=config)(cls)
    return cast(type[T], made)


class Written(NamedTuple):
    """Marks a setting that is written differently in a configuration than a stage receives it."""

    annotation: Any = None  # in the configuration, where it is required; None if it is not written


def _each_once(values: Sequence[Any]) -> Sequence[Any]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"has {value!r} twice; remove one.")
    return values


UNIQUE = AfterValidator(_each_once)
Share: TypeAlias = Annotated[float, Ge(0), Le(1)]
Positive: TypeAlias = Annotated[float, Gt(0)]
NotNegative: TypeAlias = Annotated[float, Ge(0)]
Count: TypeAlias = Annotated[int, Ge(1)]
CountOrZero: TypeAlias = Annotated[int, Ge(0)]
Seed: TypeAlias = Annotated[int, Ge(0)]
Seeds: TypeAlias = Annotated[Sequence[Seed], MinLen(1), UNIQUE]


class Setting(NamedTuple):
    """One setting of a class or function."""

    annotation: Any  # its type, with constraints
    default: Any  # or REQUIRED


def settings_of(target: Callable[..., Any]) -> dict[str, Setting]:
    """Return the settings of a dataclass or function by name."""
    if dataclasses.is_dataclass(target):
        hints = get_type_hints(target, include_extras=True)
        return {
            field.name: Setting(hints[field.name], _default(field))
            for field in dataclasses.fields(target)
        }
    parameters = inspect.signature(target, eval_str=True).parameters
    return {
        name: Setting(one.annotation, REQUIRED if one.default is one.empty else one.default)
        for name, one in parameters.items()
    }


def written_settings(cls: type[Any]) -> dict[str, Setting]:
    """Return the settings of a class as a configuration holds them, see ``Written``."""
    found = {}
    for name, setting in settings_of(cls).items():
        marks = [one for one in _metadata(setting.annotation) if isinstance(one, Written)]
        if not marks:
            found[name] = setting
        elif marks[0].annotation is not None:
            found[name] = Setting(marks[0].annotation, REQUIRED)
    return found


def build(cls: type[T], given: Mapping[str, Any], *, where: str, path: Sequence[Any] = ()) -> T:
    """Build a dataclass, and those inside it, from its settings.

    Args:
        cls: a dataclass; its fields are the known settings.
        given: values by name.
        where: what the settings belong to, for error texts.
        path: keys that lead to them from there.

    Raises:
        LpclipError: an unknown key (with the nearest known one), a missing one, a value that is not
            allowed.
    """
    strict = hasattr(cls, "__pydantic_config__")
    checked = arguments(settings_of(cls), given, where=where, path=path, strict=strict)
    with located(at(where, path)):
        return cls(**checked)


def call(
    function: Callable[..., T], given: Mapping[str, Any], *, where: str, strict: bool = False
) -> T:
    """Call a function with keyword arguments made from settings; errors as in ``build``."""
    return function(**arguments(settings_of(function), given, where=where, strict=strict))


def arguments(
    known: Mapping[str, Setting],
    given: Mapping[str, Any],
    *,
    where: str,
    path: Sequence[Any] = (),
    strict: bool = True,
) -> dict[str, Any]:
    """Check values by name, and convert mappings to the classes that they are the settings of.

    Known settings with a default may be left out. Unless it is ``strict``, text for a number, for
    example, is converted instead of refused. For ``where`` and ``path``, see ``build``.
    """
    place = at(where, path)
    for key in given:
        if key not in known:
            raise LpclipError(f"{place} has no setting '{key}'. {did_you_mean(str(key), known)}")
    for name, setting in known.items():
        if setting.default is REQUIRED and name not in given:
            raise LpclipError(f"{place} lacks the setting '{name}'.")
    return {
        name: convert(known[name].annotation, value, where=where, path=(*path, name), strict=strict)
        for name, value in given.items()
    }


def convert(
    annotation: Any, value: Any, *, where: str, path: Sequence[Any], strict: bool = True
) -> Any:
    """Check one value; a class with a method ``from_settings`` is built by it."""
    cls = bare(annotation)
    if isinstance(value, Mapping):
        if hasattr(cls, "from_settings"):
            return cls.from_settings(value, where=where, path=path)
        if isinstance(cls, type) and dataclasses.is_dataclass(cls):
            return build(cls, value, where=where, path=path)
        if is_mapping_of_classes(annotation):
            return _mapping(annotation, value, where, path)
    try:
        return _adapter(annotation, strict).validate_python(value)
    except ValidationError as error:
        if isinstance(value, float) and value.is_integer():
            with suppress(ValidationError):
                return _adapter(annotation, strict).validate_python(int(value))
        _refuse(annotation, value, where, path, strict, error)


def at(where: str, path: Sequence[Any]) -> str:
    """Return a place for error texts.

    >>> at("configuration", ("methods", "lp_clip")), at("configuration", ())
    ('configuration: methods.lp_clip', 'configuration')
    """
    return f"{where}: {'.'.join(map(str, path))}" if path else where


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put a place before the text of an error."""
    try:
        yield
    except LpclipError as error:
        raise LpclipError(f"{where}: {error}") from error


def is_mapping_of_classes(annotation: Any) -> bool:
    """Return whether a type maps names to classes of settings."""
    inside = get_args(bare(annotation))
    return len(inside) == 2 and (
        dataclasses.is_dataclass(bare(inside[1])) or hasattr(bare(inside[1]), "from_settings")
    )


def _mapping(
    annotation: Any, value: Mapping[Any, Any], where: str, path: Sequence[Any]
) -> dict[str, Any]:
    names, cls = get_args(bare(annotation))
    if not value and any(isinstance(one, MinLen) for one in _metadata(annotation)):
        raise LpclipError(f"{at(where, path)} is empty; give at least one.")
    for name in value:
        try:
            _adapter(names, True).validate_python(name)
        except ValidationError as error:
            raise LpclipError(
                f"{at(where, path)} has the name {name!r}. Names become parts of paths: use "
                "letters, digits, '.', '_' and '-', the first one a letter or a digit."
            ) from error
    return {name: convert(cls, one, where=where, path=(*path, name)) for name, one in value.items()}


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return REQUIRED if field.default is dataclasses.MISSING else field.default


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


@cache
def _adapter(annotation: Any, strict: bool) -> TypeAdapter[Any]:
    if dataclasses.is_dataclass(annotation):
        return TypeAdapter(annotation)
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, strict=strict))


def _refuse(
    annotation: Any,
    value: Any,
    where: str,
    path: Sequence[Any],
    strict: bool,
    error: ValidationError,
) -> NoReturn:
    """Raise an error with what is allowed, about the innermost value that is not."""
    for kind in alternatives(bare(annotation)):
        inside, origin = get_args(kind), get_origin(kind)
        if isinstance(value, list | tuple) and isinstance(origin, type):
            if issubclass(origin, Sequence) and len(inside) == 1:
                for number, one in enumerate(value):
                    convert(inside[0], one, where=where, path=(*path, number), strict=strict)
        elif isinstance(value, Mapping) and origin in (dict, Mapping):
            for key, one in value.items():
                convert(inside[1], one, where=where, path=(*path, key), strict=strict)
    place, first = at(where, path), error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        raise LpclipError(f"{place} {first['msg'].removeprefix('Value error, ')}") from error
    if first["type"] in ("too_short", "string_too_short"):
        raise LpclipError(f"{place} is empty; give at least one.") from error
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."
    raise LpclipError(
        f"{place} is {shown}; allowed: {allowed(annotation)}.{hint(annotation, value)}"
    ) from error
