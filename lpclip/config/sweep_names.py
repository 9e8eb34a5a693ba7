"""Names of the points of a sweep, made from what differs: readable, unique, and stable.

The name of a point depends on its own values and on which settings are varied, not on the other
values, so that a further value re-runs nothing that is there.
"""

import json
import re
from collections.abc import Collection, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

# Characters of a value, and of all that is put after the name of the entry: names are parts of
# paths.
_MOST_OF_VALUE, _MOST = 32, 120
_ALLOWED = r"[^A-Za-z0-9._-]+"


def point_name(entry: str, varied: Sequence[tuple[str, Any]], settings: Collection[str]) -> str:
    """Return the name of a point.

    Args:
        entry: name of the entry as it is written.
        varied: setting and value; settings are keys from the outside in, separated by dots.
        settings: all that are varied in the entry.

    >>> point_name("lp_clip", [("method.optimisation.learning_rate", 1e-4)], {"method.rounds"})
    'lp_clip_learning_rate_1e-4'
    """
    texts = [f"{short_key(setting, settings)}_{value_text(value)}" for setting, value in varied]
    return f"{entry}_{_cut('_'.join(texts), _MOST)}"


def short_key(setting: str, settings: Collection[str]) -> str:
    """Return the shortest end of a setting that is the end of no other.

    >>> short_key("method.a.size", {"method.a.size", "method.b.size", "labelling.prior"})
    'a.size'
    """
    keys = setting.split(".")
    others = [one.split(".") for one in settings if one != setting]
    for n in range(1, len(keys)):
        end = keys[-n:]
        # The place of a value in a list means nothing without the name of the list.
        if not end[0].isdecimal() and all(one[-n:] != end for one in others):
            return ".".join(end)
    return setting


def value_text(value: Any) -> str:
    """Return a value as a part of a name.

    >>> [value_text(one) for one in (1e-4, 0.5, 3, True, "both", ["stata", "inmap"])]
    ['1e-4', '0.5', '3', 'true', 'both', 'stata-inmap']
    """
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float) and value and not 1e-2 <= abs(value) < 1e6:
        digits = format(Decimal(repr(value)).normalize(), "e")
        return digits.replace("+", "").lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, list) and value and not any(isinstance(one, list | dict) for one in value):
        return _cut("-".join(map(value_text, value)), _MOST_OF_VALUE)
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return _cut(text, _MOST_OF_VALUE)


def _cut(text: str, most: int) -> str:
    """Return text that can be a part of a path: with a hash where something was left out."""
    clean = re.sub(_ALLOWED, "-", text).strip("-") if re.search(_ALLOWED, text) else text
    if clean == text and 0 < len(text) <= most:
        return text
    digest = sha256(text.encode()).hexdigest()[:6]
    return f"{clean[: most - 7].rstrip('-')}-{digest}".lstrip("-")
