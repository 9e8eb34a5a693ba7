"""Parts of a configuration that are of a plugin's kind: its name, and that kind's settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from lpclip.errors import LpclipError, did_you_mean
from lpclip.utils.plugins import PluginKinds
from lpclip.utils.settings import arguments, at, written_settings


@dataclass(frozen=True)
class Kind:
    """A kind of a group of which lpclip has none of its own."""

    kind: str
    settings: Mapping[str, Any]  # all of the kind, with every default

    of: ClassVar[PluginKinds]

    @classmethod
    def from_settings(cls, given: Mapping[str, Any], *, where: str, path: Sequence[Any]) -> Self:
        """Check ``kind`` and the settings of that kind."""
        place, rest = at(where, path), dict(given)
        if "kind" not in rest:
            raise LpclipError(f"{place} lacks the setting 'kind'.")
        kind, known = rest.pop("kind"), cls.of.names()
        if kind not in known:
            advice = "Name its file under plugins, or install its package."
            raise LpclipError(
                f"{place}.kind is {kind!r}, which no plugin adds. "
                f"{did_you_mean(str(kind), known) if known else advice}"
            )
        settings = written_settings(cls.of.load(kind).Settings)
        checked = arguments(settings, rest, where=where, path=path)
        return cls(kind, {name: checked.get(name, one.default) for name, one in settings.items()})

    @property
    def code(self) -> str:
        """Return its code, as ``code_hash`` takes it."""
        return self.of.code_of(self.kind)
