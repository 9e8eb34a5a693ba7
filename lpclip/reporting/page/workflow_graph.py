"""The stages of the workflow as a picture: which reads what another writes, and who reads labels.

The edges are written down here, since a page is made without Snakemake; a test compares them with
``snakemake --rulegraph``.
"""

from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from lpclip.reporting.page.figure import CARD, INK, RED, panel, svg_of

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

_SIZE = (1.38, 0.6)  # inches from box to box
_HALF = 0.4  # of a box, in columns


def draw(jobs: Mapping[str, int], *, supervised: bool) -> Markup:
    """Return the stages as an SVG element; those that read labels have a dashed red frame.

    Args:
        jobs: how many jobs every stage had; stages that are not in it are left out, all are shown
            where it is empty.
        supervised: whether a method reads labels, and so training does.
    """
    shown = [rule for rule in READS if not jobs or rule in jobs]
    reads = {rule: [source for source in READS[rule] if source in shown] for rule in shown}
    above: dict[str, set[str]] = {}  # all that a rule depends on
    column: dict[str, int] = {}
    for rule, sources in reads.items():  # sources come before those that read them
        above[rule] = set(sources).union(*(above[source] for source in sources))
        column[rule] = max((column[source] + 1 for source in sources), default=0)
    columns = [
        [rule for rule in shown if column[rule] == place]
        for place in range(max(column.values()) + 1)
    ]
    places = {
        rule: (column, (len(rules) - 1) / 2 - row)
        for column, rules in enumerate(columns)
        for row, rule in enumerate(rules)
    }
    height = max(map(len, columns))
    with panel((_SIZE[0] * len(columns), _SIZE[1] * height)) as axes:
        axes.set_axis_off()
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(-height / 2, height / 2)
        for rule, sources in reads.items():
            passed_on = set[str]().union(*(above[source] for source in sources))
            for source in sorted(set(sources) - passed_on):
                axes.add_patch(_arrow(places[source], places[rule]))
        for rule, place in places.items():
            reads_labels = rule in LABELS and (supervised or rule != "train_probe")
            _box(axes, place, rule, jobs.get(rule, 0), reads_labels=reads_labels)
        words = (f"{rule} reads {', '.join(READS[rule])}" for rule in shown if READS[rule])
        return svg_of(axes, "; ".join(words).replace("_", " "))


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> FancyArrowPatch:
    """Draw an arrow straight on between other boxes, then over to the row of the target."""
    (x0, y0), (x1, y1) = start, end
    turn, left = x1 - 1 + _HALF, x1 - _HALF
    middle = (turn + left) / 2
    points = [(x0 + _HALF, y0), (turn, y0), (middle, y0), (middle, y1), (left, y1)]
    path = Path(points, [Path.MOVETO, Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    return FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=6, color=INK, linewidth=0.8)


def _box(
    axes: Axes, place: tuple[float, float], rule: str, jobs: int, *, reads_labels: bool
) -> None:
    x, y = place
    axes.add_patch(
        FancyBboxPatch(
            (x - _HALF, y - 0.3), 2 * _HALF, 0.6, boxstyle="round,pad=0,rounding_size=0.06",
            mutation_aspect=2, facecolor=CARD, edgecolor=RED if reads_labels else INK,
            linewidth=1.3 if reads_labels else 0.8, linestyle="--" if reads_labels else "-",
        )
    )  # fmt: skip
    axes.text(x, y + 0.1 * bool(jobs), rule.replace("_", " "), ha="center", va="center", size=8)
    if jobs:
        count = f"{jobs:,} job{'s' * (jobs > 1)}"
        axes.text(x, y - 0.15, count, ha="center", va="center", size=7)
