"""Sweeps: a table of their points with the best by two rules, and the same in words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.columns.sweep import ESTIMATES, FIGURES, is_setting, sweep_table
from lpclip.columns.table import METHOD_NAMES
from lpclip.reporting.methods import Methods
from lpclip.reporting.read import read_report
from lpclip.storage.reports import read_cells, typed_cells, write_report

YES, NO = "yes", "no"
WITHOUT_LABELS, BY_TEST = "best_without_labels", "best_by_test_accuracy"
_KEYS = list(METHOD_NAMES)
# Per section of a configuration with sweeps, by the name of a point: {"sweep": …, "varied": {…}}.
Points = Mapping[str, Mapping[str, Mapping[str, Any]]]


def write_sweep_table(
    report_csv: Path,
    estimates: Iterable[Path],
    sweeps: Points | None,
    output: Path,
    methods: Methods,
) -> None:
    """Write sweep.csv: one row per point; only a header where nothing is swept.

    Args:
        report_csv: its rows have the figures.
        estimates: CSV files of ``lpclip estimate-gains``.
        sweeps: the points of models and methods, in their order.
        output: the CSV file.
        methods: of the report.
    """
    sweeps = sweeps or {}
    models, swept = sweeps.get("models", {}), sweeps.get("methods", {})
    estimated = _estimated(estimates)
    kinds = {row[:3]: row for row in methods.all}
    settings = tuple(
        dict.fromkeys(
            setting
            for points in (swept, models)
            for one in points.values()
            for setting in one["varied"]
        )
    )
    rows: list[dict[str, Any]] = []
    for figures in read_report(report_csv).to_dict("records"):
        model, benchmark, method = (str(figures[name]) for name in METHOD_NAMES)
        if model not in models and method not in swept:
            continue
        of_model, of_method = models.get(model, {}), swept.get(method, {})
        varied = {**of_method.get("varied", {}), **of_model.get("varied", {})}
        # Gains over the zero-shot heads of different models cannot be compared.
        alone = of_method.get("sweep", f"{of_model.get('sweep')}/{method}")
        kind = kinds[model, benchmark, method]
        none = {"reason": _not_estimated(kind.kind, kind.n_labels, kind.predicts)}
        rows.append(
            {
                **{name: figures[name] for name in (*METHOD_NAMES, "n_labels", "n_seeds")},
                **{
                    f"{name}{end}": figures[f"{name}{end}"]
                    for name in FIGURES
                    for end in ("", "_std")
                },
                **dict.fromkeys(ESTIMATES.names[3:-1], float("nan")),
                **estimated.get((model, benchmark, method), none),
                **{name: _text(varied[name]) if name in varied else "" for name in settings},
                "sweep": alone,
            }
        )
    table = sweep_table(settings)
    found = pd.DataFrame(
        rows, columns=[n for n in table.names if n not in (WITHOUT_LABELS, BY_TEST)]
    )
    write_report(_marked(found), output, table)


def _estimated(paths: Iterable[Path]) -> dict[tuple[str, ...], dict[str, Any]]:
    found = {}
    for path in paths:
        for row in typed_cells(read_cells(path), path, ESTIMATES).to_dict("records"):
            key = tuple(str(row.pop(name)) for name in METHOD_NAMES)
            found[key] = {str(name): value for name, value in row.items()}
    return found


def _not_estimated(kind: str, n_labels: int, predicts: str) -> str:
    if n_labels:
        return "it saw labels"
    if kind == "zero_shot":
        return "it is zero-shot itself"
    return "it has no head" if predicts == "pool" else "its model is varied, not its method"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def groups(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the points of each sweep, in the order of the table: those that are compared.

    A sweep of methods is one for every model; a sweep of models alone has them all.
    """
    if rows.empty:
        return []
    keys = [
        (benchmark, sweep, "" if sweep.endswith(f"/{method}") else model)
        for model, benchmark, method, sweep in rows[[*_KEYS, "sweep"]].itertuples(index=False)
    ]
    return [group for _, group in rows.groupby(pd.Series(keys, index=rows.index), sort=False)]


def _marked(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the best of each sweep by the guard's estimate and by test accuracy."""
    marked = rows.assign(**{WITHOUT_LABELS: NO, BY_TEST: NO})
    for group in groups(rows):
        sure = group.loc[group["reason"] == "", "estimated_gain"].dropna()
        known = group["accuracy"].dropna()
        for column, values in ((WITHOUT_LABELS, sure), (BY_TEST, known)):
            if len(values):
                marked.loc[values.idxmax(), column] = YES
    return marked


def settings_of(group: pd.DataFrame) -> list[str]:
    """Return the settings in which points of a sweep differ; those that a single point has."""
    filled = [name for name in map(str, group) if is_setting(name) and _filled(group[name]).any()]
    return [name for name in filled if group[name].nunique(dropna=False) > 1] or filled


def _filled(values: "pd.Series[Any]") -> "pd.Series[bool]":
    return values.notna() & (values.astype(str) != "")


def in_words(rows: pd.DataFrame) -> list[str]:
    """Return a sentence or two per sweep on its two bests."""
    return [sentence(group) for group in groups(rows)]


def sentence(group: pd.DataFrame) -> str:
    """Return which point of a sweep is best by the rule without labels, and by test accuracy."""
    first = group.iloc[0]
    of_models = group["model"].nunique() > 1
    where = f"on {first['benchmark']}" + ("" if of_models else f", model {first['model']}")
    start = f"Sweep {first['sweep']} {where}, {len(group)} point{'s' * (len(group) > 1)}:"
    chosen, tested = (group[group[column] == YES] for column in (WITHOUT_LABELS, BY_TEST))
    parts = []
    if len(chosen):
        row = chosen.iloc[0]
        known = "" if pd.isna(row["accuracy"]) else f", accuracy {_per_cent(row['accuracy'])}"
        parts.append(
            f"without a label the guard's estimate picks {_name(row, of_models)} (estimated gain "
            f"{100 * row['estimated_gain']:+.1f} points{_close(group, row)}{known})"
        )
    elif group["estimated_gain"].notna().any():
        row = group.nlargest(1, "estimated_gain").iloc[0]
        parts.append(f"without a label none is picked, since {row['reason']}")
    else:
        parts.append("without a label none can be picked")
    if len(tested):
        row = tested.iloc[0]
        same = len(chosen) and chosen.index[0] == tested.index[0]
        name = "the same one" if same else _name(row, of_models)
        parts.append(
            f"the labels of the test set pick {name} (accuracy {_per_cent(row['accuracy'])}; "
            "picked from this very table, which flatters it)"
        )
    else:
        parts.append("accuracy is not known without a labelled test set")
    return f"{start} {'; '.join(parts)}."


def _close(group: pd.DataFrame, chosen: "pd.Series[Any]") -> str:
    """Return for how many other points the estimate does not differ by more than its error."""
    others = group.loc[group.index != chosen.name, "estimated_gain"].dropna()
    held = int(others.between(chosen["gain_low"], chosen["gain_high"]).sum())
    which = "all others" if held == len(others) else f"{held} of {len(others)} others"
    return f", whose interval holds those of {which}" if held else ""


def _name(row: "pd.Series[Any]", of_models: bool) -> str:
    return str(row["model" if of_models else "method"])


def _per_cent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def by_pair(rows: pd.DataFrame) -> dict[tuple[str, str], Sequence[pd.DataFrame]]:
    """Return the sweeps of every model and benchmark; those of several models with the first."""
    found: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for group in groups(rows):
        first = group.iloc[0]
        found.setdefault((str(first["model"]), str(first["benchmark"])), []).append(group)
    return dict(found)
