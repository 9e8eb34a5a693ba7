"""Plugins: kinds that are not lpclip's own, of a file that is named or of an installed package.

A file adds what it defines, under its own name without ``.py``. A package names its modules by
entry points of the groups ``lpclip.methods`` and so on. Such a module holds what a module of one
of lpclip's own kinds holds; the registry of each group says what that is.

Packages are looked up only where a name is asked for that is not lpclip's own: this reads files of
all installed packages.
"""

import importlib
import keyword
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from lpclip.errors import LpclipError, did_you_mean


class Group(NamedTuple):
    """One sort of plugins."""

    defines: str  # what makes a module one of these
    called: str  # in the texts of errors


GROUPS: Mapping[str, Group] = {
    "sources": Group("Source", "image source"),
    "methods": Group("fit", "method"),
    "scores": Group("score", "OOD score"),
    "corruptions": Group("corrupt", "corruption"),
    "views": Group("view", "view"),
}


class Plugin(NamedTuple):
    """One kind that is not lpclip's own."""

    name: str
    code: str  # what ``code_hash`` takes: the path of a file, or the name of a module
    origin: str  # where it comes from, for people


_files: dict[str, tuple[str, ModuleType]] = {}  # path as given and module, by the name of the kind


def use(files: Iterable[str]) -> None:
    """Load the files of plugins, each once in a process.

    Raises:
        LpclipError: a file that is missing, cannot be loaded, defines nothing that a plugin can
            add, or has the name of another one.
    """
    for file in files:
        path = Path(file)
        other = _files.get(path.stem)
        if other is None:
            _files[path.stem] = file, _loaded(path)
        elif Path(other[0]).resolve() != path.resolve():
            raise LpclipError(
                f"The plugins {other[0]} and {file} have the same name, which their kinds would "
                "share. Rename one of the files."
            )


def used() -> tuple[str, ...]:
    """Return the files that this process has loaded, for ``use`` in another one."""
    return tuple(path for path, _ in _files.values())


def kinds(group: str, own: Collection[str], *, installed: bool = True) -> dict[str, Plugin]:
    """Return the kinds that plugins add, by name.

    Args:
        group: one of ``GROUPS``.
        own: names of lpclip's own kinds.
        installed: whether those of installed packages are among them.

    Raises:
        LpclipError: two kinds of one name.
    """
    called = GROUPS[group].called
    found = dict[str, Plugin]()
    for plugin in (*_of_files(group), *(_of_packages(group) if installed else ())):
        if plugin.name in own:
            raise LpclipError(
                f"{plugin.origin} adds the {called} '{plugin.name}', which lpclip has itself. Give "
                "it another name."
            )
        other = found.setdefault(plugin.name, plugin)
        if other.code != plugin.code:
            raise LpclipError(
                f"{other.origin} and {plugin.origin} both add the {called} '{plugin.name}'. Rename "
                "one, or do without it."
            )
    return found


def find(group: str, name: str, own: Collection[str]) -> Plugin | None:
    """Return a kind that a plugin adds; None for lpclip's own ones, and where there is none."""
    return kinds(group, own, installed=name not in own).get(name)


def names(group: str, own: Collection[str], *, asked: object = None) -> tuple[str, ...]:
    """Return the names of all kinds, sorted: installed packages are asked last.

    Args:
        group: one of ``GROUPS``.
        own: names of lpclip's own kinds.
        asked: what the names are compared with; where it is among lpclip's own ones, those of
            packages may be missing. None for all names.
    """
    return tuple(sorted({*own, *kinds(group, own, installed=asked not in own)}))


def load(group: str, plugin: Plugin) -> ModuleType:
    """Return the module of a kind.

    Raises:
        LpclipError: a package whose module cannot be imported or lacks what it has to define.
    """
    if plugin.name in _files and _files[plugin.name][0] == plugin.code:
        return _files[plugin.name][1]
    try:
        module = importlib.import_module(plugin.code)
    except Exception as error:
        raise LpclipError(
            f"{plugin.origin}: its module {plugin.code} cannot be imported: {_reason(error)}. "
            "Repair or remove the package."
        ) from error
    if not hasattr(module, GROUPS[group].defines):
        raise LpclipError(
            f"{plugin.origin}: its module {plugin.code} lacks {GROUPS[group].defines}, which adds "
            f"the {GROUPS[group].called}. See docs/extend.md."
        )
    return module


