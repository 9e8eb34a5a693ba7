"""The section of self-training: rounds, confusion of pseudo-labels, accuracy per class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from lpclip.columns.rounds import ROUNDS
from lpclip.reporting.methods import Method
from lpclip.reporting.page.figure import INK, panel, svg_of
from lpclip.reporting.page.tables import Tables
from lpclip.reporting.plot_style import Style, crosses, line_over_seeds, per_cent

_CURVES = ("coverage", "pseudo_label_accuracy", "test_accuracy")
LARGEST_MATRIX = 20  # classes; more are shown as a list of the most common confusions
_CONFUSIONS = 15
LARGEST_BARS = 40


def rounds(
    tables: Tables, methods: Sequence[Method], looks: Mapping[str, Style]
) -> dict[str, Any] | None:
    """Return curves over rounds of the methods that train themselves; None without any."""
    table = tables["rounds"]
    if table.empty:
        return None
    trained = set(table.loc[table["coverage"].notna(), "method"])
    names = [method.method for method in methods if method.method in trained]
    if not names:
        return None
    figures: list[tuple[str, Markup | None]] = []
    for column in _CURVES:
        title = ROUNDS[column].caption
        if not table[column].notna().any():
            figures.append((title, None))
            continue
        with panel() as axes:
            ends = [_round_line(axes, table, name, column, looks[name]) for name in names]
            axes.set_xticks(range(int(table["round"].max()) + 1))
            axes.set_xlabel("round (0: zero-shot)")
            axes.yaxis.set_major_formatter(per_cent)
            figures.append(
                (title, svg_of(axes, f"{title} by round: {'; '.join(filter(None, ends))}."))
            )
    return {
        "names": names,
        "figures": figures,
        "collapsed": sorted(set(table.loc[table["status"] == "collapsed", "method"])),
    }


def confusion(tables: Tables, methods: Sequence[Method]) -> list[dict[str, Any]]:
    """Compare pseudo-labels of the last round with the truth, a matrix or a list per method."""
    table = tables["confusion"]
    if table.empty:
        return []
    found = []
    for method in methods:
        own = table[table["method"] == method.method]
        if own.empty:
            continue
        counts = own.groupby(["class_index", "pseudo_label_index"])["n"].sum()
        shares = counts.div(counts.groupby(level=0).sum(), level=0)
        names = {
            **dict(zip(own["class_index"], own["class_name"], strict=True)),
            **dict(zip(own["pseudo_label_index"], own["pseudo_label_name"], strict=True)),
        }
        classes = sorted(names)
        shown: dict[str, Any] = {"method": method.method, "names": [names[c] for c in classes]}
        if len(classes) <= LARGEST_MATRIX:
            square = shares.unstack().reindex(index=classes, columns=classes).fillna(0.0)
            shown["matrix"] = square.to_numpy(np.float64).tolist()
        else:
            mistakes = counts.reset_index().query("class_index != pseudo_label_index")
            order = ["n", "class_index", "pseudo_label_index"]
            mistakes = mistakes.sort_values(order, ascending=False).head(_CONFUSIONS)
            shown["pairs"] = [
                (names[truth], names[given], f"{n:,.0f}", shares[truth, given])
                for truth, given, n in mistakes.itertuples(index=False, name=None)
            ]
        found.append(shown)
    return found


def per_class(
    tables: Tables, methods: Sequence[Method], looks: Mapping[str, Style]
) -> dict[str, Any] | None:
    """Return the accuracy of every class: bars of each method, marked where zero-shot is."""
    table = tables["per_class"]
    if table.empty or not table["accuracy"].notna().any():
        return None
    means = table.groupby(["method", "class_index"])["accuracy"].mean().unstack(level=0)
    names = table.drop_duplicates("class_index").set_index("class_index")["class_name"]
    shown = [method.method for method in methods if method.method in means]
    baseline = next((method.method for method in methods if method.kind == "zero_shot"), "")
    classes = list(means.index)
    if len(classes) > LARGEST_BARS:
        # The classes that change most are shown.
        reference = means[baseline] if baseline in means else means.mean(axis=1)
        change = means.sub(reference, axis=0).abs().max(axis=1)
        classes = sorted(change.nlargest(LARGEST_BARS).index)
    figures = [
        (name, _bars(name, means.loc[classes], names.loc[classes], baseline, looks[name]))
        for name in shown
        if name != baseline
    ]
    return {
        "figures": figures,
        "methods": shown,
        "n_classes": len(means),
        "n_shown": len(classes),
        "rows": [
            (names[c], [_per_cent_text(means.loc[c, name]) for name in shown]) for c in classes
        ],
    }


def _round_line(axes: Any, table: pd.DataFrame, name: str, column: str, style: Style) -> str:
    own = table[table["method"] == name]
    line_over_seeds(axes, own, "round", column, style)
    crosses(axes, own, column, style)
    means = own.groupby("round")[column].mean().dropna()
    if means.empty:
        return ""
    return f"{name} {per_cent(means.iloc[0])} to {per_cent(means.iloc[-1])}"


def _bars(
    name: str, means: pd.DataFrame, names: "pd.Series[str]", baseline: str, style: Style
) -> Markup:
    values = means[name].to_numpy(np.float64)
    places = np.arange(len(values))
    with panel((4.4, 0.5 + 0.2 * len(values))) as axes:
        axes.barh(places, values, height=0.72, color=style["color"], alpha=0.55)
        if baseline in means:
            reference = means[baseline].to_numpy(np.float64)
            axes.plot(reference, places, "|", color=INK, markersize=10, markeredgewidth=1.8)
        axes.set_yticks(places, [_short(text) for text in names])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(per_cent)
        axes.grid(visible=False, axis="y")
        worst = int(np.nanargmin(values))
        return svg_of(
            axes,
            f"Accuracy per class of {name}: lowest {names.iloc[worst]}, {per_cent(values[worst])}.",
        )


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


def _per_cent_text(value: float) -> str:
    return "" if pd.isna(value) else f"{100 * value:.1f}"
