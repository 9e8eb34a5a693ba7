"""From settings as text or mappings to typed arguments, refusing what is not known."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lpclip.errors import LpclipError, did_you_mean

T = TypeVar("T")


def build(cls: type[T], settings: Mapping[str, Any], *, where: str) -> T:
    """Instance of a dataclass from its settings.

    Args:
        cls: a dataclass; its fields are the known settings.
        settings: values by name.
        where: what the settings are of, for error texts.

    Raises:
        LpclipError: an unknown key (with the nearest known one), a missing one, a wrong type.
    """
    arguments = _arguments(cls, settings, where)
    return cls(**arguments)


def call(function: Callable[..., T], settings: Mapping[str, Any], *, where: str) -> T:
    """Call a function with keyword arguments made from settings; errors as in ``build``."""
    return function(**_arguments(function, settings, where))


def _arguments(target: Callable[..., Any], settings: Mapping[str, Any], where: str) -> Any:
    parameters = inspect.signature(target, eval_str=True).parameters
    _refuse_unknown(settings, parameters, where)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in settings
    ]
    if missing:
        raise LpclipError(f"{where} lacks the setting '{missing[0]}'.")
    return {
        name: _convert(parameters[name].annotation, value, f"{where}: {name}")
        for name, value in settings.items()
    }


def _refuse_unknown(settings: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    for key in settings:
        if key not in known:
            raise LpclipError(f"{where} has no setting '{key}'. {did_you_mean(key, known)}")


def _convert(annotation: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(annotation) and isinstance(value, Mapping):
        assert isinstance(annotation, type)
        return build(annotation, value, where=where)
    config = ConfigDict(arbitrary_types_allowed=True)
    adapter = (
        TypeAdapter(annotation)
        if dataclasses.is_dataclass(annotation)
        else TypeAdapter(annotation, config=config)
    )
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise LpclipError(f"{where}: {first['msg']}, but got {first['input']!r}.") from error
