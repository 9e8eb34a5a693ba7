"""Condenses the experiments into report.csv: one row per model, benchmark and method."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.atomic import atomic_path
from lpclip.errors import LpclipError
from lpclip.metrics import STANDARD_CORRUPTIONS, mce, mean_corruption_accuracy
from lpclip.report.parts import OOD_SCORES, Method, Methods

_SEVERITIES = range(1, 6)
_CELLS = len(STANDARD_CORRUPTIONS) * len(_SEVERITIES)
_METRICS = (
    "accuracy",
    "mean_corruption_accuracy",
    "mce_vs_zero_shot",
    "ece",
    "nll",
    "corrupted_ece",
    "corrupted_nll",
)

Errors = dict[str, npt.NDArray[np.float64]]


def report_table(robustness: pd.DataFrame, ood: pd.DataFrame, methods: Methods) -> pd.DataFrame:
    """One row per model x benchmark x method; means over seeds, each with its `_std` sibling.

    Columns: model, benchmark, method, n_labels, n_seeds, student_view, strong_policy,
    corruption_source, frost_texture; then accuracy, mean_corruption_accuracy, mce_vs_zero_shot,
    ece, nll, corrupted_ece, corrupted_nll; then {group}_auroc_{score} and
    {group}_fpr95_id_pos_{score} for every group of OOD datasets that occurs, as the mean over its
    datasets. Fractions, but for mCE (100 is the baseline) and NLL (nats). The standard deviation
    is that of a sample, nan for a single seed.

    Means over corruptions take the 15 standard corruptions x 5 severities or nothing: nan where
    one is missing. Generated and official corruptions are never mixed; where a benchmark has
    both in full, the official ones count. The baseline of mCE is the benchmark's first method
    of kind "zero_shot" with the same model, averaged over its seeds.

    Raises:
        LpclipError: a method has no result on clean images.
    """
    ood_columns = _ood_columns(ood)
    rows = []
    for model, benchmark in methods.pairs():
        of_pair = methods.of(model, benchmark)
        results = _rows_of(robustness, model, benchmark)
        detections = _rows_of(ood, model, benchmark)
        source = corruption_source(results)
        texture = _frost_texture(results, source)
        baseline = _baseline_errors(results, of_pair, source)
        for method in of_pair:
            own = results[results["method"] == method.method]
            seeds = sorted(set(own.loc[own["family"] == "clean", "seed"]))
            if not seeds:
                raise LpclipError(
                    f"Method '{method.method}' of benchmark '{benchmark}' and model '{model}' has "
                    "no result on clean images."
                )
            detected = detections[detections["method"] == method.method]
            per_seed = [
                _robustness_of(own[own["seed"] == seed], source, baseline)
                | _detection_of(detected[detected["seed"] == seed])
                for seed in seeds
            ]
            row: dict[str, object] = {
                "model": model,
                "benchmark": benchmark,
                "method": method.method,
                "n_labels": method.n_labels,
                "n_seeds": len(seeds),
                "student_view": method.student_view,
                "strong_policy": method.strong_policy,
                "corruption_source": source,
                "frost_texture": texture,
            }
            for name in (*_METRICS, *ood_columns):
                values = np.array([metrics.get(name, np.nan) for metrics in per_seed])
                row[name] = values.mean()
                row[f"{name}_std"] = values.std(ddof=1) if len(values) > 1 else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def corruption_source(robustness: pd.DataFrame) -> str:
    """Which corruptions of one benchmark the means are taken over.

    Returns:
        "official" or "generated", the first of which every experiment has the 15 standard
        corruptions x 5 severities; "" if neither.
    """
    experiments = robustness[["method", "seed"]].drop_duplicates()
    for source in ("official", "generated"):
        cells = standard_cells(robustness, source)
        complete = cells.groupby(["method", "seed"], sort=False).size() == _CELLS
        if len(complete) == len(experiments) > 0 and complete.all():
            return source
    return ""


def standard_cells(robustness: pd.DataFrame, source: str) -> pd.DataFrame:
    """The rows on the standard corruptions of one source."""
    return robustness[
        (robustness["source"] == source)
        & robustness["shift"].isin(STANDARD_CORRUPTIONS)
        & robustness["severity"].isin(_SEVERITIES)
    ]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a CSV file, whole or not at all: one header row, six digits, empty cells for nan."""
    with atomic_path(path) as temporary:
        table.to_csv(
            temporary, index=False, float_format="%.6g", lineterminator="\n", encoding="utf-8"
        )


def _frost_texture(results: pd.DataFrame, source: str) -> str:
    """What the frost of one benchmark is made of, "" where it has none of its own."""
    cells = standard_cells(results, source)
    found = set(cells["texture"]) - {""}
    return "procedural" if "procedural" in found else "".join(found)


def _rows_of(table: pd.DataFrame, model: str, benchmark: str) -> pd.DataFrame:
    return table[(table["model"] == model) & (table["benchmark"] == benchmark)]


def _robustness_of(own: pd.DataFrame, source: str, baseline: Errors | None) -> dict[str, float]:
    """Clean and corrupted metrics of one experiment."""
    clean = own[own["family"] == "clean"].iloc[0]
    metrics = {name: float(clean[name]) for name in ("accuracy", "ece", "nll")}
    if not source:
        return metrics
    cells = standard_cells(own, source)
    accuracies = _by_corruption(cells)
    metrics["mean_corruption_accuracy"] = mean_corruption_accuracy(accuracies)
    if baseline is not None:
        metrics["mce_vs_zero_shot"] = mce(_errors(accuracies), baseline)
    for name in ("ece", "nll"):
        metrics[f"corrupted_{name}"] = float(cells[name].to_numpy().mean())
    return metrics


def _baseline_errors(results: pd.DataFrame, of_pair: list[Method], source: str) -> Errors | None:
    names = [method.method for method in of_pair if method.kind == "zero_shot"]
    if not names or not source:
        return None
    cells = standard_cells(results[results["method"] == names[0]], source)
    means = cells.groupby(["shift", "severity"])["accuracy"].mean()
    return _errors(_by_corruption(means.reset_index()))


def _by_corruption(cells: pd.DataFrame) -> Errors:
    """Corruption -> accuracies in the order of severities."""
    ordered = cells.sort_values(["shift", "severity"])
    return {
        str(shift): group["accuracy"].to_numpy(np.float64)
        for shift, group in ordered.groupby("shift")
    }


def _errors(accuracies: Errors) -> Errors:
    return {shift: 1 - values for shift, values in accuracies.items()}


def _detection_of(own: pd.DataFrame) -> dict[str, float]:
    """Means over the datasets of each group, of one experiment."""
    means = {}
    for (group, score), rows in own.groupby(["group", "score"]):
        for metric in ("auroc", "fpr95_id_pos"):
            means[f"{group}_{metric}_{score}"] = float(rows[metric].to_numpy().mean())
    return means


def _ood_columns(ood: pd.DataFrame) -> list[str]:
    groups = _ordered(("near", "far"), ood["group"])
    scores = _ordered(OOD_SCORES, ood["score"])
    return [
        f"{group}_{metric}_{score}"
        for group in groups
        for metric in ("auroc", "fpr95_id_pos")
        for score in scores
    ]


def _ordered(first: tuple[str, ...], found: "pd.Series[str]") -> list[str]:
    """The names that occur: those with a place of their own, then the rest by the alphabet."""
    names = set(found)
    return [*(name for name in first if name in names), *sorted(names.difference(first))]
