"""Plugins on the command line: those of a stage's settings, and what help says of them."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from lpclip.errors import LpclipError
from lpclip.utils import plugins


class _Kinds(NamedTuple):
    """The kinds of which a stage runs one."""

    group: str
    own: Callable[[], Iterable[str]]
    settings: Callable[[str], Callable[..., Any]]  # class or function whose settings are a kind's


def use_plugins(settings: Mapping[str, Any]) -> None:
    """Load the files that the settings of a stage name.

    Raises:
        LpclipError: no list of paths, or a file that cannot be used.
    """
    files = settings.get("plugins", [])
    if not isinstance(files, list) or not all(isinstance(one, str) for one in files):
        raise LpclipError("--settings: plugins is a list of paths of Python files.")
    plugins.use(files)


def installed() -> str:
    """Return a paragraph on the kinds that installed packages add; empty where there are none."""
    found = [
        f"  {group.called:12}{plugin.name} ({plugin.origin[0].lower()}{plugin.origin[1:]})"
        for name, group in plugins.GROUPS.items()
        for plugin in plugins.kinds(name, ()).values()
    ]
    return "\n".join(["Kinds that plugins add:", *found, "\n"]) if found else ""


def kinds_help(command: str) -> str:
    """Return the kinds of which a stage runs one, with the settings of those of plugins."""
    if command not in _of_stages():
        return ""
    group, own, settings_of_kind = _of_stages()[command]
    names = sorted(own())
    lines = [f"Kinds of {plugins.GROUPS[group].called}: {', '.join(names)}."]
    for name, plugin in plugins.kinds(group, names).items():
        lines.append(f"  {name} ({plugin.origin}): {_settings(settings_of_kind(name))}")
    return "\n".join(lines)


def _settings(target: Callable[..., Any]) -> str:
    from lpclip.utils.settings import REQUIRED, settings_of

    shown = [
        f"{name}: {'required' if one.default is REQUIRED else json.dumps(one.default, default=str)}"
        for name, one in settings_of(target).items()
    ]
    return ", ".join(shown) or "no settings"


def _of_stages() -> Mapping[str, _Kinds]:
    from lpclip.data import registry as sources
    from lpclip.evaluation.ood_scores import SCORE_KINDS
    from lpclip.methods import registry as methods

    of_scores = _Kinds(
        "scores", lambda: SCORE_KINDS.taken, lambda kind: SCORE_KINDS.load(kind).Settings
    )
    of_sources = _Kinds("sources", sources.own_kinds, sources.source_class)
    return {
        **dict.fromkeys(("index-samples", "embed-images"), of_sources),
        **dict.fromkeys(("evaluate-ood", "evaluate-held-out"), of_scores),
        "train-probe": _Kinds(
            "methods", methods.own_kinds, lambda kind: methods.load_method(kind).Settings
        ),
    }
