"""Differences between two JSON values, in words."""

import json
from collections.abc import Iterator
from typing import Any

_LONGEST = 60  # characters of a value that is shown


def differences(before: Any, now: Any, *, where: str = "") -> Iterator[str]:
    """Yield the differences between two JSON values, objects key by key.

    >>> list(differences({"a": {"b": 0.7}, "c": 1}, {"a": {"b": 0.5}, "c": 1}))
    ['a.b: 0.7, not 0.5']
    """
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            place = f"{where}.{key}" if where else key
            yield from differences(before.get(key), now.get(key), where=place)
    else:
        yield f"{where}: {_brief(before)}, not {_brief(now)}"


def _brief(value: Any) -> str:
    text = "unset" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}…"
