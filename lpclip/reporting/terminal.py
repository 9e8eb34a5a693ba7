"""The table that a run prints at its end, for a terminal of 100 columns."""

import textwrap
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lpclip.columns.report import REPORT, SHIFTS
from lpclip.columns.table import FRACTION, METHOD_NAMES
from lpclip.errors import LpclipError
from lpclip.reporting import detection, pool, setting, skipped, sweep
from lpclip.reporting.by_method import with_shifts
from lpclip.reporting.guard import in_words
from lpclip.reporting.read import read_report
from lpclip.storage.opening import make_again
from lpclip.storage.reports import no_report, read_cells, typed, typed_cells

WIDTH = 100


class Shown(NamedTuple):
    """A figure of a method as people read it."""

    name: str
    header: str
    meaning: str = ""

    @property
    def scale(self) -> float:
        """Return the factor from fractions to per cent."""
        return 100.0 if REPORT[self.name].unit == FRACTION else 1.0

    @property
    def best(self) -> Callable[[list[float]], float]:
        """Return the function that picks the best of several values."""
        return max if REPORT[self.name].better == "higher" else min


_CORRUPTED = "corrupt.: mean over 15 corruptions x 5 severities."
_OFFICIAL = "official: on the published files of corrupted images."
_MCE = "mCE: error under corruption relative to zero-shot, which is 100; lower is better."
_ALEXNET = "official mCE: relative to AlexNet, as published for ImageNet-C; lower is better."
_ECE = "ECE: gap between confidence and accuracy, lower is better."
_AUROC = "AUROC: by max logit."

SHOWN = (
    Shown("accuracy", "clean\nacc."),
    Shown("mean_corruption_accuracy", "corrupt.\nacc.", _CORRUPTED),
    Shown("mce_vs_zero_shot", "mCE vs\nzero-shot", _MCE),
    Shown("ece", "clean\nECE", _ECE),
    Shown("corrupted_ece", "corrupt.\nECE", _CORRUPTED),
    Shown("official_mean_corruption_accuracy", "official\ncorr. acc.", _OFFICIAL),
    Shown("official_mce_vs_alexnet", "official\nmCE", _ALEXNET),
    Shown("near_auroc_max_logit", "near OOD\nAUROC", _AUROC),
    Shown("far_auroc_max_logit", "far OOD\nAUROC", _AUROC),
)

_EXPLANATION = (
    "Per cent, mean ± standard deviation over seeds; * best of the column. "
    "labels seen: by the method."
)

_GENERATED = "Corruptions are generated; figures on the published files are not comparable."
_INCOMPLETE = (
    "Corrupted figures need all 15 corruptions at 5 severities, which this run does not have."
)
_UNLABELLED = "Without a labelled test set accuracy is not known."

_FROST = {
    "procedural": "Frost is procedural: no photographs of it were given (frost_images).",
    "photographs": "Frost is made of photographs (frost_images).",
}


def summary(report_csv: Path) -> str:
    """Return readable text of report.csv: a table per model and benchmark, and explanations.

    At most 100 columns wide as long as method names allow; columns without a figure are left out.

    Raises:
        LpclipError: the file is missing or is no report.
    """
    report = report_cells(report_csv)
    blocks = [
        _block(str(model), str(benchmark), rows)
        for (model, benchmark), rows in report.groupby(["model", "benchmark"], sort=False)
    ]
    notes = [_EXPLANATION, *dict.fromkeys(column.meaning for column in shown(report))]
    notes = textwrap.wrap(" ".join(filter(None, notes)), WIDTH, break_on_hyphens=False)
    notes += _on_corruptions(report)
    textures = set(report.get("frost_texture", []))
    notes += [text for texture, text in _FROST.items() if texture in textures]
    decided = report_csv.with_name("guard.csv")
    guard = in_words(decided) if decided.is_file() else []
    described = report_csv.with_name("pool.csv")
    pools = pool.in_words(described) if described.is_file() else []
    swept = report_csv.with_name("sweep.csv")
    sweeps = sweep.in_words(read_report(swept)) if swept.is_file() else []
    guard = [textwrap.fill(text, WIDTH) for text in [*pools, *guard, *sweeps]]
    left_out = report_csv.with_name("skipped.csv")
    if left_out.is_file():
        notes += [textwrap.fill(text, WIDTH) for text in skipped.in_words(left_out)]
    notes += _on_detection(report_csv.with_name("ood_held_out.csv"))
    return "\n\n".join([*blocks, *guard, "\n".join([*notes, *_policies(report)])])


def _on_detection(held_out_csv: Path) -> list[str]:
    """Return the lines on the score by which OOD images are best detected on each benchmark."""
    if not held_out_csv.is_file():
        return []
    held_out = read_report(held_out_csv)
    pairs = held_out.groupby(["model", "benchmark"], sort=False)
    words = {pair: detection.in_words(detection.recommended(rows)) for pair, rows in pairs}
    sentences = [
        words[pair] if len(words) == 1 else f"{pair[1]}, model {pair[0]}: {words[pair]}"
        for pair in words
    ]
    texts = [*sentences, detection.HOW] if sentences else []
    return [line for text in texts for line in textwrap.wrap(text, WIDTH, break_on_hyphens=False)]


