"""Plugins of a configuration: find the files that it names, and refuse names that collide."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from lpclip.config.schema import WHERE, Names
from lpclip.data.registry import own_kinds as own_sources
from lpclip.errors import LpclipError
from lpclip.evaluation.ood_scores import SCORE_KINDS
from lpclip.methods.registry import own_kinds as own_methods
from lpclip.transforms.corruptions.registry import CORRUPTION_KINDS
from lpclip.transforms.views.policies import VIEW_KINDS
from lpclip.utils import plugins
from lpclip.utils.settings import convert

_OWN: Mapping[str, Callable[[], Collection[str]]] = {
    "sources": own_sources,
    "methods": own_methods,
    "scores": lambda: SCORE_KINDS.taken,
    "corruptions": lambda: CORRUPTION_KINDS.taken,
    "views": lambda: VIEW_KINDS.taken,
}


def use_plugins(given: Mapping[str, Any], files: Iterable[str | Path] = ()) -> None:
    """Load the plugins that a configuration names, for this process.

    Args:
        given: the configuration.
        files: that it was read from.

    Raises:
        LpclipError: a value that is no list of texts, a file that cannot be used, or kinds of one
            name. Installed packages are looked up only where files are named.
    """
    named = convert(Names, given.get("plugins", ()), where=WHERE, path=("plugins",))
    if not named:
        return
    folders = [Path(file).parent for file in files]
    plugins.use(_found(name, folders) for name in named)
    for group, own in _OWN.items():
        plugins.kinds(group, own())


def _found(name: str, folders: list[Path]) -> str:
    """Return the path of a plugin as commands receive it: from the working directory.

    So a project can be moved; a plugin outside of it has an absolute path. The file of a
    configuration that was read last comes first.
    """
    candidates = [folder / name for folder in (*reversed(folders), Path())]
    path = next((one for one in candidates if one.is_file()), None)
    if path is None:
        looked = ", ".join(dict.fromkeys(map(str, candidates)))
        raise LpclipError(
            f"configuration: plugins names '{name}', which is not there (looked for: {looked})."
        )
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative
