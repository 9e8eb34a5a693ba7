"""The JSON schema of the configuration, for people and editors, written from the settings classes.

``python -m lpclip.config.json_schema`` writes ``workflow/schemas/config.schema.json``, which has
lpclip's own kinds alone; ``lpclip schema`` prints it with those of plugins.
"""

import ast
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import StringConstraints

from lpclip.config.checked import plain
from lpclip.config.methods import DEFAULT, Method
from lpclip.config.schema import Configuration
from lpclip.config.sweep_schema import allow_sweeps
from lpclip.data.registry import SourceSettings, source_class
from lpclip.data.registry import kinds as kinds_of_source
from lpclip.data.registry import own_kinds as own_sources
from lpclip.data.subsets import Stratified
from lpclip.methods.registry import kinds as kinds_of_method
from lpclip.methods.registry import load_method
from lpclip.methods.registry import own_kinds as own_methods
from lpclip.transforms.views.policies import SETTINGS, VIEW_KINDS
from lpclip.utils.allowed import alternatives
from lpclip.utils.kinds import Kind
from lpclip.utils.plugins import PluginKinds
from lpclip.utils.settings import REQUIRED, UNIQUE, Setting, settings_of, written_settings

Schema: TypeAlias = dict[str, Any]
PATH = Path(__file__).parents[2] / "workflow/schemas/config.schema.json"
_BOUNDS = {Ge: "minimum", Gt: "exclusiveMinimum", Le: "maximum", Lt: "exclusiveMaximum"}
_LEAST = {"array": "minItems", "object": "minProperties", "string": "minLength"}
_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string", Path: "string"}


def json_schema(*, plugins: bool = False, sweeps: bool = True) -> Schema:
    """Return the schema of the whole configuration, draft 2020-12.

    Args:
        plugins: whether the kinds of plugins are in it, of installed packages and of the files that
            this process has loaded.
        sweeps: whether a list of values may stand in the place of a value.
    """
    schema = _object(settings_of(Configuration), Configuration)
    schema["properties"]["methods"]["default"] = DEFAULT
    if plugins:
        methods = schema["properties"]["methods"]["additionalProperties"]
        _add_kinds(methods, kinds_of_method(), _method)
        dataset = schema["properties"]["datasets"]["additionalProperties"]
        _add_kinds(dataset["properties"]["source"], kinds_of_source(), _source)
        for views in (schema, dataset):
            for name in SETTINGS:
                made_by = views["properties"]["views"]["properties"][name]["properties"]["made_by"]
                _add_kinds(made_by, VIEW_KINDS.names(), _of_plugin(VIEW_KINDS))
        for name in ("corruptions", "scores"):
            of = get_args(settings_of(Configuration)[name].annotation)[1].of
            _add_kinds(
                schema["properties"][name]["additionalProperties"], of.names(), _of_plugin(of)
            )
    if sweeps:
        allow_sweeps(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of lpclip",
        "$comment": "Written by: python -m lpclip.config.json_schema",
        **schema,
    }


def text(*, plugins: bool = False) -> str:
    """Return the schema as it is stored, or with the kinds of plugins."""
    schema = json_schema(plugins=plugins)
    return json.dumps(schema, indent=1, ensure_ascii=False, default=str) + "\n"


def _object(known: Mapping[str, Setting], cls: type[Any] | None, **more: Any) -> Schema:
    described = {} if cls is None else _descriptions(cls)
    properties = dict[str, Schema](more)
    for name, setting in known.items():
        properties[name] = _of(setting.annotation)
        if name in described:
            properties[name]["description"] = described[name]
        if setting.default is not REQUIRED and setting.default is not None:
            properties[name]["default"] = _default(setting.default)
    required = [*more, *(name for name, one in known.items() if one.default is REQUIRED)]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": properties,
    }


