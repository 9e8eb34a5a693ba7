"""The results as a table in Markdown, for a README: what stands there need not be typed."""

from pathlib import Path

import pandas as pd

from lpclip.reporting import setting
from lpclip.reporting.terminal import report_cells, rounded, shown

# Figure of report.csv -> header; a README has no room for more.
_HEADERS = {
    "accuracy": "clean acc.",
    "mean_corruption_accuracy": "corrupted acc.",
    "ece": "ECE clean",
    "corrupted_ece": "ECE corrupted",
    "near_auroc_max_logit": "near OOD AUROC",
    "far_auroc_max_logit": "far OOD AUROC",
}


def markdown(report_csv: Path) -> str:
    """Return a table per model and benchmark of report.csv, titled where there are several.

    Per cent, mean ± standard deviation over seeds; columns without a figure are left out.

    Raises:
        LpclipError: the file is missing or is no report.
    """
    report = report_cells(report_csv)
    pairs = [
        (str(m), str(b), rows)
        for (m, b), rows in report.groupby(["model", "benchmark"], sort=False)
    ]
    tables = [
        "\n\n".join(
            [
                *[f"**{benchmark}, model {model}**"] * (len(pairs) > 1),
                *setting.in_words(benchmark, rows),
                _table(rows),
            ]
        )
        for model, benchmark, rows in pairs
    ]
    return "\n\n".join(tables)


def _table(rows: pd.DataFrame) -> str:
    columns = {"method": list(rows["method"]), "labels": [f"{int(n):,}" for n in rows["n_labels"]]}
    for column in shown(rows):
        if column.name in _HEADERS:
            cells = zip(rows[column.name], rows[f"{column.name}_std"], strict=True)
            columns[_HEADERS[column.name]] = [_cell(mean, std, column.scale) for mean, std in cells]
    lines = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(mean: str, deviation: str, scale: float) -> str:
    return " ± ".join(rounded(text, scale) for text in (mean, deviation) if text)
