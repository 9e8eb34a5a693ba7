"""Puts the sections together: a block per benchmark and model, then what was run."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd
from markupsafe import Markup

from lpclip.reporting import setting, sweep
from lpclip.reporting.methods import Methods
from lpclip.reporting.page import (
    calibration,
    detection,
    gallery,
    robustness,
    summary,
    sweeps,
    training,
)
from lpclip.reporting.page.assets import HEAD, TEMPLATES, style
from lpclip.reporting.page.coinciding import apart, coinciding, in_words
from lpclip.reporting.page.figure import legend, styles
from lpclip.reporting.page.tables import Tables
from lpclip.reporting.plot_style import Style
from lpclip.utils.templates import templates

_CONTENTS = {
    "summary": "Summary",
    "sweeps": "Sweeps",
    "robustness": "Robustness",
    "calibration": "Calibration",
    "detection": "OOD detection",
    "training": "Self-training",
    "images": "Images",
}


def render(
    tables: Tables,
    methods: Methods,
    *,
    guard: Mapping[tuple[str, str], Sequence[str]],
    pools: Mapping[tuple[str, str], str],
    pictures: Mapping[tuple[str, str], Mapping[str, Any]],
    run: Mapping[str, Any],
) -> str:
    """Return the page as text. Everything that comes from outside is escaped.

    Args:
        tables: the reports.
        methods: in the order in which the page lists them.
        guard: (model, benchmark) -> sentences on the guard's decisions.
        pools: (model, benchmark) -> sentences on its unlabelled set.
        pictures: (model, benchmark) -> its pictures, where it has images.
        run: what `lpclip.reporting.page.run.section` gives.
    """
    looks = styles(methods)
    swept = sweep.by_pair(tables["sweep"])
    blocks = [
        _block(
            pair,
            tables.of(*pair),
            methods,
            looks,
            guard=guard.get(pair, ()),
            pool=pools.get(pair, ""),
            pictures=pictures.get(pair),
            swept=swept.get(pair, ()),
        )
        for pair in methods.pairs()
    ]
    pairs = methods.pairs()
    title = blocks[0]["title"] if len(pairs) == 1 else f"{len(pairs)} benchmarks and models"
    environment = templates(TEMPLATES, HEAD.parent, html=True)
    return environment.get_template("page.html").render(
        title=title, blocks=blocks, run=run, css=Markup(style()), version=version("lpclip")
    )


def _block(
    pair: tuple[str, str],
    tables: Tables,
    methods: Methods,
    looks: Mapping[str, Style],
    *,
    guard: Sequence[str],
    pool: str,
    pictures: Mapping[str, Any] | None,
    swept: Sequence[pd.DataFrame],
) -> dict[str, Any]:
    """Return the block of one benchmark with one model."""
    model, benchmark = pair
    own = methods.of(model, benchmark)
    same = coinciding(tables["robustness"], own)
    looks = apart(looks, same)
    keys = legend([method.method for method in own], looks)
    rounds = training.rounds(tables, own, looks)
    block: dict[str, Any] = {
        "anchor": f"{_anchor(model)}-{_anchor(benchmark)}-{methods.pairs().index(pair)}",
        "title": f"{benchmark}, model {model}",
        "legend": keys,
        "coinciding": in_words(same),
        "swatches": {key.name: key.swatch for key in keys},
        "setting": setting.in_words(benchmark, tables["report"]),
        "guard": guard,
        "pool": pool,
        "summary": summary.section(tables, own),
        "sweeps": sweeps.section(swept),
        "robustness": robustness.section(tables, own, looks),
        "calibration": calibration.section(tables, own, looks),
        "detection": detection.section(tables, own, looks),
        "rounds": None if rounds is None else {**rounds, "legend": legend(rounds["names"], looks)},
        "confusion": training.confusion(tables, own),
        "per_class": training.per_class(tables, own, looks),
        "gallery": gallery.section(pictures),
        "audited": [
            (one.method, f"results/{model}/{benchmark}/{one.method}/probes.h5")
            for one in own
            if one.kind == "guarded"
        ],
    }
    there = {
        "summary": True,
        "sweeps": block["sweeps"],
        "robustness": block["robustness"]["blocks"] or block["robustness"]["natural"],
        "calibration": block["calibration"],
        "detection": block["detection"],
        "training": block["rounds"] or block["confusion"] or block["per_class"],
        "images": True,
    }
    block["contents"] = [(key, name) for key, name in _CONTENTS.items() if there[key]]
    return block


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"
