"""How well a method's probes separate the test set from OOD images. No label is read."""

from pathlib import Path
from typing import Literal

from lpclip.columns.ood import CURVES_OF_FEATURES, OOD, OOD_CURVES, OOD_OF_FEATURES
from lpclip.evaluation.common import experiment, views_of
from lpclip.evaluation.ood_scores import TEMPERATURE, MoreScores, head_scores
from lpclip.evaluation.score_bins import score_bins
from lpclip.metrics.detection import detection_metrics
from lpclip.storage.probes import read_probes
from lpclip.storage.reports import read_cells, typed_cells, write_part
from lpclip.types import OutputFile

# The page plots max_logit and the score that it recommends, which is never this one.
NOT_PLOTTED = ("energy",)


def evaluate_ood(
    *,
    probes: Path,
    test: Path,
    features: Path,
    of_features: Path,
    curves_of_features: Path,
    output: OutputFile,
    curves: OutputFile,
    dataset: str,
    group: Literal["near", "far"],
    scores: MoreScores | None = None,
) -> None:
    """Measure how well the last round's probes separate the test set from an OOD set.

    Args:
        probes: of one method.
        test: feature cache with the clean view of the benchmark's test set.
        features: feature cache with the clean view of the OOD set.
        of_features: CSV of ``lpclip evaluate-features`` on this set, whose rows are copied.
        curves_of_features: its curves, likewise.
        output: CSV, one row per seed and score.
        curves: CSV, how the scores are distributed, in bins.
        dataset: name of the OOD set.
        group: ``near`` or ``far``.
        scores: name of each score of a plugin -> its ``kind`` and settings.
    """
    heads, provenance = read_probes(probes)
    inside, outside = (
        head_scores(heads, next(views_of(path, provenance))[2], scores) for path in (test, features)
    )
    place = {"dataset": dataset, "group": group}
    rows = [
        {
            **experiment(provenance, seed),
            **place,
            "score": score,
            "temperature": float("nan") if score in (scores or {}) else TEMPERATURE,
            "n_id": len(inside[score][seed_index]),
            "n_ood": len(outside[score][seed_index]),
            **detection_metrics(inside[score][seed_index], outside[score][seed_index]),
        }
        for seed_index, seed in enumerate(heads.seeds)
        for score in inside
    ]
    detected, distributed = (
        typed_cells(read_cells(path), path, table).to_dict(orient="records")
        for path, table in (
            (of_features, OOD_OF_FEATURES),
            (curves_of_features, CURVES_OF_FEATURES),
        )
    )
    rows += [
        {
            **experiment(provenance, seed),
            **place,
            "temperature": float("nan"),
            **{str(key): row[key] for key in row},
        }
        for seed in heads.seeds
        for row in detected
    ]
    write_part(rows, output, OOD)
    bins = [
        {**experiment(provenance, seed), **place, "score": score, **row}
        for seed_index, seed in enumerate(heads.seeds)
        for score in inside
        if score not in NOT_PLOTTED
        for row in score_bins(inside[score][seed_index], outside[score][seed_index])
    ]
    bins += [
        {**experiment(provenance, seed), **place, **{str(key): row[key] for key in row}}
        for seed in heads.seeds
        for row in distributed
    ]
    write_part(bins, curves, OOD_CURVES)
