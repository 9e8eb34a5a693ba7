"""A small realistic evaluation, as the CSV files that the report stage reads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from lpclip.columns.registry import EVALUATED
from lpclip.corruption_names import EXTRA, STANDARD, family_of
from lpclip.reporting.stage import write_reports

METHODS = [
    ("zero_shot", "zero_shot", 0, "", 0.74, 0.115, 1),
    ("lp_clip", "lp_clip", 0, "disjoint", 0.82, 0.065, 2),
    ("lp_clip_balanced", "lp_clip", 0, "disjoint", 0.89, 0.032, 2),
    ("supervised", "supervised", 898, "", 0.95, 0.055, 2),
]


@dataclass
class Evaluation:
    """Rows per kind of table, which can be written as files."""

    methods: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {kind: [] for kind in EVALUATED}
    )

    def write(self, folder: Path) -> dict[str, Any]:
        """Write one file per kind and method; return the arguments of `write_reports`."""
        folder.mkdir(parents=True, exist_ok=True)
        arguments: dict[str, Any] = {"methods": self.methods}
        for kind, rows in self.rows.items():
            arguments[kind] = []
            for index, (_, part) in enumerate(
                pd.DataFrame(rows).groupby(["model", "benchmark", "method"]) if rows else []
            ):
                path = folder / f"{kind}-{index}.csv"
                part.to_csv(path, index=False)
                arguments[kind].append(path)
        return arguments


def write_tables(evaluation: Evaluation, folder: Path) -> Path:
    """Write the reports' tables, without the figures, which take longest; return the folder."""
    names = ("severity_figure", "rounds_figure", "save_figure")
    figures = dict.fromkeys(names, mock.DEFAULT)
    with mock.patch.multiple("lpclip.reporting.figures", **figures):
        write_reports(**evaluation.write(folder / "parts"), output=folder / "results")
    return folder / "results"


def small_evaluation(model: str = "tiny", benchmark: str = "digits") -> Evaluation:
    """Return four methods, 16 corruptions x 5 severities, three OOD sets and five rounds."""
    evaluation = Evaluation()
    for rank, (name, kind, n_labels, policy, accuracy, ece, n_seeds) in enumerate(METHODS):
        evaluation.methods.append(
            {
                "model": model, "benchmark": benchmark, "method": name, "kind": kind,
                "n_labels": n_labels, "strong_policy": policy,
                "student_view": "strong" if policy else "", "imagenet": False,
            }
        )  # fmt: skip
        for seed in range(n_seeds):
            random = np.random.default_rng([rank, seed])
            experiment = {"model": model, "benchmark": benchmark, "method": name, "seed": seed}
            add_experiment(evaluation, experiment, accuracy, ece, kind, random)
            add_details(evaluation, experiment, accuracy, trains=kind == "lp_clip")
        names = {"model": model, "benchmark": benchmark, "method": name, "n_seeds": n_seeds}
        add_comparisons(evaluation, names, accuracy - 0.74)
    return evaluation


def group_of(shift: str) -> str:
    return "extra" if shift in EXTRA else "standard"


