"""Configuration files as they are written: refuse what YAML reads differently from how it looks.

Snakemake hands over what YAML made of the text, when a name that stands twice has already lost its
first value and ``010`` is already 8. So the text is checked as well.
"""

import json
import re
from collections.abc import Hashable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lpclip.errors import LpclipError

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_CALLED = {
    **{"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"},
    "timestamp": "a date",
}
_PLAIN_INT = re.compile(r"[-+0-9][0-9a-fA-FxXbB_:]*")
# Mappings whose keys are no names of the configuration, but of folders that may be numbers.
_NUMBERS_ALLOWED = ("class_map",)


def check_files(paths: Iterable[str | Path]) -> None:
    """Refuse configuration files that YAML or JSON read differently from how they look.

    Raises:
        LpclipError: names the file, the line and what is there: a key twice, a name that is read
            as a number, a date or nothing, a date anywhere, a whole number in another notation.
    """
    for path in map(Path, paths):
        try:
            _check_text(path, path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise LpclipError(f"{path} is no UTF-8 text. Save it as UTF-8.") from error
        except RecursionError as error:
            raise LpclipError(f"{path} is nested too deeply.") from error
        except yaml.YAMLError as error:
            raise LpclipError(f"{path} is not valid YAML: {error}") from error


def _check_text(path: Path, text: str) -> None:
    with suppress(ValueError):
        json.loads(text, object_pairs_hook=partial(_without_repeats, path))
        return  # Snakemake, too, tries JSON first
    if "__use_yte__" in text:
        return  # a template, whose keys are its own
    for node, inside in _nodes(yaml.compose(text, yaml.SafeLoader)):
        if isinstance(node, yaml.MappingNode):
            _check_keys(path, node, inside)
        elif isinstance(node, yaml.ScalarNode):
            _check_scalar(path, node)


def _without_repeats(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise LpclipError(f"{path} has the key '{key}' twice in one place. Remove one.")
        found[key] = value
    return found


def _nodes(root: yaml.Node | None) -> Iterator[tuple[yaml.Node, str]]:
    """Yield every node once, however often it is referred to, with the key of its value."""
    pending, seen = [(root, "")], set[int]()
    while pending:
        node, inside = pending.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node, inside
        if isinstance(node, yaml.MappingNode):
            pending.extend((value, str(key.value)) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            pending.extend((value, inside) for value in node.value)


def _check_keys(path: Path, node: yaml.MappingNode, inside: str) -> None:
    lines: dict[Hashable, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise LpclipError(f"{path}, line {line}: a key must be text.")
        if key.tag not in (_TEXT, _MERGE):
            kind = key.tag.rpartition(":")[2]
            plain = kind == "int" and key.value.isdecimal() and str(int(key.value)) == key.value
            if not (plain and inside in _NUMBERS_ALLOWED):
                raise LpclipError(
                    f"{path}, line {line}: YAML reads the name {key.value or '(empty)'} as "
                    f"{_CALLED.get(kind, f'a {kind}')}. Put it in quotes: '{key.value}'"
                )
        if key.value in lines and key.tag != _MERGE:  # of several merges none is lost
            raise LpclipError(
                f"{path} has the key '{key.value}' twice, in lines {lines[key.value]} and {line}; "
                "YAML would take the second alone. Remove one."
            )
        lines[key.value] = line


def _check_scalar(path: Path, node: yaml.ScalarNode) -> None:
    kind, text = node.tag.rpartition(":")[2], node.value
    where = f"{path}, line {node.start_mark.line + 1}"
    if kind == "timestamp":
        raise LpclipError(f"{where}: YAML reads {text} as a date. Put it in quotes: '{text}'")
    if kind != "int" or not _PLAIN_INT.fullmatch(text):
        return
    value = yaml.safe_load(text)
    if text.lstrip("+-") != str(value).lstrip("-"):
        raise LpclipError(
            f"{where}: YAML reads {text} as the number {value}. Write {value} if you mean it, "
            f"else put it in quotes: '{text}'"
        )
