"""Several runs next to each other as one HTML file, for ``lpclip compare --html``."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from lpclip.errors import LpclipError
from lpclip.reporting.compare import Change, Comparison, comparison, figure_name, in_scale
from lpclip.reporting.page.assets import HEAD, style
from lpclip.reporting.page.figure import BASELINE, legend, numbered, panel, svg_of
from lpclip.reporting.plot_style import Style
from lpclip.reporting.read import read_report
from lpclip.utils.atomic import atomic_path
from lpclip.utils.templates import templates
from lpclip.utils.writable import check_output_file

_PLOTTED = ("accuracy", "mean_corruption_accuracy")


def write_comparison(reports: Sequence[Path], output: Path, *, every: bool = False) -> None:
    """Compare reports with the first of them, on one page that needs no network.

    Args:
        reports: two ``report.csv`` or more.
        output: HTML file.
        every: all figures, not only those of the summary.

    Raises:
        LpclipError: fewer than two reports; one is no report, or shares no method with the first;
            ``output`` is one of them.
    """
    if len(reports) < 2:
        raise LpclipError("A comparison takes two reports or more.")
    check_output_file(output)
    if output.resolve() in [path.resolve() for path in reports]:
        raise LpclipError(f"{output} is one of the reports to compare. Name another file to write.")
    first, *others = reports
    names = run_names(reports)
    found = [comparison(first, other, every=every) for other in others]
    blocks = list(_blocks(reports, names, found))
    page = (
        templates(HEAD.parent, html=True)
        .get_template("comparison.html")
        .render(
            runs=list(zip(names, map(str, reports), strict=True)),
            blocks=blocks,
            notes=[
                f"{name}: {note}"
                for name, one in zip(names[1:], found, strict=True)
                for note in (*one.notes, *one.only)
            ],
            css=Markup(style()),
            version=version("lpclip"),
        )
    )
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def run_names(reports: Sequence[Path]) -> list[str]:
    """Return a short name of each report: the parts of its path that no other shares.

    >>> run_names([Path("a/results/report.csv"), Path("b/results/report.csv")])
    ['a', 'b']
    """
    parts = [path.resolve().parts for path in reports]
    first = _n_shared(parts)
    last = _n_shared([one[:first:-1] for one in parts])
    names = [
        "/".join(one[first : len(one) - last]) or path.stem
        for one, path in zip(parts, reports, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name} ({place})"
        for place, name in enumerate(names, 1)
    ]


def _n_shared(parts: Sequence[tuple[str, ...]]) -> int:
    """Return how many parts are the same from the start on."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*parts, strict=False)))


def _blocks(
    reports: Sequence[Path], names: Sequence[str], found: Sequence[Comparison]
) -> Iterator[dict[str, Any]]:
    tables = [read_report(path) for path in reports]
    looks = {name: _look(place) for place, name in enumerate(names)}
    for model, benchmark in dict.fromkeys(pair for one in found for pair in one.changes):
        of_pair = [one.changes.get((model, benchmark), []) for one in found]
        rows = [
            table[(table["model"] == model) & (table["benchmark"] == benchmark)] for table in tables
        ]
        yield {
            "title": f"{benchmark}, model {model}",
            "legend": legend(list(names), looks),
            "plots": list(_plots(dict(zip(names, rows, strict=True)), looks)),
            "rows": list(_rows(of_pair)),
        }


def _rows(of_runs: Sequence[Sequence[Change]]) -> Iterator[dict[str, Any]]:
    """Yield a row per method and figure: its value in the first run, and a cell per other run."""
    cells = [{(one.method, one.figure): one for one in changes} for changes in of_runs]
    keys = list(dict.fromkeys(key for changes in cells for key in changes))
    sizes = Counter(method for method, _ in keys)
    for key in keys:
        changes = [one.get(key) for one in cells]
        base = next(one.before for one in changes if one is not None)
        yield {
            "method": key[0],
            "n_figures": sizes.pop(key[0], 0),  # in the first row of the method
            "figure": figure_name(key[1]),
            "before": f"{in_scale(key[1], base):.2f}",
            "cells": [None if one is None else _cell(one) for one in changes],
        }


def _cell(change: Change) -> dict[str, str]:
    name = change.figure
    noise = "?" if math.isnan(change.margin) else f"±{in_scale(name, change.margin):.2f}"
    kinds = {"better": "better", "worse": "worse"}
    return {
        "value": f"{in_scale(name, change.after):.2f}",
        "change": f"{in_scale(name, change.after - change.before):+.2f}",
        "noise": noise,
        "verdict": change.verdict,
        "kind": kinds.get(change.verdict, "unsure"),
    }


def _look(place: int) -> Style:
    """Return the look of a run; the first is the baseline."""
    look = numbered(place - 1) if place else {"color": BASELINE, "marker": "o"}
    return {**look, "linestyle": ""}


def _plots(
    of_runs: Mapping[str, pd.DataFrame], looks: Mapping[str, Style]
) -> Iterator[tuple[str, Markup]]:
    """Yield title and figure: a row per method, a mark per run with its deviation over seeds."""
    methods = list(dict.fromkeys(name for rows in of_runs.values() for name in rows["method"]))
    for column in _PLOTTED:
        if not any(rows[column].notna().any() for rows in of_runs.values()):
            continue
        with panel((4.6, 0.8 + 0.34 * len(methods))) as axes:
            for place, (name, rows) in enumerate(of_runs.items()):
                shift = 0.5 * ((place + 0.5) / len(of_runs) - 0.5)
                own = rows[rows[column].notna()]
                axes.errorbar(
                    100 * own[column],
                    [methods.index(method) + shift for method in own["method"]],
                    xerr=100 * own[f"{column}_std"].fillna(0),
                    elinewidth=1,
                    **looks[name],
                )
            axes.set_yticks(range(len(methods)), methods)
            axes.set_ylim(len(methods) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
            axes.set_xlabel("per cent")
            title = figure_name(column)
            description = f"{title} of {len(methods)} methods in {len(of_runs)} runs."
            yield title, svg_of(axes, description)