def report_cells(report_csv: Path) -> pd.DataFrame:
    """Return report.csv with the figures of shifts.csv, every cell as text.

    Raises:
        LpclipError: the file is missing or is no report, or one that was edited: it lacks a column
            or rows, or a figure is no number.
    """
    report = read_cells(report_csv)
    shifts_csv = report_csv.with_name("shifts.csv")
    if shifts_csv.is_file() and set(METHOD_NAMES) <= set(report):
        shifts = read_cells(shifts_csv)
        typed_cells(shifts, shifts_csv, SHIFTS)
        report = with_shifts(report, shifts).fillna("")
    figures = [column.name for column in SHOWN if column.name in {"accuracy", *report}]
    names, counts = METHOD_NAMES, ("n_labels", "n_seeds")
    needed = [*sorted([*names, *counts, *figures]), *(f"{name}_std" for name in figures)]
    if missing := [name for name in needed if name not in report]:
        raise no_report(report_csv, missing)
    if report.empty:
        raise LpclipError(f"{report_csv} has no rows.{make_again(report_csv)}")
    for name in needed:
        if name in counts:  # "2.0" is a whole number, too
            report[name] = typed(report[name], "integer", report_csv).astype(str)
        elif name not in names:
            typed(report[name], "number", report_csv)
    return report


def shown(rows: pd.DataFrame) -> list[Shown]:
    """Return the columns that have a figure in any of the rows."""
    return [column for column in SHOWN if column.name in rows and any(rows[column.name])]


def _block(model: str, benchmark: str, rows: pd.DataFrame) -> str:
    seeds = sorted(set(rows["n_seeds"].astype(int)))
    count = " to ".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1])))
    title = f"{benchmark}, model {model}, {count} seed{'s' * (seeds[-1] > 1)}"
    # The roomiest form that fits; the last one stacks the deviation under the mean.
    for separator in (" ± ", "±", "\n±"):
        table = _table(rows, separator)
        if max(len(line) for line in table.splitlines()) <= WIDTH:
            break
    notes = [textwrap.fill(text, WIDTH) for text in setting.in_words(benchmark, rows)]
    return "\n".join([title, *notes, "", table])


def _table(rows: pd.DataFrame, separator: str) -> str:
    columns = [["\nmethod", *rows["method"]]]
    columns.append(["labels\nseen", *(f"{int(n):,}" for n in rows["n_labels"])])
    columns += [[column.header, *_cells(rows, column, separator)] for column in shown(rows)]
    return aligned(list(zip(*columns, strict=True)), left=(0,))


def aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> str:
    """Lay out a plain table; padding inside cells, which table printers strip, aligns digits.

    Args:
        rows: the header first; cells may have several lines.
        left: columns to align at the left, not at the right.
    """
    lines = [
        line
        for row in rows
        for line in zip_longest(*(cell.split("\n") for cell in row), fillvalue="")
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        " ".join(
            text.ljust(width) if place in left else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    n_header = 1 + max(cell.count("\n") for cell in rows[0])
    rule = " ".join("-" * width for width in widths)
    return "\n".join([*texts[:n_header], rule, *texts[n_header:]])


def _cells(rows: pd.DataFrame, column: Shown, separator: str) -> list[str]:
    """Return the column's cells, digits below one another when right-justified; "" where empty."""
    means = [rounded(text, column.scale) for text in rows[column.name]]
    deviations = [rounded(text, column.scale) for text in rows[f"{column.name}_std"]]
    known = [float(mean) for mean in means if mean]
    best = column.best(known) if known else None
    stars = ["*" if mean and float(mean) == best else " " for mean in means]
    tails = [f"{separator}{deviation}" if deviation else "" for deviation in deviations]
    parts = zip(means, stars, tails, strict=True)
    if "\n" in separator:
        cells = [f"{mean}{star}{tail}{' ' * bool(tail)}" for mean, star, tail in parts]
    else:
        width = 1 + max(map(len, tails))
        cells = [f"{mean}{f'{tail}{star}'.ljust(width)}" for mean, star, tail in parts]
    return [cell if cell.strip() else "" for cell in cells]


def rounded(text: str, scale: float) -> str:
    """Round to one decimal; the best is picked among these, so that equal figures tie."""
    return f"{scale * float(text):.1f}" if text else ""


def _on_corruptions(report: pd.DataFrame) -> list[str]:
    """Return which images the corrupted figures are of, or why there are none."""
    names = {column.name for column in shown(report)}
    notes = [] if all(report["accuracy"]) else [_UNLABELLED]
    if "mean_corruption_accuracy" in names:
        notes.append(_GENERATED)
    elif "official_mean_corruption_accuracy" not in names and any(report["accuracy"]):
        notes.append(_INCOMPLETE)
    return notes


def _policies(report: pd.DataFrame) -> list[str]:
    """Return the strong views of the methods: a gain from the test's own corruptions is none."""
    if "strong_policy" not in report:
        return []
    by_policy: dict[str, list[str]] = {}
    for policy, method in zip(report["strong_policy"], report["method"], strict=True):
        if policy and method not in by_policy.setdefault(policy, []):
            by_policy[policy].append(method)
    return [f"Strong views '{policy}': {', '.join(by_policy[policy])}." for policy in by_policy]
