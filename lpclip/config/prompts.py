"""Class names, templates and prompts: from what a configuration names to the texts themselves.

Files are read here, before the first job, so that what is in them is part of the settings of the
stages that use it: an edited file runs these again and no others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpclip.config.schema import Benchmark
from lpclip.errors import LpclipError, did_you_mean
from lpclip.storage.json_text import parse_json
from lpclip.storage.text_tables import read_text
from lpclip.utils.packages import zero_shot_metadata
from lpclip.utils.settings import located

IMAGENET = "imagenet"
N_IMAGENET = 1000
_TEMPLATES = {"openai_imagenet": "OPENAI_IMAGENET_TEMPLATES", "simple": "SIMPLE_IMAGENET_TEMPLATES"}

# Placeholders of the name: here, in OpenAI's notebooks, in other projects.
_PLACES = ("{}", "{c}", "{classname}")
_LIKE_A_PLACE = re.compile(r"\{[^{}]*\}|<[^<>]*>|\[[^\[\]]*\]|%s|\$\w+")


@dataclass(frozen=True)
class Texts:
    """Texts of a benchmark, read from where they are."""

    class_names: Sequence[str] | None  # None where the file of text features has to hold them
    templates: Sequence[str] | None  # sentences with {} in the place of a name
    prompts: Sequence[Sequence[str]] | None  # of every class, in the order of the names


def read_texts(name: str, benchmark: Benchmark) -> Texts:
    """Read class names, templates and prompts from the files and sets that hold them.

    Names may be left out where prompts are given: then they are those of the file.

    Raises:
        LpclipError: a file that cannot be read, an unknown set, empty or repeated names, names of
            which templates make the same text, a template without ``{}``, or prompts that are not
            those of the classes.
    """
    where, given = f"configuration: benchmarks.{name}", benchmark.class_names
    names = None if given is None else _class_names(f"{where}.class_names", given)
    templates = prompts = None
    if benchmark.templates is not None:
        if names is not None and given != IMAGENET:
            _check_alike(f"{where}.class_names", names)
        templates = _templates(f"{where}.templates", benchmark.templates)
    if benchmark.prompts is not None:
        found = _prompts(f"{where}.prompts", benchmark.prompts)
        names = list(found) if names is None else names
        _check_same(f"{where}.prompts: {benchmark.prompts}", found, names)
        prompts = [found[class_name] for class_name in names]
    return Texts(names, templates, prompts)


def _class_names(where: str, given: str | Sequence[str]) -> list[str]:
    if given == IMAGENET:
        # As published: two pairs of classes share a name.
        return list(zero_shot_metadata()["IMAGENET_CLASSNAMES"])
    place, names = _lines(where, given, {IMAGENET})
    if len(names) < 2:
        raise LpclipError(f"{where} needs two names or more, one per class.")
    _check_texts(place, "name", names)
    return names


def _templates(where: str, given: str | Sequence[str]) -> list[str]:
    if isinstance(given, str) and given in _TEMPLATES:
        return [template("{}") for template in zero_shot_metadata()[_TEMPLATES[given]]]
    place, lines = _lines(where, given, set(_TEMPLATES))
    if not lines:
        raise LpclipError(f"{place} holds no template.")
    _check_texts(place, "template", lines)
    templates = [_template(place, line) for line in lines]
    _check_texts(place, "template", templates)
    return templates


def _template(place: str, line: str) -> str:
    """Return a template with ``{}`` in place of ``{c}`` and ``{classname}``."""
    if line.lstrip().startswith("lambda "):
        raise LpclipError(
            f"{place}: '{line}' is Python code. Give the sentence alone, with {{}} in the place of "
            "the name."
        )
    template = line
    for name in _PLACES[1:]:
        template = template.replace(name, "{}")
    if "{}" in template:
        return template
    near = _LIKE_A_PLACE.sub("{}", line)
    meant = f" Did you mean '{near}'?" if near != line else ""
    raise LpclipError(
        f"{place}: '{line}' is not a template: it needs {{}} in the place of the name.{meant}"
    )


def _check_alike(where: str, names: Sequence[str]) -> None:
    """Refuse names that differ in case or spaces alone, of which tokenizers make one text."""
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        first = seen.setdefault(" ".join(name.split()).lower(), number)
        if first != number:
            raise LpclipError(
                f"{where}: names {first} and {number} ('{names[first - 1]}', '{name}') differ in "
                "case or spaces alone, so that templates make one text of them. Write what "
                "distinguishes the classes, such as 'capital A'."
            )


def _lines(where: str, given: str | Sequence[str], sets: set[str]) -> tuple[str, list[str]]:
    """Return where texts are, and the texts: a list, or the lines of a file up to the last text."""
    if not isinstance(given, str):
        return where, list(given)
    if not Path(given).is_file():
        raise LpclipError(
            f"{where} is '{given}', which is neither a file nor a named set. "
            f"{did_you_mean(given, sets)}"
        )
    with located(where):
        lines = read_text(Path(given)).rstrip().split("\n")
    return f"{where} ({given})", [line.strip() for line in lines]


def _check_texts(where: str, what: str, texts: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise LpclipError(f"{where}: {what} {number} is empty.")
        first = seen.setdefault(text.strip(), number)
        if first != number:
            hint = ""
            if what == "name" and len(texts) == N_IMAGENET:
                hint = (
                    " If these are ImageNet's classes in their usual order, two of whose names "
                    "occur twice, give class_names: imagenet."
                )
            raise LpclipError(
                f"{where} has the {what} '{text}' twice ({first} and {number}).{hint}"
            )


def _prompts(where: str, path: str) -> dict[str, list[str]]:
    if not Path(path).is_file():
        raise LpclipError(f"{where}: the file '{path}' does not exist.")

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        _check_texts(f"{where}: {path}", "class", [key for key, _ in pairs])
        return dict(pairs)

    with located(where):
        text = read_text(Path(path))
    try:
        prompts = parse_json(text, pairs=once)
    except ValueError as error:
        raise LpclipError(f"{where}: {path} is not valid JSON: {error}.") from error
    if not isinstance(prompts, dict):
        raise LpclipError(f"{where}: {path} holds no object of class names with descriptions.")
    for name, texts in prompts.items():
        place = f"{where}: {path}: '{name}'"
        listed = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        if not listed or not texts:
            raise LpclipError(f"{place} needs a list of one description or more.")
        _check_texts(place, "description", texts)
        for text in texts:
            if any(name in text for name in _PLACES):
                raise LpclipError(
                    f"{place}: '{text}' is a template, but descriptions are taken as they are. Put "
                    "the name in, or give it under 'templates'."
                )
    return prompts


def _check_same(where: str, prompts: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name not in prompts:
            raise LpclipError(
                f"{where} has no descriptions of class '{name}'. {did_you_mean(name, prompts)}"
            )
    for name in prompts:
        if name not in names:
            raise LpclipError(
                f"{where} describes '{name}', which is not among the class names. "
                f"{did_you_mean(name, names)}"
            )
