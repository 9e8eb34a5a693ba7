"""Small matplotlib figures as SVG that is part of a page: its colours, no ids, no metadata."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from lpclip.reporting.methods import Methods
from lpclip.reporting.plot_style import MARKERS, N_COLOURS, Style, rc_of, styles_of

# Colours that stand for the variables of page.css, which has a light and a dark value of each.
INK, FAINT, BASELINE = "#010203", "#010204", "#010205"
_METHOD_COLOURS = tuple(f"#01021{place}" for place in range(N_COLOURS))
_VARIABLES: Mapping[str, str] = {
    INK: "--ink-soft",
    FAINT: "--grid",
    BASELINE: "--baseline",
    **{colour: f"--method-{place}" for place, colour in enumerate(_METHOD_COLOURS)},
}
_PANEL = (4.4, 3.1)  # inches
_STYLE = rc_of(
    ink=INK,
    edge=INK,
    grid=FAINT,
    svg__fonttype="none",
    svg__hashsalt="lpclip",
    text__parse_math=False,
    text__color=INK,
    font__family="sans-serif",
    font__size=9.5,
    axes__linewidth=0.6,
    axes__facecolor="none",
    figure__facecolor="none",
    savefig__facecolor="none",
    grid__linewidth=0.7,
    xtick__major__width=0.6,
    ytick__major__width=0.6,
    lines__linewidth=1.7,
    lines__markersize=5,
    lines__markeredgewidth=0,
)


class Key(NamedTuple):
    """One entry of a legend in HTML."""

    name: str
    swatch: Markup


def styles(methods: Methods) -> dict[str, Style]:
    """Return one look per method name, the same in every figure of the page; grey is zero-shot."""
    return styles_of(methods, _METHOD_COLOURS, BASELINE)


def numbered(place: int) -> Style:
    """Return the look of one of a few lines that are not methods; there are ``N_COLOURS``."""
    place %= N_COLOURS
    return {"color": _METHOD_COLOURS[place], "marker": MARKERS[place], "linestyle": "-"}


@contextmanager
def panel(size: tuple[float, float] = _PANEL) -> Iterator[Axes]:
    """Yield the axes of a figure of one panel; `svg_of` them inside the block."""
    with matplotlib.style.context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure.add_subplot()


def svg_of(axes: Axes, description: str) -> Markup:
    """Return the figure of these axes as an SVG element with a text alternative."""
    return _svg(axes.get_figure(root=True), description)


def legend(names: list[str], looks: Mapping[str, Style]) -> list[Key]:
    """Return the entries of a legend: text in the page wraps and can be read aloud."""
    return [Key(name, _swatch(looks[name])) for name in names]


def _swatch(style: Style) -> Markup:
    with matplotlib.style.context(_STYLE):
        figure = Figure(figsize=(0.42, 0.16))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.plot([0, 1, 2], [0, 0, 0], **style, markevery=[1])
        axes.set_xlim(-0.1, 2.1)
        return _svg(figure, "")


def _svg(figure: Any, description: str) -> Markup:
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())
    root.remove(next(child for child in root if child.find("{*}style") is not None))
    used = {value for element in root.iter() for value in _references(element)}
    for element in root.iter():
        # Inside HTML an SVG needs no namespace; an id would have to be the only one of its name.
        own = {name.rpartition("}")[2]: value for name, value in element.items()}
        if own.get("id") not in used:
            own.pop("id", None)
        for colour, variable in _VARIABLES.items():
            if "style" in own:
                own["style"] = own["style"].replace(colour, f"var({variable})")
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = own
    for name in ("width", "height", "version"):
        del root.attrib[name]
    root.attrib |= (
        {"role": "img", "aria-label": description} if description else {"aria-hidden": "true"}
    )
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _references(element: ElementTree.Element) -> Iterator[str]:
    """Yield the ids that an element refers to."""
    for value in element.attrib.values():
        if value.startswith("#"):
            yield value[1:]
        elif value.startswith("url(#"):
            yield value[5:-1]
