"""Condenses the experiments into report.csv: one row per model, benchmark and method."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from lpclip.columns.ood import AUROC, FPR95, GROUPS
from lpclip.columns.report import OF_ALL_CORRUPTIONS, REPORT, SHIFTS
from lpclip.columns.table import METHOD_NAMES, STANDARD_MEAN
from lpclip.corruption_names import SEVERITIES, STANDARD
from lpclip.errors import LpclipError
from lpclip.metrics.robustness import ALEXNET, Baseline, corruption_summary, worst_corruption
from lpclip.reporting.detection import recommended
from lpclip.reporting.methods import Method, Methods

_CELLS = len(STANDARD) * len(SEVERITIES)
_CLEAN = ("accuracy", "ece", "nll")
_OF_SET = ("accuracy", "top5_accuracy", "mean_per_class_accuracy", "ece", "nll", "confidence")
_DETECTION = (AUROC.name, FPR95.name)

SOURCES = ("generated", "official")


def report_table(
    shifts: pd.DataFrame,
    robustness: pd.DataFrame,
    ood: pd.DataFrame,
    held_out: pd.DataFrame,
    methods: Methods,
) -> pd.DataFrame:
    """Return the rows of report.csv; means over seeds, each with its standard deviation.

    Args:
        shifts: of `shift_table`.
        robustness: rows of robustness.csv.
        ood: rows of ood.csv; detection is the mean over the sets of a group.
        held_out: rows of ood_held_out.csv, by which the recommended score is chosen.
        methods: in the order of the rows.
    """
    of_corruptions = {name: OF_ALL_CORRUPTIONS[name] for name in ("mce_vs_zero_shot", *_CLEAN)}
    figures = detection_table(ood)
    rows = []
    for model, benchmark in methods.pairs():
        choice = recommended(rows_of(held_out, model, benchmark))
        texture = _frost_texture(rows_of(robustness, model, benchmark))
        for method in methods.of(model, benchmark):
            own = of_method(shifts, method)
            generated = _one(own[own["source"] == "generated"], STANDARD_MEAN)
            score = choice.get(method.method, "")
            detected = of_method(figures, method).set_index("name").to_dict("index")
            row: dict[str, object] = dict.fromkeys(REPORT.names, float("nan"))
            row |= {name: getattr(method, name) for name in (*METHOD_NAMES, "n_labels")}
            texts = ("predicts", "student_view", "strong_policy")
            row |= {name: getattr(method, name) for name in texts}
            row |= {"n_seeds": own["n_seeds"].iloc[0], "recommended_score": score}
            row["frost_texture"] = texture if generated else ""
            clean = _one(own, "clean")
            for end in ("", "_std"):
                row |= {f"{name}{end}": clean[f"{name}{end}"] for name in _CLEAN}
                for name, here in of_corruptions.items():
                    row[f"{here}{end}"] = generated.get(f"{name}{end}", float("nan"))
                for group in GROUPS:
                    for metric in _DETECTION:
                        for named, by in (("max_logit", "max_logit"), ("recommended", score)):
                            found = detected.get(f"{group}_{metric}_{by}", {})
                            value = found.get("std" if end else "mean", float("nan"))
                            row[f"{group}_{metric}_{named}{end}"] = value
            rows.append(row)
    return pd.DataFrame(rows, columns=list(REPORT.names))


def shift_table(robustness: pd.DataFrame, methods: Methods) -> pd.DataFrame:
    """Return the rows of shifts.csv: means over severities and seeds, deviations over seeds.

    Means over corruptions take the 15 standard corruptions x 5 severities or nothing: there is no
    such row where one is missing for any method of the benchmark that predicts them. Generated and
    official corruptions are never mixed. The baseline of vs_zero_shot is the benchmark's first
    method of kind "zero_shot" with the same model, averaged over its seeds; that of vs_alexnet, for
    official corruptions of ImageNet alone, the published errors of AlexNet.

    Raises:
        LpclipError: a method has no result on clean images.
    """
    rows = []
    for model, benchmark in methods.pairs():
        of_pair = methods.of(model, benchmark)
        results = rows_of(robustness, model, benchmark)
        results = results[(results["family"] != "clean") | (results["subset"] == "")]
        baselines = {
            source: _zero_shot(results, of_pair, source)
            for source in SOURCES
            if is_complete(results, source, of_pair)
        }
        for method in of_pair:
            own = results[results["method"] == method.method]
            seeds = sorted(set(clean_rows(own)["seed"]))
            if not seeds:
                raise LpclipError(
                    f"Method '{method.method}' of benchmark '{benchmark}' and model '{model}' has "
                    "no result on clean images."
                )
            names = {**dict(zip(METHOD_NAMES, method[:3], strict=True)), "n_seeds": len(seeds)}
            own = own[own["seed"].isin(seeds)]
            groups = own.groupby(["shift", "source"], sort=False)
            rows += [{**names, **_of_shift(cells)} for _, cells in groups]
            rows += [
                {**names, **_of_corruptions(own, source, baseline, imagenet=method.imagenet)}
                for source, baseline in baselines.items()
                if method.predicts == "images"
            ]
    return pd.DataFrame(rows, columns=list(SHIFTS.names))


def detection_table(ood: pd.DataFrame) -> pd.DataFrame:
    """Return the detection per method: one row per figure, ``{group}_{metric}_{score}``.

    Columns model, benchmark, method, name, mean and std; each seed counts with its mean over the
    OOD sets of the group.
    """
    rows: list[dict[str, object]] = []
    for key, own in ood.groupby([*METHOD_NAMES, "group", "score"], sort=False):
        names = dict(zip(METHOD_NAMES, key, strict=False))
        for metric in _DETECTION:
            values = np.array([sets[metric].to_numpy().mean() for _, sets in own.groupby("seed")])
            figure = {"mean": values.mean(), "std": _deviation(values)}
            rows.append({**names, "name": f"{key[3]}_{metric}_{key[4]}", **figure})
    return pd.DataFrame(rows, columns=[*METHOD_NAMES, "name", "mean", "std"])


def _of_shift(cells: pd.DataFrame) -> dict[str, object]:
    """Return the figures of one shift for one method."""
    names = [*_OF_SET, "effective_robustness"]
    return {
        **cells.iloc[0][["shift", "family", "source"]],
        "n_severities": len(set(cells["severity"]) - {0}),
        "worst_corruption": "",
        **_over_seeds(cells, lambda rows: {name: rows[name].to_numpy().mean() for name in names}),
    }


def _of_corruptions(
    own: pd.DataFrame, source: str, zero_shot: Baseline | None, *, imagenet: bool
) -> dict[str, object]:
    """Return the figures of all standard corruptions of one source together for one method."""
    baselines = {} if zero_shot is None else {"zero_shot": zero_shot}
    if source == "official" and imagenet:
        baselines["alexnet"] = ALEXNET
    cells = standard_cells(own, source)
    clean = clean_rows(own).groupby("seed")["accuracy"].first()

    def summary(rows: pd.DataFrame) -> dict[str, float]:
        found = corruption_summary(
            _by_corruption(rows), clean_accuracy=clean[rows["seed"].iloc[0]], baselines=baselines
        )
        numbers = {name: value for name, value in found.items() if isinstance(value, float)}
        return {name: rows[name].to_numpy().mean() for name in _OF_SET} | {
            "accuracy": numbers.pop("mean_corruption_accuracy"),
            **numbers,
        }

    worst = ""
    if own["accuracy"].notna().any():
        worst = worst_corruption(_by_corruption(_mean_over_seeds(cells)))[0]
    place = {"shift": STANDARD_MEAN, "family": "mean", "source": source}
    place |= {"worst_corruption": worst}
    return {**place, "n_severities": len(SEVERITIES), **_over_seeds(cells, summary)}


def _over_seeds(
    cells: pd.DataFrame, figures: Callable[[pd.DataFrame], Mapping[str, float]]
) -> dict[str, float]:
    """Return the mean and standard deviation over seeds of the figures of each seed."""
    per_seed = pd.DataFrame([figures(rows) for _, rows in cells.groupby("seed")])
    found: dict[str, float] = {}
    for name in per_seed:
        values = per_seed[name].to_numpy(np.float64)
        found |= {str(name): float(values.mean()), f"{name}_std": _deviation(values)}
    return found


def _deviation(values: npt.NDArray[np.float64]) -> float:
    """Return the sample standard deviation; nan for one value, exactly 0 for equal ones."""
    if len(values) < 2:
        return float("nan")
    return 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))


def clean_rows(robustness: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on clean images of all classes."""
    return robustness[(robustness["family"] == "clean") & (robustness["subset"] == "")]


