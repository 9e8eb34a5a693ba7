"""Small matplotlib figures as SVG that is part of a page: its colours, no ids, no metadata."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from lpclip.reporting.methods import Methods
from lpclip.reporting.plot_style import N_COLOURS, Style

# Colours of matplotlib that stand for the variables of page.css, which knows light and dark.
INK, FAINT, BASELINE = "#010203", "#010204", "#010205"
_METHOD_COLOURS = tuple(f"#01021{place}" for place in range(N_COLOURS))
_VARIABLES: Mapping[str, str] = {
    INK: "--ink-soft",
    FAINT: "--grid",
    BASELINE: "--baseline",
    **{colour: f"--method-{place}" for place, colour in enumerate(_METHOD_COLOURS)},
}
# Markers and, beyond seven methods, dashes tell lines apart without colour.
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)))
_PANEL = (4.4, 3.1)  # inches

# On top of matplotlib's defaults, so that no one's own matplotlibrc changes a page.
_STYLE: list[Any] = [
    "default",
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "lpclip",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.size": 9.5,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "text.color": INK,
        "grid.color": FAINT,
        "grid.linewidth": 0.7,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 1.7,
        "lines.markersize": 5,
    },
]

_DECIMALS = re.compile(r"\d+\.\d+")


class Key(NamedTuple):
    """One entry of a legend in HTML."""

    name: str
    swatch: Markup


def styles(methods: Methods) -> dict[str, Style]:
    """One look per method name, the same in every figure of the page; grey is zero-shot."""
    looks: dict[str, Style] = {}
    kinds = {method.method: method.kind for method in methods.all}
    for index, name in enumerate(name for name, kind in kinds.items() if kind != "zero_shot"):
        cycle, place = divmod(index, N_COLOURS)
        looks[name] = {
            "color": _METHOD_COLOURS[place],
            "marker": _MARKERS[place],
            "linestyle": _DASHES[cycle % len(_DASHES)],
        }
    for name, kind in kinds.items():
        if kind == "zero_shot":
            looks[name] = {"color": BASELINE, "marker": "o", "linestyle": (0, (4, 2))}
    return looks


@contextmanager
def panel(size: tuple[float, float] = _PANEL) -> Iterator[Axes]:
    """Axes of a figure of one panel; `svg_of` them inside the block."""
    with matplotlib.style.context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure.add_subplot()


def svg_of(axes: Axes, description: str) -> Markup:
    """The figure of these axes as an SVG element with a text alternative."""
    return _svg(axes.get_figure(root=True), description)


def legend(names: list[str], looks: Mapping[str, Style]) -> list[Key]:
    """Entries of a legend: the page sets them as text, which wraps and can be read aloud."""
    return [Key(name, _swatch(looks[name])) for name in names]


def _swatch(style: Style) -> Markup:
    with matplotlib.style.context(_STYLE):
        figure = Figure(figsize=(0.42, 0.16))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.plot([0, 1, 2], [0, 0, 0], **style, markevery=[1], markeredgewidth=0)
        axes.set_xlim(-0.1, 2.1)
        return _svg(figure, "")


def _svg(figure: Any, description: str) -> Markup:
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    # A tenth of a point is a thirtieth of a millimetre.
    text = re.sub(r' (?:d|x|y)="[^"]*"', lambda m: _DECIMALS.sub(_rounded, m[0]), text)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    label = Markup(' role="img" aria-label="{}"').format(description)
    hidden = Markup(' aria-hidden="true"')
    opening = Markup('<svg viewBox="0 0 {} {}"{}>').format(
        width, height, label if description else hidden
    )
    # matplotlib escapes the text that it was given.
    return opening + Markup(re.sub(r"^<svg.*?>", "", text, count=1, flags=re.DOTALL).strip())


def _rounded(number: "re.Match[str]") -> str:
    return f"{float(number[0]):.1f}"
