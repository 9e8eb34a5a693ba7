"""Condenses the experiments into report.csv: one row per model, benchmark and method."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.atomic import atomic_path
from lpclip.errors import LpclipError
from lpclip.metrics import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    STANDARD_CORRUPTIONS,
    mce,
    mean_corruption_accuracy,
    relative_mce,
)
from lpclip.report.parts import OOD_SCORES, Method, Methods

_SEVERITIES = range(1, 6)
_CELLS = len(STANDARD_CORRUPTIONS) * len(_SEVERITIES)
_OFFICIAL = (
    "official_mean_corruption_accuracy",
    "official_mce_vs_zero_shot",
    "official_mce_vs_alexnet",
    "official_relative_mce_vs_alexnet",
    "official_corrupted_ece",
    "official_corrupted_nll",
)
_METRICS = (
    "accuracy",
    "mean_corruption_accuracy",
    "mce_vs_zero_shot",
    "ece",
    "nll",
    "confidence",
    "corrupted_ece",
    "corrupted_nll",
)

SOURCES = ("generated", "official")

Errors = dict[str, npt.NDArray[np.float64]]


def report_table(robustness: pd.DataFrame, ood: pd.DataFrame, methods: Methods) -> pd.DataFrame:
    """One row per model x benchmark x method; means over seeds, each with its `_std` sibling.

    Columns: model, benchmark, method, n_labels, n_seeds, student_view, strong_policy,
    frost_texture; then accuracy, mean_corruption_accuracy, mce_vs_zero_shot, ece, nll, confidence,
    corrupted_ece, corrupted_nll, where corruptions are generated; where there are published ones,
    their official_* siblings; effective_robustness_{shift} for every shift that has one; then
    {group}_auroc_{score} and {group}_fpr95_id_pos_{score} for every group of OOD datasets that
    occurs, as the mean over its datasets. Fractions, but for mCE (100 is the baseline) and NLL
    (nats). The standard deviation is that of a sample, nan for a single seed.

    Means over corruptions take the 15 standard corruptions x 5 severities or nothing: nan where
    one is missing for any method of the benchmark. Generated and official corruptions are never
    mixed. The baseline of mce_vs_zero_shot is the benchmark's first method of kind "zero_shot"
    with the same model, averaged over its seeds; that of mce_vs_alexnet, for ImageNet alone, the
    published errors of AlexNet.

    Raises:
        LpclipError: a method has no result on clean images.
    """
    columns = [*_METRICS, *_optional_columns(robustness), *_ood_columns(ood)]
    rows = []
    for model, benchmark in methods.pairs():
        of_pair = methods.of(model, benchmark)
        results = _rows_of(robustness, model, benchmark)
        detections = _rows_of(ood, model, benchmark)
        baselines = {
            source: _baseline_errors(results, of_pair, source)
            for source in SOURCES
            if is_complete(results, source)
        }
        texture = _frost_texture(results) if "generated" in baselines else ""
        for method in of_pair:
            own = results[results["method"] == method.method]
            seeds = sorted(set(clean_rows(own)["seed"]))
            if not seeds:
                raise LpclipError(
                    f"Method '{method.method}' of benchmark '{benchmark}' and model '{model}' has "
                    "no result on clean images."
                )
            detected = detections[detections["method"] == method.method]
            per_seed = [
                _robustness_of(own[own["seed"] == seed], baselines, imagenet=method.imagenet)
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
                "frost_texture": texture,
            }
            for name in columns:
                values = np.array([metrics.get(name, np.nan) for metrics in per_seed])
                row[name] = values.mean()
                row[f"{name}_std"] = values.std(ddof=1) if len(values) > 1 else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def clean_rows(robustness: pd.DataFrame) -> pd.DataFrame:
    """The rows on clean images of all classes."""
    return robustness[(robustness["family"] == "clean") & (robustness["subset"] == "")]


def is_complete(robustness: pd.DataFrame, source: str) -> bool:
    """Whether every experiment of one benchmark has 15 corruptions x 5 severities of a source."""
    experiments = robustness[["method", "seed"]].drop_duplicates()
    cells = standard_cells(robustness, source)
    complete = cells.groupby(["method", "seed"], sort=False).size() == _CELLS
    return len(complete) == len(experiments) > 0 and bool(complete.all())


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


def _frost_texture(results: pd.DataFrame) -> str:
    """What the generated frost of one benchmark is made of."""
    found = set(standard_cells(results, "generated")["texture"]) - {""}
    return "procedural" if "procedural" in found else "".join(found)


def _rows_of(table: pd.DataFrame, model: str, benchmark: str) -> pd.DataFrame:
    return table[(table["model"] == model) & (table["benchmark"] == benchmark)]


def _robustness_of(
    own: pd.DataFrame, baselines: Mapping[str, Errors | None], *, imagenet: bool
) -> dict[str, float]:
    """Clean and corrupted metrics of one experiment; baselines of the sources that are complete."""
    clean = clean_rows(own).iloc[0]
    metrics = {name: float(clean[name]) for name in ("accuracy", "ece", "nll", "confidence")}
    for source, baseline in baselines.items():
        prefix = "official_" if source == "official" else ""
        cells = standard_cells(own, source)
        accuracies = _by_corruption(cells)
        errors = _errors(accuracies)
        metrics[f"{prefix}mean_corruption_accuracy"] = mean_corruption_accuracy(accuracies)
        if baseline is not None:
            metrics[f"{prefix}mce_vs_zero_shot"] = mce(errors, baseline)
        if source == "official" and imagenet:
            metrics["official_mce_vs_alexnet"] = mce(errors, ALEXNET_ERRORS)
            metrics["official_relative_mce_vs_alexnet"] = relative_mce(
                errors,
                ALEXNET_ERRORS,
                clean_error=1 - metrics["accuracy"],
                baseline_clean_error=ALEXNET_CLEAN_ERROR,
            )
        for name in ("ece", "nll"):
            metrics[f"{prefix}corrupted_{name}"] = float(cells[name].to_numpy().mean())
    shifts = own[own["effective_robustness"].notna()].set_index("shift")["effective_robustness"]
    metrics |= {_effective(str(shift)): float(value) for shift, value in shifts.items()}
    return metrics


def _effective(shift: str) -> str:
    """Column of a shift, whose name may hold what a column's name should not."""
    return f"effective_robustness_{re.sub(r'[^A-Za-z0-9]', '_', shift)}"


def _optional_columns(robustness: pd.DataFrame) -> list[str]:
    official = _OFFICIAL if (robustness["source"] == "official").any() else ()
    shifts = robustness.loc[robustness["effective_robustness"].notna(), "shift"]
    return [*official, *sorted({_effective(str(shift)) for shift in shifts})]


def _baseline_errors(results: pd.DataFrame, of_pair: list[Method], source: str) -> Errors | None:
    names = [method.method for method in of_pair if method.kind == "zero_shot"]
    if not names:
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