def is_complete(robustness: pd.DataFrame, source: str, methods: Iterable[Method]) -> bool:
    """Return whether every experiment of a benchmark has 15 corruptions x 5 severities.

    A method that predicts only the images of its pool has none and needs none.
    """
    predicting = [method.method for method in methods if method.predicts == "images"]
    robustness = robustness[robustness["method"].isin(predicting)]
    experiments = robustness[["method", "seed"]].drop_duplicates()
    cells = standard_cells(robustness, source)
    complete = cells.groupby(["method", "seed"], sort=False).size() == _CELLS
    return len(complete) == len(experiments) > 0 and bool(complete.all())


def standard_cells(robustness: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return the rows on the standard corruptions of one source."""
    return robustness[
        (robustness["source"] == source)
        & robustness["shift"].isin(STANDARD)
        & robustness["severity"].isin(SEVERITIES)
    ]


def _frost_texture(results: pd.DataFrame) -> str:
    """Return what the generated frost of one benchmark is made of."""
    found = set(standard_cells(results, "generated")["texture"]) - {""}
    return "procedural" if "procedural" in found else "".join(found)


def rows_of(table: pd.DataFrame, model: str, benchmark: str) -> pd.DataFrame:
    """Return the rows of one benchmark with one model."""
    return table[(table["model"] == model) & (table["benchmark"] == benchmark)]


def of_method(table: pd.DataFrame, method: Method) -> pd.DataFrame:
    """Return the rows of one method of one benchmark with one model."""
    own = rows_of(table, method.model, method.benchmark)
    return own[own["method"] == method.method]


def _one(rows: pd.DataFrame, shift: str) -> dict[str, float]:
    """Return the row of one shift; empty where there is none."""
    found = rows[rows["shift"] == shift].to_dict("records")
    return {str(name): value for name, value in found[0].items()} if found else {}


def _mean_over_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.groupby(["shift", "severity"])["accuracy"].mean().reset_index()


def _zero_shot(results: pd.DataFrame, of_pair: Sequence[Method], source: str) -> Baseline | None:
    """Return the zero-shot method's errors, mean over its seeds."""
    names = [method.method for method in of_pair if method.kind == "zero_shot"]
    if not names:
        return None
    own = results[results["method"] == names[0]]
    accuracies = _by_corruption(_mean_over_seeds(standard_cells(own, source)))
    errors = {shift: 1 - values for shift, values in accuracies.items()}
    return Baseline(errors, float(1 - clean_rows(own)["accuracy"].mean()))


def _by_corruption(cells: pd.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Return corruption -> accuracies in the order of severities."""
    ordered = cells.sort_values(["shift", "severity"])
    return {
        str(shift): group["accuracy"].to_numpy(np.float64)
        for shift, group in ordered.groupby("shift")
    }
