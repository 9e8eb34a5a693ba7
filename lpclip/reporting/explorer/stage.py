"""The stage ``explorer``: every image as a point on a map, in one HTML file."""

import base64
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lpclip.evaluation.layout_settings import MOST_POINTS
from lpclip.reporting.explorer import inline
from lpclip.reporting.explorer.assets import TEMPLATES, library, scripts, style
from lpclip.reporting.explorer.points import Pair, files_by_content, read_pair, shown
from lpclip.reporting.page.assets import HEAD
from lpclip.storage.thumbnails import COLUMNS, PER_SHEET, Thumbnails, read_thumbnails
from lpclip.types import OutputFile
from lpclip.utils.atomic import atomic_path
from lpclip.utils.settings import Count
from lpclip.utils.templates import templates
from lpclip.utils.thinning import shares

log = logging.getLogger(__name__)

# Characters of base64 text: what is beyond is thinned out.
MOST_NUMBERS, MOST_PICTURES = 16e6, 21e6


def explorer(
    *,
    layouts: Sequence[Path],
    probes: Sequence[Path],
    features: Sequence[Path],
    output: OutputFile,
    samples: Sequence[Path] = (),
    thumbnails: Sequence[Path] = (),
    points: Count = MOST_POINTS,
) -> None:
    """Write the images of all benchmarks and models as one HTML file.

    Args:
        layouts: of every model and benchmark.
        probes: of every method, in the order in which the page lists them.
        features: feature caches with the clean views of all sets in the layouts.
        output: the page.
        samples: indices of sets whose labels are used: what is right or wrong, fixed or broken.
            Without them the page shows none of that.
        thumbnails: files of ``lpclip thumbnails``; sets without one have no pictures.
        points: at most so many of all layouts together; fewer where the numbers of many methods
            would take more than 16 MB.

    Raises:
        LpclipError: features of a dataset, or probes of a layout, are not given.
    """
    pairs = [read_pair(path, probes) for path in layouts]
    counts = shares([len(pair.layout.points) for pair in pairs], points)
    wanted = sum(n * pair.point_bytes for n, pair in zip(counts, pairs, strict=True)) * 4 / 3
    factor = min(1.0, MOST_NUMBERS / max(wanted, 1))
    pairs = [pair.thinned(int(n * factor)) for n, pair in zip(counts, pairs, strict=True)]
    pictures = {(one.dataset, one.index): one for one in map(read_thumbnails, thumbnails)}
    files = files_by_content(features, samples)
    datasets = _datasets(pairs)
    sheets = _sheets(datasets, pictures)
    blocks = [
        shown(pair, files, [list(datasets).index(key) for key in _keys(pair)]) for pair in pairs
    ]
    about = {
        "version": version("lpclip"),
        "pairs": [block["title"] for block in blocks],
        "datasets": [
            {"name": key[0], **listed, **_about(pictures.get(key), len(sheets[key]))}
            for key, listed in datasets.items()
        ],
        "perSheet": PER_SHEET,
        "columns": COLUMNS,
    }
    text = (
        templates(TEMPLATES, HEAD.parent, html=True)
        .get_template("explorer.html")
        .render(
            version=version("lpclip"),
            css=Markup(style()),
            library=Markup(library()),
            scripts=Markup(scripts()),
            about=Markup(inline.script_json(about)),
            blocks=[Markup(inline.script_json(block)) for block in blocks],
            sheets={
                f"sheet-{number}-{place}": Markup(sheet)
                for number, key in enumerate(datasets)
                for place, sheet in enumerate(sheets[key])
            },
        )
    )
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    n = sum(len(pair.layout.points) for pair in pairs)
    log.info("%d points, %.1f MB", n, len(text.encode()) / 1e6)


def _keys(pair: Pair) -> list[tuple[str, str]]:
    return [(str(one["dataset"]), str(one["index"])) for one in pair.layout.datasets]


def _datasets(pairs: Sequence[Pair]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return name and index of every dataset -> ids and paths of its points, in their order.

    Layouts keep the first images of one order: of several, the longest list holds all others.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in pairs:
        points = pair.layout.points
        for place, key in enumerate(_keys(pair)):
            own = points[points["dataset"] == place]
            if key not in found or len(own) > len(found[key]["paths"]):
                ids, paths = own["id"].tolist(), own["path"].tolist()
                found[key] = {"paths": paths, **({} if ids == paths else {"ids": ids})}
    return found


def _sheets(
    datasets: Mapping[tuple[str, str], Mapping[str, Any]],
    pictures: Mapping[tuple[str, str], Thumbnails],
) -> dict[tuple[str, str], list[str]]:
    """Return the sheets of each dataset as base64, in turn until they take too much."""
    chosen: dict[tuple[str, str], list[str]] = {key: [] for key in datasets}
    left = MOST_PICTURES
    most = max((len(one["paths"]) for one in datasets.values()), default=0)
    for number in range(-(-most // PER_SHEET)):
        for key, listed in datasets.items():
            found = pictures.get(key)
            needed = number * PER_SHEET < len(listed["paths"])
            if found is None or not needed or number >= len(found.sheets):
                continue
            text = base64.b64encode(found.sheets[number]).decode()
            left -= len(text)
            if left < 0:
                return chosen
            chosen[key].append(text)
    return chosen


def _about(found: Thumbnails | None, n_sheets: int) -> dict[str, Any]:
    if found is None:
        return {"side": 0, "pictures": 0, "mime": ""}
    n = min(n_sheets * PER_SHEET, len(found.ids))
    return {"side": found.side, "pictures": n, "mime": f"image/{found.format}"}