def _of(annotation: Any) -> Schema:
    if annotation == SourceSettings:
        return _of_kinds(own_sources(), _source, "Kind of image source.")
    if get_origin(annotation) is Annotated:
        inside, *metadata = get_args(annotation)
        return _constrained(_of(inside), metadata)
    types = [one for one in alternatives(annotation) if one is not NoneType]
    if len(types) > 1:
        return {"anyOf": [_of(one) for one in types]}
    cls, origin, inside = types[0], get_origin(types[0]), get_args(types[0])
    if cls is not annotation:
        return _of(cls)
    if cls is Method:
        return _of_kinds(own_methods(), _method, "Kind of method.")
    if isinstance(cls, type) and issubclass(cls, Kind):
        return _of_kinds([], None, "Kind that a plugin adds.")
    if dataclasses.is_dataclass(cls) and isinstance(cls, type):
        one_of_two = [{"required": [name]} for name in ("per_class", "share")]
        more = {"oneOf": one_of_two} if cls is Stratified else {}
        return {**_object(written_settings(cls), cls), **more}
    if origin is Literal:
        return {"enum": list(inside)}
    if origin in (list, tuple, Sequence):
        return {"type": "array", "items": _of(inside[0])}
    if origin in (dict, Mapping):
        names = {"propertyNames": _of(inside[0])} if get_origin(inside[0]) is Annotated else {}
        return {"type": "object", **names, "additionalProperties": _of(inside[1])}
    return {"type": _TYPES[cls]} if cls in _TYPES else {}


def _constrained(schema: Schema, metadata: Sequence[Any]) -> Schema:
    for one in metadata:
        if type(one) in _BOUNDS:
            schema[_BOUNDS[type(one)]] = getattr(one, type(one).__name__.lower())
        elif isinstance(one, MinLen):
            for part in schema.get("anyOf", [schema]):
                part[_LEAST[part["type"]]] = one.min_length
        elif isinstance(one, StringConstraints):
            schema["pattern"] = one.pattern
        elif one is UNIQUE:
            schema["uniqueItems"] = True
    return schema


def _of_kinds(names: Sequence[str], schema_of: Any, description: str) -> Schema:
    """Return the schema of a mapping with a kind and the settings of that kind."""
    schema = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"description": description, "enum": []}},
    }
    _add_kinds(schema, names, schema_of)
    return schema


def _add_kinds(schema: Schema, names: Sequence[str], schema_of: Any) -> None:
    """Add those of the kinds to such a schema that it does not have."""
    kind = schema["properties"]["kind"]
    added = [
        {"if": {"properties": {"kind": {"const": name}}}, "then": schema_of(name)}
        for name in names
        if name not in kind["enum"]
    ]
    if added:
        schema["allOf"] = [*schema.get("allOf", ()), *added]
    kind["enum"] = sorted({*kind["enum"], *names})


def _method(kind: str) -> Schema:
    cls = load_method(kind).Settings
    return _object(written_settings(cls), cls, kind={"const": kind})


def _source(kind: str) -> Schema:
    cls = source_class(kind)
    schema = _object(settings_of(cls), None, kind={"const": kind})
    for name, text in _arguments(cls).items():
        if name in schema["properties"]:
            schema["properties"][name]["description"] = text
    return schema


def _arguments(described: Callable[..., Any]) -> dict[str, str]:
    """Return the texts of the section ``Args`` of a docstring, by the argument's name."""
    _, _, section = inspect.cleandoc(described.__doc__ or "").partition("\nArgs:\n")
    section = section.partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).replace("``", "`") for name, text in entries}


def _of_plugin(of: PluginKinds) -> Callable[[str], Schema]:
    def schema_of(kind: str) -> Schema:
        cls = of.load(kind).Settings
        return _object(written_settings(cls), cls, kind={"const": kind})

    return schema_of


def _default(value: Any) -> Any:
    """Return a default without what is the default of its own class."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        usual = {name: one.default for name, one in settings_of(type(value)).items()}
        changed = {key: one for key, one in vars(value).items() if one != usual[key]}
        return {key: _default(one) for key, one in changed.items()}
    if isinstance(value, Mapping):
        return {key: _default(one) for key, one in value.items()}
    return plain(value)


def _descriptions(cls: type[Any]) -> dict[str, str]:
    """Return the texts below the fields of a class and of those that it extends."""
    found = {}
    for one in [one for one in reversed(cls.__mro__) if one is not object]:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(definition, ast.ClassDef)
        for field, below in pairwise(definition.body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                found[ast.unparse(field.target)] = " ".join(ast.literal_eval(below.value).split())
    return found


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    print(f"wrote {PATH}")