@dataclass(frozen=True)
class PluginKinds:
    """The kinds of a group of which lpclip has none of its own: each has Settings and a function.

    Attributes:
        group: one of ``GROUPS``.
        taken: names that no kind can have.
    """

    group: str
    taken: tuple[str, ...]

    def names(self) -> tuple[str, ...]:
        """Return the names of all kinds, sorted."""
        return tuple(sorted(kinds(self.group, self.taken)))

    def load(self, kind: str) -> Any:
        """Return the module of a kind.

        Raises:
            LpclipError: no plugin adds it, or it has no class of settings.
        """
        plugin = self._find(kind)
        module = load(self.group, plugin)
        check_settings_class(plugin, getattr(module, "Settings", None))
        return module

    def code_of(self, kind: str) -> str:
        """Return the code of a kind, as ``code_hash`` takes it."""
        return self._find(kind).code

    def _find(self, kind: str) -> Plugin:
        plugin = find(self.group, kind, self.taken)
        if plugin is None:
            called = GROUPS[self.group].called
            raise LpclipError(
                f"No plugin adds the {called} '{kind}'. {did_you_mean(kind, self.names())}"
            )
        return plugin


def check_settings_class(plugin: Plugin, found: object) -> None:
    """Refuse a plugin without a class of settings."""
    if not (isinstance(found, type) and is_dataclass(found)):
        raise LpclipError(
            f"{plugin.origin} needs a class Settings, decorated with "
            "lpclip.utils.settings.settings_class. See docs/extend.md."
        )


def files_of(codes: Iterable[str]) -> list[str]:
    """Return what is a plugin's file among names of modules and paths of files, sorted."""
    return sorted({code for code in codes if code.endswith(".py")})


def _loaded(path: Path) -> ModuleType:
    if path.suffix != ".py":
        raise LpclipError(f"The plugin {path} is no Python file: its name has to end in .py.")
    if not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise LpclipError(
            f"The plugin {path} cannot give its name to a kind: use letters, digits and '_', the "
            "first one a letter."
        )
    name = f"lpclip_plugin_{path.stem}"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise LpclipError(
            f"The plugin {path} cannot be read ({error.strerror}). Check the key plugins."
        ) from error
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # where typing and inspect look for it
    try:
        # Not by its loader, which would leave a folder of compiled code next to the file.
        exec(compile(text, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        line = _line_in(path, error)
        raise LpclipError(f"The plugin {path} cannot be loaded{line}: {_reason(error)}.") from error
    if not any(_adds(module, one) for one in GROUPS.values()):
        needed = ", ".join(f"{one.defines} ({one.called})" for one in GROUPS.values())
        raise LpclipError(
            f"The plugin {path} adds nothing. It has to define one of: {needed}. See "
            "docs/extend.md."
        )
    return module


def _adds(module: ModuleType, group: Group) -> bool:
    """Return whether a file defines, and not only imports, what makes it a plugin of a group."""
    found = getattr(module, group.defines, None)
    return getattr(found, "__module__", None) == module.__name__


def _of_files(group: str) -> Iterator[Plugin]:
    for name, (path, module) in _files.items():
        if _adds(module, GROUPS[group]):
            yield Plugin(name, path, f"The plugin {path}")


@cache
def _of_packages(group: str) -> Sequence[Plugin]:
    return [
        Plugin(one.name, one.value, f"The package {one.dist.name if one.dist else one.value}")
        for one in entry_points(group=f"lpclip.{group}")
    ]


def _line_in(path: Path, error: BaseException) -> str:
    """Return the line of a file at which an error was raised, in words."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return f", line {lines[-1]}" if lines else ""


def _reason(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())}".rstrip(": .")
