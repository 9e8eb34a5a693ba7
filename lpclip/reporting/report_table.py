"""Condenses the experiments into report.csv: one row per model, benchmark and method."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.metrics import (
    ALEXNET,
    STANDARD_CORRUPTIONS,
    Baseline,
    corruption_summary,
    worst_corruption,
)
from lpclip.reporting.evaluation_tables import OOD_SCORES
from lpclip.reporting.methods import Method, Methods
from lpclip.utils.atomic import atomic_path

_SEVERITIES = range(1, 6)
_CELLS = len(STANDARD_CORRUPTIONS) * len(_SEVERITIES)
_CLEAN = ("accuracy", "top5_accuracy", "mean_per_class_accuracy", "ece", "nll", "confidence")
_CORRUPTED = (
    "mean_corruption_accuracy",
    "worst_corruption_accuracy",
    "accuracy_lost_1_to_5",
    "mce_vs_zero_shot",
    "relative_mce_vs_zero_shot",
)
_CALIBRATION = ("corrupted_ece", "corrupted_nll")
_METRICS = (*_CLEAN[:3], *_CORRUPTED, *_CLEAN[3:], *_CALIBRATION)
_OFFICIAL = tuple(
    f"official_{name}"
    for name in (*_CORRUPTED, "mce_vs_alexnet", "relative_mce_vs_alexnet", *_CALIBRATION)
)

SOURCES = ("generated", "official")


def report_table(robustness: pd.DataFrame, ood: pd.DataFrame, methods: Methods) -> pd.DataFrame:
    """One row per model x benchmark x method; means over seeds, each with its `_std` sibling.

    Columns: model, benchmark, method, n_labels, n_seeds, student_view, strong_policy,
    frost_texture, worst_corruption; then what ``_METRICS`` names, where corruptions are generated;
    where there are published ones, their official_* siblings; effective_robustness_{shift} for
    every shift that has one; then {group}_auroc_{score} and {group}_fpr95_id_pos_{score} for every
    group of OOD datasets that occurs, as the mean over its datasets. Fractions, but for mCE (100
    is the baseline) and NLL (nats). The standard deviation is that of a sample, nan for a single
    seed.

    Means over corruptions take the 15 standard corruptions x 5 severities or nothing: nan where
    one is missing for any method of the benchmark. Generated and official corruptions are never
    mixed. The baseline of columns in vs_zero_shot is the benchmark's first method of kind
    "zero_shot" with the same model, averaged over its seeds; that of those in vs_alexnet, for
    ImageNet alone, the published errors of AlexNet.

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
            source: _zero_shot(results, of_pair, source)
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
                "worst_corruption": _worst(own, "generated", baselines),
            }
            if (robustness["source"] == "official").any():
                row["official_worst_corruption"] = _worst(own, "official", baselines)
            for name in columns:
                values = np.array([metrics.get(name, np.nan) for metrics in per_seed])
                row[name] = values.mean()
                row[f"{name}_std"] = _deviation(values)
            rows.append(row)
    return pd.DataFrame(rows)


def _deviation(values: npt.NDArray[np.float64]) -> float:
    """Sample standard deviation; nan for one value, exactly 0 for equal ones."""
    if len(values) < 2:
        return float("nan")
    return 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))


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
    own: pd.DataFrame, baselines: Mapping[str, Baseline | None], *, imagenet: bool
) -> dict[str, float]:
    """Clean and corrupted metrics of one experiment; baselines of the sources that are complete."""
    clean = clean_rows(own).iloc[0]
    metrics = {name: float(clean[name]) for name in _CLEAN}
    for source, zero_shot in baselines.items():
        prefix = "official_" if source == "official" else ""
        cells = standard_cells(own, source)
        compared = {} if zero_shot is None else {"zero_shot": zero_shot}
        if source == "official" and imagenet:
            compared["alexnet"] = ALEXNET
        found = corruption_summary(
            _by_corruption(cells), clean_accuracy=metrics["accuracy"], baselines=compared
        )
        metrics |= {
            f"{prefix}{name}": value for name, value in found.items() if isinstance(value, float)
        }
        for name in ("ece", "nll"):
            metrics[f"{prefix}corrupted_{name}"] = float(cells[name].to_numpy().mean())
    shifts = own[own["effective_robustness"].notna()].set_index("shift")["effective_robustness"]
    metrics |= {_effective(str(shift)): float(value) for shift, value in shifts.items()}
    return metrics


def _worst(own: pd.DataFrame, source: str, baselines: Mapping[str, Baseline | None]) -> str:
    """The corruption with the lowest accuracy, mean over severities and seeds of one method."""
    if source not in baselines or own["accuracy"].isna().all():
        return ""
    return worst_corruption(_by_corruption(_mean_over_seeds(standard_cells(own, source))))[0]


def _mean_over_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.groupby(["shift", "severity"])["accuracy"].mean().reset_index()


def _effective(shift: str) -> str:
    """Column of a shift, whose name may hold what a column's name should not."""
    return f"effective_robustness_{re.sub(r'[^A-Za-z0-9]', '_', shift)}"


def _optional_columns(robustness: pd.DataFrame) -> list[str]:
    official = _OFFICIAL if (robustness["source"] == "official").any() else ()
    shifts = robustness.loc[robustness["effective_robustness"].notna(), "shift"]
    return [*official, *sorted({_effective(str(shift)) for shift in shifts})]


def _zero_shot(results: pd.DataFrame, of_pair: list[Method], source: str) -> Baseline | None:
    """The zero-shot method's errors, mean over its seeds."""
    names = [method.method for method in of_pair if method.kind == "zero_shot"]
    if not names:
        return None
    own = results[results["method"] == names[0]]
    accuracies = _by_corruption(_mean_over_seeds(standard_cells(own, source)))
    errors = {shift: 1 - values for shift, values in accuracies.items()}
    return Baseline(errors, float(1 - clean_rows(own)["accuracy"].mean()))


def _by_corruption(cells: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Corruption -> accuracies in the order of severities."""
    ordered = cells.sort_values(["shift", "severity"])
    return {
        str(shift): group["accuracy"].to_numpy(np.float64)
        for shift, group in ordered.groupby("shift")
    }


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
