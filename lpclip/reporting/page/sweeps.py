"""The section of sweeps: a figure per setting that was varied, the two bests, every point."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from lpclip.reporting.page.figure import INK, legend, numbered, panel, svg_of
from lpclip.reporting.page.summary import signed
from lpclip.reporting.plot_style import N_COLOURS, Style, per_cent
from lpclip.reporting.sweep import BY_TEST, WITHOUT_LABELS, YES, sentence, settings_of
from lpclip.types import FloatArray

_SHOWN = {"accuracy": "clean", "mean_corruption_accuracy": "corrupted"}
_LINES: Mapping[str, Mapping[str, Any]] = {
    "accuracy": {"linestyle": "-"},
    "mean_corruption_accuracy": {"linestyle": (0, (4, 2)), "markerfacecolor": "none",
                                 "markeredgewidth": 1.2},
}  # fmt: skip
_MARKS: Mapping[str, Mapping[str, Any]] = {
    WITHOUT_LABELS: {"marker": "o", "s": 120},
    BY_TEST: {"marker": "*", "s": 230},
}
_DECADE = 10
LONGEST_TABLE = 12  # points; more are folded


class _Line(NamedTuple):
    """Points that differ in one setting alone."""

    name: str
    rows: pd.DataFrame


def section(groups: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """Return what is shown of each sweep.

    Args:
        groups: rows of sweep.csv, the points of one sweep each.
    """
    return [_sweep(group) for group in groups]


def _sweep(group: pd.DataFrame) -> dict[str, Any]:
    settings = settings_of(group)
    figures = [
        _figure(setting, group, [other for other in settings if other != setting])
        for setting in settings
        if group["accuracy"].notna().any()
    ]
    return {
        "name": str(group["sweep"].iloc[0]),
        "words": sentence(group),
        "corrupted": bool(group["mean_corruption_accuracy"].notna().any()),
        "figures": figures,
        "columns": [shown_name(setting) for setting in settings],
        "rows": [_row(row, settings) for _, row in group.iterrows()],
        "folded": len(group) > LONGEST_TABLE,
    }


def shown_name(setting: str) -> str:
    """Return a setting as people read it: those of methods without the word.

    >>> shown_name("method.optimisation.learning_rate"), shown_name("labelling.threshold")
    ('optimisation.learning_rate', 'labelling.threshold')
    """
    return setting.removeprefix("method.")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return str(value)


def _row(row: "pd.Series[Any]", settings: Sequence[str]) -> dict[str, Any]:
    gain = ""
    if pd.notna(row["estimated_gain"]):
        low, high = signed(row["gain_low"]), signed(row["gain_high"])
        gain = f"{signed(row['estimated_gain'])} [{low}, {high}]"
    return {
        "method": str(row["method"]),
        "values": [_value(row[setting]) for setting in settings],
        "figures": [_mean(row, name) for name in _SHOWN],
        "gain": gain,
        "reason": str(row["reason"]),
        "without_labels": row[WITHOUT_LABELS] == YES,
        "by_test": row[BY_TEST] == YES,
    }


def _mean(row: "pd.Series[Any]", name: str) -> tuple[str, str]:
    """Return a figure and its deviation over seeds in per cent, "" for none."""
    found = (row[name], row[f"{name}_std"])
    mean, deviation = ("" if pd.isna(value) else f"{100 * value:.1f}" for value in found)
    return mean, deviation


def _figure(setting: str, group: pd.DataFrame, others: Sequence[str]) -> dict[str, Any]:
    """Return accuracies against the values of one setting, a line per value of the others."""
    group = group[group[setting].map(_value) != ""]
    lines = _lines(group, others)
    averaged = len(lines) > N_COLOURS
    places, ticks = _places(group[setting])
    names = [line.name for line in lines if line.name]
    looks = {line.name: numbered(number) for number, line in enumerate(lines)}
    words = []
    with panel() as axes:
        for name in _SHOWN:
            if averaged:
                words.append(_mean_line(axes, group, setting, name, places))
                continue
            for line in lines:
                words.append(_line(axes, line, setting, name, places, looks[line.name]))
        if not averaged:
            _mark(axes, group, setting, places)
        _scale(axes, places, ticks)
        axes.set_xlabel(shown_name(setting))
        axes.yaxis.set_major_formatter(per_cent)
        description = f"Accuracy by {shown_name(setting)}: {'; '.join(filter(None, words))}."
        svg = svg_of(axes, description)
    return {
        "title": shown_name(setting),
        "svg": svg,
        "legend": [] if averaged else legend(names, looks),
        "averaged": len(lines) if averaged else 0,
    }


def _lines(group: pd.DataFrame, others: Sequence[str]) -> list[_Line]:
    if not others:
        return [_Line("", group)]
    keys = group[list(others)].map(_value).apply(tuple, axis=1)
    return [
        _Line(
            ", ".join(
                f"{shown_name(name).rpartition('.')[2]} {value}"
                for name, value in zip(others, key, strict=True)
                if value
            ),
            rows,
        )
        for key, rows in group.groupby(keys, sort=False)
    ]


def _places(values: "pd.Series[Any]") -> tuple[dict[str, float], Mapping[float, str] | None]:
    """Return where values are on the axis, and the names of places; None for numbers."""
    if pd.api.types.is_numeric_dtype(values):
        return {_value(value): float(value) for value in values}, None
    names = list(dict.fromkeys(map(_value, values)))
    return {name: float(at) for at, name in enumerate(names)}, dict(enumerate(names))


def _scale(axes: Axes, places: Mapping[str, float], names: Mapping[float, str] | None) -> None:
    known = sorted(places.values())
    if names is not None:
        axes.set_xticks(list(names), [_short(name) for name in names.values()])
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    if known[0] > 0 and known[-1] >= _DECADE * known[0]:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    if len(known) <= 6:
        axes.set_xticks(known, [f"{value:g}" for value in known])


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"


def _line(
    axes: Axes,
    line: _Line,
    setting: str,
    name: str,
    places: Mapping[str, float],
    look: Style,
) -> str:
    """Plot a line with its deviations over seeds, and return it in words."""
    rows = line.rows[line.rows[name].notna()]
    if rows.empty:
        return ""
    at = rows[setting].map(_value).map(places).to_numpy(np.float64)
    order = np.argsort(at, kind="stable")
    means = rows[name].to_numpy(np.float64)
    deviations = rows[f"{name}_std"].fillna(0.0).to_numpy(np.float64)
    _bars(axes, at[order], means[order], (deviations[order], deviations[order]), look, name)
    return _in_words(f"{_SHOWN[name]}{line.name and ', '}{line.name}",
                     rows[setting].iloc[order], means[order])  # fmt: skip


def _mean_line(
    axes: Axes, group: pd.DataFrame, setting: str, name: str, places: Mapping[str, float]
) -> str:
    """Plot the mean over all other settings, with bars from the lowest to the highest."""
    known = group[group[name].notna()]
    if known.empty:
        return ""
    found = known.groupby(known[setting].map(_value), sort=False)[name].agg(["mean", "min", "max"])
    at = np.array([places[str(value)] for value in found.index])
    order = np.argsort(at, kind="stable")
    found = found.iloc[order]
    means, low, high = (found[one].to_numpy(np.float64) for one in ("mean", "min", "max"))
    _bars(axes, at[order], means, (means - low, high - means), numbered(0), name)
    return _in_words(f"{_SHOWN[name]}, mean over the other settings", found.index, means)


def _bars(
    axes: Axes,
    at: FloatArray,
    means: FloatArray,
    half: tuple[FloatArray, FloatArray],
    look: Style,
    name: str,
) -> None:
    style = {**look, **_LINES[name]}
    axes.errorbar(
        at, means, yerr=np.stack(half), elinewidth=1.0, capsize=2.5, capthick=1.0, **style
    )


def _in_words(what: str, values: Any, means: FloatArray) -> str:
    each = (
        f"{_value(value)} {100 * mean:.1f} %" for value, mean in zip(values, means, strict=True)
    )
    return f"{what}: {', '.join(each)}"


def _mark(axes: Axes, group: pd.DataFrame, setting: str, places: Mapping[str, float]) -> None:
    """Mark the two bests of the sweep at their accuracy on clean images."""
    for column, look in _MARKS.items():
        for _, row in group[(group[column] == YES) & group["accuracy"].notna()].iterrows():
            axes.scatter(
                [places[_value(row[setting])]], [row["accuracy"]], facecolors="none",
                edgecolors=INK, linewidths=1.2, zorder=4, **look,
            )  # fmt: skip
