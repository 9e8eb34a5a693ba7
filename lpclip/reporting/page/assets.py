"""What the workflow reads of the page before it is made: its templates and what it shows."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
TEMPLATES = _FOLDER / "templates"
HEAD = _FOLDER.parent / "templates/head.html"  # of every HTML page
_NOT_SHOWN = ("compute", "explorer")  # they change no result
_LONGEST_LIST = 40  # a thousand class names are unreadable, and fit in no command line


def style() -> str:
    """Return the style sheet, which goes into the page."""
    return (_FOLDER / "page.css").read_text(encoding="utf-8")


@cache
def assets_hash() -> str:
    """Return the hash, 16 hexadecimal digits, of all templates and the style sheet."""
    digest = sha256(style().encode())
    for path in (HEAD, *sorted(TEMPLATES.glob("*.html"))):
        digest.update(f"{path.name}\0{path.read_text(encoding='utf-8')}\0".encode())
    return digest.hexdigest()[:16]


def shown_configuration(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without what changes no result; long lists are cut.

    >>> shown_configuration({"seeds": list(range(50)), "compute": {}})["seeds"][-2:]
    [9, '… and 40 more']
    """
    shown = {key: _cut(value) for key, value in configuration.items() if key not in _NOT_SHOWN}
    for dataset in shown.get("datasets", {}).values():
        dataset.pop("rows_per_shard", None)
    return shown


def _cut(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _cut(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_cut(item) for item in value]
        if len(items) > _LONGEST_LIST:
            return [*items[:10], f"… and {len(items) - 10} more"]
        return items
    return value