def add_experiment(
    evaluation: Evaluation,
    experiment: dict[str, Any],
    accuracy: float,
    ece: float,
    kind: str,
    random: np.random.Generator,
) -> None:
    accuracy += 0.01 * random.normal()
    cells = [("clean", "clean", "clean", 0)]
    for shift in (*STANDARD, EXTRA[0]):
        cells += [(shift, family_of(shift), "generated", severity) for severity in range(1, 6)]
    cells.append(("photos", "natural", "natural", 0))
    for shift, family, source, severity in cells:
        value = accuracy * (1 - 0.035 * severity) + 0.01 * random.normal()
        evaluation.rows["robustness"].append(
            experiment
            | {
                "dataset": "digits-test", "shift": shift, "family": family, "source": source,
                "group": family if source in ("clean", "natural") else group_of(shift),
                "texture": "procedural" if shift == "frost" else "",
                "severity": severity, "subset": "", "n": 899, "accuracy": value,
                "accuracy_low": value - 0.02, "accuracy_high": value + 0.02,
                **with_ends("top5_accuracy", (1 + value) / 2),
                **with_ends("mean_per_class_accuracy", value - 0.01),
                **with_ends("ece", abs(ece + 0.012 * severity)), **with_ends("adaptive_ece", ece),
                **with_ends("nll", 1 - value), **with_ends("brier", (1 - value) / 2),
                **with_ends("aurc", 0.05),
                "confidence": value, "effective_robustness": np.nan,
            }
        )  # fmt: skip
    for dataset, group in (("letters", "near"), ("photos", "far"), ("noise", "far")):
        for score, temperature in (
            ("msp", 22),
            ("max_logit", 22),
            ("half_way_mcm", 1),
            ("mahalanobis", np.nan),
        ):
            auroc = 0.8 + 0.02 * random.normal()
            evaluation.rows["ood"].append(
                experiment
                | {
                    "dataset": dataset, "group": group, "score": score,
                    "temperature": temperature, "n_id": 899, "n_ood": 500, "auroc": auroc,
                    "aupr_in": 0.85, "aupr_out": 0.7, "fpr95_id_pos": 0.6, "fpr95_ood_pos": 0.65,
                }
            )  # fmt: skip
    trains = kind == "lp_clip"
    for round_ in range(6 if trains else 1):
        known = 1 - (1.2 - accuracy) * 0.7**round_ if trains and round_ else np.nan
        evaluation.rows["rounds"].append(
            experiment
            | {
                "round": round_, "status": "ok",
                "coverage": 1 - (1.3 - accuracy) * 0.8**round_ if trains and round_ else np.nan,
                "pseudo_label_accuracy": known, "confidence": known, "balance": known,
                "agreement": known, "epochs": 20 if trains and round_ else np.nan,
                "test_accuracy": accuracy - (accuracy - 0.74) * 0.5**round_ if trains
                else accuracy,
            }
        )  # fmt: skip
    for index in range(3):
        evaluation.rows["per_class"].append(
            experiment
            | {
                "class_index": index, "class_name": ("one", "NA", '"two", quoted')[index],
                "n": 90 * (index < 2), "accuracy": accuracy if index < 2 else np.nan,
                "predicted_share": 0.1,
            }
        )  # fmt: skip


def with_ends(name: str, value: float) -> dict[str, float]:
    """Return a metric and the ends of its interval."""
    return {name: value, f"{name}_low": 0.99 * value, f"{name}_high": 1.01 * value}


def add_comparisons(evaluation: Evaluation, names: dict[str, Any], difference: float) -> None:
    for shift, family, source, severity in (
        ("clean", "clean", "clean", 0),
        ("fog", "weather", "generated", 1),
        ("standard_corruptions", "mean", "generated", np.nan),
    ):
        evaluation.rows["comparisons"].append(
            names
            | {
                "dataset": "digits-test", "shift": shift, "family": family, "source": source,
                "severity": severity, "n": 899, "difference": difference,
                "difference_low": difference - 0.02, "difference_high": difference + 0.02,
                "only_method": 90.5, "only_zero_shot": 9,
            }
        )  # fmt: skip


def add_details(
    evaluation: Evaluation, experiment: dict[str, Any], accuracy: float, *, trains: bool
) -> None:
    """Return bins of confidence and of scores, and confusion counts."""
    for shift, source, severity in (
        ("clean", "clean", 0), *(("standard_corruptions", "generated", s) for s in (1, 5)),
    ):  # fmt: skip
        for place in range(4, 15):
            low, high = place / 15, (place + 1) / 15
            evaluation.rows["reliability"].append(
                experiment
                | {
                    "shift": shift, "source": source, "severity": severity, "bin": place,
                    "low": low, "high": high, "n": 10 * place, "confidence": (low + high) / 2,
                    "accuracy": accuracy * (low + high) / 2,
                }
            )  # fmt: skip
    for dataset, group in (("letters", "near"), ("photos", "far")):
        for place in range(20):
            evaluation.rows["ood_curves"].append(
                experiment
                | {
                    "dataset": dataset, "group": group, "score": "max_logit", "bin": place,
                    "low": float(place), "high": place + 1.0, "n_id": 2 * place,
                    "n_ood": 2 * (19 - place),
                }
            )  # fmt: skip
    for score, auroc in (("half_way_mcm", 0.9), ("mahalanobis", 0.95 if trains else 0.85)):
        evaluation.rows["ood_held_out"].append(
            experiment | {"score": score, "n_groups": 3, "n_images": 449, "auroc": auroc}
        )
    names = ("one", "NA", '"two", quoted')
    for truth, given, n in ((0, 0, 80), (0, 1, 10), (1, 1, 90), (2, 0, 1)) if trains else ():
        evaluation.rows["confusion"].append(
            experiment
            | {
                "round": 5, "class_index": truth, "class_name": names[truth],
                "pseudo_label_index": given, "pseudo_label_name": names[given], "n": n,
            }
        )  # fmt: skip
