"""The views of a pass: what one decoding of the images gives."""

from collections.abc import Iterable
from typing import Any

from lpclip.config.checked import plain
from lpclip.config.schema import Views
from lpclip.corruption_names import FAMILIES, SEVERITIES


def views_of_pass(
    name: str, settings: Views, official: Iterable[str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the views of a pass with their settings, and the modules that make them at random."""
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
        return views, ["lpclip.utils.rng", "lpclip.transforms.views.policies"]
    corruptions = plain(settings.corruptions)
    return dict.fromkeys(FAMILIES[name], corruptions), [
        "lpclip.utils.rng",
        "lpclip.transforms.corruptions.registry",
        f"lpclip.transforms.corruptions.{name}",
    ]
