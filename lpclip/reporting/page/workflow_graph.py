"""The stages of the workflow as a picture: which reads what the other writes, and where labels go.

The edges are written down here, since drawing them needs no Snakemake; a test compares them with
what ``snakemake --rulegraph`` says.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

# Rule -> rules whose files it reads.
READS: Mapping[str, tuple[str, ...]] = {
    "index_samples": (),
    "embed_text": (),
    "copy_text": (),
    "embed_images": ("index_samples",),
    "copy_features": ("index_samples",),
    "pseudo_labels": ("embed_text", "copy_text", "embed_images", "copy_features"),
    "train_probe": (
        "embed_text", "copy_text", "embed_images", "copy_features", "pseudo_labels",
        "index_samples",
    ),
    "evaluate": ("train_probe", "embed_images", "copy_features", "index_samples"),
    "evaluate_features": ("embed_images", "copy_features"),
    "evaluate_ood": ("train_probe", "embed_images", "copy_features", "evaluate_features"),
    "evaluate_held_out": ("train_probe", "embed_images", "copy_features"),
    "evaluate_rounds": ("train_probe", "embed_images", "copy_features", "index_samples"),
    "evaluate_samples": ("train_probe", "embed_images", "copy_features", "index_samples"),
    "report": (
        "train_probe", "evaluate", "evaluate_ood", "evaluate_held_out", "evaluate_rounds",
        "evaluate_samples",
    ),
    "predictions": ("evaluate_samples",),
    "pictures": ("train_probe", "embed_images", "index_samples"),
    "page": ("train_probe", "report", "pictures"),
}  # fmt: skip
# Who reads labels from the index; all others read ids and paths alone.
LABELS = ("train_probe", "evaluate", "evaluate_rounds", "evaluate_samples", "pictures")

_BOX, _STEP = (104, 34), (138, 62)
_LANE = 31  # from the middle of a box to the way around it


class _Place(NamedTuple):
    x: float
    y: float


def draw(jobs: Mapping[str, int], *, supervised: bool) -> Markup:
    """The stages as an SVG element.

    Args:
        jobs: how many jobs every stage had; stages that are not in it are left out, all are shown
            where it is empty.
        supervised: whether a method reads labels, so that their way to training is drawn.
    """
    shown = [rule for rule in READS if not jobs or rule in jobs]
    edges = [(source, rule) for rule in shown for source in READS[rule] if source in shown]
    if not supervised:
        edges.remove(("index_samples", "train_probe"))
    places = _layout(shown, edges)
    width = max(place.x for place in places.values()) + _BOX[0] + 2
    height = max(place.y for place in places.values()) + _BOX[1] + 2 * _LANE
    labelled = [("index_samples", rule) for rule in LABELS if ("index_samples", rule) in edges]
    paths = [_path(places, edge, "") for edge in _reduced(edges) if edge not in labelled]
    paths += [_path(places, edge, "labels") for edge in labelled]
    boxes = [_box(places[rule], rule, jobs.get(rule, 0)) for rule in shown]
    words = "; ".join(
        f"{rule} reads {', '.join(READS[rule])}" for rule in shown if READS[rule]
    ).replace("_", " ")
    return Markup(
        '<svg class="stages" viewBox="0 {} {} {}" role="img" aria-label="{}">{}{}</svg>'
    ).format(
        -_LANE, f"{width:g}", f"{height:g}", words, Markup("").join(paths), Markup("").join(boxes)
    )


def _layout(shown: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, _Place]:
    """A column per distance from the start; the boxes of a column are centred."""
    columns: dict[str, int] = {}
    for rule in shown:  # sources come before those that read them
        columns[rule] = max((columns[s] + 1 for s, target in edges if target == rule), default=0)
    by_column = [
        [rule for rule in shown if columns[rule] == column]
        for column in range(max(columns.values()) + 1)
    ]
    tallest = max(map(len, by_column))
    return {
        rule: _Place(1 + column * _STEP[0], 1 + (row + (tallest - len(rules)) / 2) * _STEP[1])
        for column, rules in enumerate(by_column)
        for row, rule in enumerate(rules)
    }


def _reduced(edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges that no longer way replaces."""
    targets: dict[str, set[str]] = {}
    for source, target in edges:
        targets.setdefault(source, set()).add(target)

    def reaches(start: str, end: str) -> bool:
        return any(step == end or reaches(step, end) for step in targets.get(start, ()))

    return [
        (source, target)
        for source, target in edges
        if not any(reaches(step, target) for step in targets[source] - {target})
    ]


def _path(places: Mapping[str, _Place], edge: tuple[str, str], kind: str) -> Markup:
    start, end = (places[rule] for rule in edge)
    x0, y0 = start.x + _BOX[0], start.y + _BOX[1] / 2
    x1, y1 = end.x, end.y + _BOX[1] / 2
    if x1 - x0 > _STEP[0]:
        # A long way goes around the boxes between: up or down first, then straight.
        side = -1 if y1 <= y0 else 1
        lane = (min(y0, y1) - _LANE) if side < 0 else (max(y0, y1) + _LANE)
        middle = x1 - (_STEP[0] - _BOX[0])
        points = (
            f"M{x0:g} {y0:g}C{x0 + 26:g} {y0:g} {x0 + 6:g} {lane:g} {x0 + 34:g} {lane:g}"
            f"L{middle - 6:g} {lane:g}C{middle + 20:g} {lane:g} {x1 - 20:g} {y1:g} {x1:g} {y1:g}"
        )
    else:
        bend = (x1 - x0) / 2
        points = f"M{x0:g} {y0:g}C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"
    return Markup('<path d="{}" class="{}"/>').format(points, kind)


def _box(place: _Place, rule: str, jobs: int) -> Markup:
    count = f"{jobs:,} job{'s' * (jobs > 1)}" if jobs else ""
    x, y = place.x + _BOX[0] / 2, place.y + _BOX[1] / 2
    return Markup(
        '<g><rect x="{}" y="{}" width="{}" height="{}" rx="7"/>'
        '<text x="{}" y="{}">{}</text><text class="jobs" x="{}" y="{}">{}</text></g>'
    ).format(
        f"{place.x:g}", f"{place.y:g}", *_BOX, f"{x:g}", f"{y - (1 if count else -4):g}",
        rule.replace("_", " "), f"{x:g}", f"{y + 11:g}", count,
    )  # fmt: skip
