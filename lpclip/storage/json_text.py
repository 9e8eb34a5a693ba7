"""JSON text from any source."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Pairs = list[tuple[str, Any]]


def parse_json(
    text: str | bytes, *, pairs: Callable[[Pairs], Any] | None = None, finite: bool = False
) -> Any:
    """Return the value of a JSON text.

    ``pairs`` builds the value of an object, see ``object_pairs_hook`` of ``json.loads``; ``finite``
    refuses NaN and Infinity, which are not JSON, although Python accepts them.

    Raises:
        ValueError: it is not JSON, or nested too deeply for Python.
    """
    try:
        constant = _refuse if finite else None
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file; return an empty one if the file is missing or damaged."""
    try:
        found = parse_json(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")
