"""The section of images: those that a method fixed or broke, and every corruption and severity."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lpclip.errors import LpclipError
from lpclip.reporting.page.robustness import SOURCES
from lpclip.storage.json_text import parse_json

_EXAMPLES = {"examples": SOURCES["generated"], "official_examples": SOURCES["official"]}
# What `lpclip pictures` writes; nothing else may stand where a page loads an image from.
_IMAGE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/]+=*")


def read_pictures(path: Path) -> dict[str, Any]:
    """Read the pictures of one benchmark with one model that `lpclip pictures` wrote.

    Raises:
        LpclipError: not such a file, or an image in it is no PNG or JPEG within the file.
    """
    try:
        pictures = parse_json(path.read_text(encoding="utf-8"))
        for image in _images(pictures):
            if not _IMAGE.fullmatch(image):
                raise LpclipError(f"{path}: '{image[:40]}…' is no PNG or JPEG within the file.")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LpclipError(f"{path}: not a readable file of pictures ({error}).") from error
    found: dict[str, Any] = pictures
    return found


def section(pictures: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the section shows; a sentence where the test set has no images."""
    if pictures is None:
        return {
            "changes": [],
            "examples": [],
            "why_none": "There are none to show: the test set holds precomputed features.",
        }
    shown = [
        {
            "made": made,
            "images": pictures[key],
            "severities": sorted({severity for one in pictures[key] for severity in one["images"]}),
            # Of the published files' image there may be no clean one.
            "clean": pictures["clean"] if key == "examples" else "",
        }
        for key, made in _EXAMPLES.items()
        if pictures[key]
    ]
    return {"changes": pictures["changes"], "examples": shown, "why_none": ""}


def _images(pictures: Mapping[str, Any]) -> Iterator[str]:
    if pictures["clean"]:
        yield pictures["clean"]
    for key in _EXAMPLES:
        for example in pictures[key]:
            yield from example["images"].values()
    for change in pictures["changes"]:
        for image in (*change["fixed"], *change["broken"]):
            yield image["image"]
