"""Sweeps in the JSON schema: in the place of a value a list of values of the same type."""

from typing import Any

from lpclip.config.sweep_grid import SECTIONS, SWEEP

_ABOUT = ("description", "default")  # of a setting, however it is written

_ANY = {
    "type": "object",
    "additionalProperties": False,
    "required": [SWEEP],
    "properties": {SWEEP: {"type": "array", "minItems": 1, "uniqueItems": True}},
}


def allow_sweeps(schema: dict[str, Any]) -> None:
    """Change the schema of a configuration so that it allows sweeps where the code does."""
    schema["$defs"] = {SWEEP: _ANY}
    for section in SECTIONS:
        entry = schema["properties"][section]["additionalProperties"]
        place = f"#/properties/{section}/additionalProperties"
        _allow_inside(entry, place)
        for number, kind in enumerate(entry.get("allOf", ())):
            _allow_inside(kind["then"], f"{place}/allOf/{number}/then")


def _allow_inside(schema: dict[str, Any], place: str) -> None:
    """Change every setting of a mapping but its kind; ``place`` is a JSON pointer to it."""
    settings = schema.get("properties", {})
    for name, setting in settings.items():
        if name == "kind":
            continue
        at = f"{place}/properties/{name}/anyOf/0"
        value = {key: part for key, part in setting.items() if key not in _ABOUT}
        _allow_inside(value, at)
        about = {key: part for key, part in setting.items() if key in _ABOUT}
        of_values = {"properties": {SWEEP: {"items": {"$ref": at}}}}
        settings[name] = {**about, "anyOf": [value, {"$ref": f"#/$defs/{SWEEP}", **of_values}]}
