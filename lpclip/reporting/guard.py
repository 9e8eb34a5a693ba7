"""What the guard decided and why: a table, and the same in plain words."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip.columns.guard import GUARD
from lpclip.columns.table import METHOD_NAMES
from lpclip.errors import LpclipError
from lpclip.methods.guard_decision import of_decision
from lpclip.storage.opening import make_again
from lpclip.storage.probes import read_probes
from lpclip.storage.reports import read_cells, typed_cells, write_report


def write_guard_table(probes: Iterable[Path], output: Path) -> None:
    """Write guard.csv: one row per guarded method and strength; only a header where none is.

    Args:
        probes: the probes of every method, guarded or not.
        output: the CSV file.
    """
    tables = [pd.DataFrame(columns=list(GUARD.names))]
    for path in probes:
        found, provenance = read_probes(path, pool_alone=True)
        if found.guard is not None:
            names = {key: provenance[key] for key in METHOD_NAMES}
            tables.append(found.guard.assign(**names)[list(GUARD.names)])
    write_report(pd.concat(tables[1:] or tables, ignore_index=True), output, GUARD)


def in_words(guard_csv: Path) -> list[str]:
    """Return a sentence or two per decision in guard.csv.

    Raises:
        LpclipError: the file is no such table.
    """
    return [text for texts in in_words_by_pair(guard_csv).values() for text in texts]


def in_words_by_pair(guard_csv: Path) -> dict[tuple[str, str], list[str]]:
    """Return the same by model and benchmark; errors as `in_words`."""
    table = typed_cells(read_cells(guard_csv), guard_csv, GUARD)
    if table.isna().any(axis=None):
        raise LpclipError(f"{guard_csv}: not a table of kind 'guard': a number is missing.")
    groups = table.groupby(list(METHOD_NAMES), sort=False)
    for (_, _, method), rows in groups:
        chosen = float(rows["chosen_strength"].iloc[0])
        if not np.isfinite(chosen) or of_decision(rows).empty:
            raise LpclipError(
                f"{guard_csv}: '{method}' has no row for the strength {chosen:g} that was chosen. "
                f"Was the table edited?{make_again(guard_csv)}"
            )
    words: dict[tuple[str, str], list[str]] = {}
    for (model, benchmark, _), rows in groups:
        words.setdefault((str(model), str(benchmark)), []).append(_sentence(rows))
    return words


def _sentence(rows: pd.DataFrame) -> str:
    model, benchmark, method = rows.iloc[0][list(METHOD_NAMES)]
    chosen = float(rows["chosen_strength"].iloc[0])
    row = of_decision(rows).iloc[0]
    verdict = "keeps zero-shot"
    if chosen:
        verdict = f"ships a head {chosen:.0%} of the way from zero-shot to {row['candidate']}"
    return (
        f"{method} on {benchmark}, model {model}, {verdict}"
        f"{'' if chosen else ': ' + str(row['reason'])}. Estimated gain without a label: "
        f"{_points(row['estimated_gain'])} points, 90 % interval {_points(row['gain_low'])} to "
        f"{_points(row['gain_high'])}{'' if chosen else f', of {row.candidate}'}. It differs from "
        f"zero-shot for {row['change']:.0%} of the unlabelled images; for these, "
        f"{row['neighbours']:.0%} of neighbours speak for its class, and the other candidates "
        f"agree with it for {_points(row['others'])} points compared to zero-shot."
    )


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"
