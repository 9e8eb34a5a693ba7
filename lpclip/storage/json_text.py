"""JSON text of any origin."""

import json
from collections.abc import Callable
from typing import Any

Pairs = list[tuple[str, Any]]


def parse_json(
    text: str | bytes, *, pairs: Callable[[Pairs], Any] | None = None, finite: bool = False
) -> Any:
    """The value of a JSON text.

    Args:
        text: the text.
        pairs: makes the value of an object of its keys and values, see ``json.loads``.
        finite: refuse NaN and Infinity, which are no JSON, but which Python takes.

    Raises:
        ValueError: it is none, or is nested deeper than Python follows.
    """
    try:
        constant = _refuse if finite else None
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")
