"""Methods of a configuration, and those that are run where it names none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lpclip.methods.recommended import SELF_TRAINING
from lpclip.methods.registry import GUARDED, kinds, load_method
from lpclip.utils.settings import REQUIRED, Setting, arguments, written_settings

DEFAULT: Mapping[str, Mapping[str, Any]] = {
    "zero_shot": {"kind": "zero_shot"},
    **{name: {"kind": "self_training", **one} for name, one in SELF_TRAINING.items()},
    "lp_clip_guarded": {"kind": "guarded"},
}


@dataclass(frozen=True)
class Method:
    """A method as it is written: other methods and labellings by their names."""

    kind: str  # a module of ``lpclip.methods.kinds``, or a plugin
    settings: Mapping[str, Any]  # all of the kind that a configuration holds, with every default

    @property
    def base(self) -> str | None:
        """Name of the method that this one is made from."""
        return self.settings.get("method")

    @property
    def candidates(self) -> Sequence[str]:
        """Names of the methods of which one may be shipped; none unless it is guarded."""
        named: Sequence[str] = self.settings["candidates"] if self.kind == GUARDED else ()
        return named

    @property
    def labelling(self) -> str | None:
        """Name of the labelling that it learns."""
        return self.settings.get("labelling")

    @classmethod
    def from_settings(
        cls, given: Mapping[str, Any], *, where: str, path: Sequence[Any]
    ) -> "Method":
        """Check ``kind`` and the settings of that kind."""
        rest = dict(given)
        first = {"kind": rest.pop("kind")} if "kind" in rest else {}
        setting = {"kind": Setting(Literal[kinds(asked=first.get("kind"))], REQUIRED)}
        kind = arguments(setting, first, where=where, path=path)["kind"]
        known = written_settings(load_method(kind).Settings)
        checked = arguments(known, rest, where=where, path=path)
        return cls(kind, {name: checked.get(name, one.default) for name, one in known.items()})


def default_methods(*, where: str) -> dict[str, Method]:
    """Return the methods that are run where a configuration, called so in errors, names none."""
    return {
        name: Method.from_settings(given, where=where, path=("methods", name))
        for name, given in DEFAULT.items()
    }
