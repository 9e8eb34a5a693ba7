"""The views of a pass: what one decoding of the images gives."""

from collections.abc import Iterable, Mapping
from typing import Any

from lpclip.columns.table import STANDARD_MEAN
from lpclip.config.checked import plain
from lpclip.config.kinds import Corruption
from lpclip.config.schema import Views
from lpclip.corruption_names import EXTRA, FAMILIES, OTHER, SEVERITIES, STANDARD

# Names that no corruption of a plugin can have: of passes, of views, and in reports.
TAKEN = (
    *("clean", "adapt", "weak", "strong", "natural", "mean", OTHER, STANDARD_MEAN),
    *FAMILIES,
    *STANDARD,
    *EXTRA,
)


def views_of_pass(
    name: str,
    settings: Views,
    official: Iterable[str],
    plugins: Mapping[str, Corruption],
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the views of a pass with their settings, and the code that makes them at random.

    Args:
        name: of the pass.
        settings: views of the dataset.
        official: published corruptions that the dataset has.
        plugins: corruptions that they add, by name.
    """
    if official:
        read = {"official": True, "severities": list(SEVERITIES)}
        return {one: read for one in FAMILIES[name] if one in official}, []
    if name == "clean":
        return {"clean": {}}, []
    if name == "adapt":
        flips = list(settings.flips)
        views = {
            kind: {**plain(getattr(settings, kind)), "flips": flips} for kind in ("weak", "strong")
        }
        made_by = [one.code for one in (settings.weak.made_by, settings.strong.made_by) if one]
        return views, ["lpclip.utils.rng", "lpclip.transforms.views.policies", *made_by]
    corruptions = plain(settings.corruptions)
    registry = ["lpclip.utils.rng", "lpclip.transforms.corruptions.registry"]
    if name in plugins:
        kind, severities = plugins[name], corruptions["severities"]
        view = {"kind": kind.kind, "settings": plain(kind.settings), "severities": severities}
        return {name: view}, [*registry, kind.code]
    family = f"lpclip.transforms.corruptions.{name}"
    return dict.fromkeys(FAMILIES[name], corruptions), [*registry, family]
