"""How well a method's probes separate the test set from OOD images. No label is read."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from lpclip.columns.ood import OOD, OOD_CURVES, OOD_OF_FEATURES
from lpclip.evaluation.common import experiment, views_of
from lpclip.evaluation.ood_scores import TEMPERATURE, MoreScores, head_scores
from lpclip.metrics.detection import detection_metrics
from lpclip.storage.probes import read_probes
from lpclip.storage.reports import read_cells, typed_cells, write_part
from lpclip.types import FloatArray, OutputFile

# Of these the page shows ROC curves and histograms.
PLOTTED_SCORES = ("msp", "max_logit")
_SCORE_BINS = 50


def evaluate_ood(
    *,
    probes: Path,
    test: Path,
    features: Path,
    of_features: Path,
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
        output: CSV, one row per seed and score.
        curves: CSV, how the plotted scores are distributed, in bins.
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
    detected = typed_cells(read_cells(of_features), of_features, OOD_OF_FEATURES)
    rows += [
        {
            **experiment(provenance, seed),
            **place,
            "temperature": float("nan"),
            **{str(key): row[key] for key in row},
        }
        for seed in heads.seeds
        for row in detected.to_dict(orient="records")
    ]
    write_part(rows, output, OOD)
    bins = [
        {**experiment(provenance, seed), **place, "score": score, **row}
        for seed_index, seed in enumerate(heads.seeds)
        for score in (*PLOTTED_SCORES, *(scores or {}))
        for row in score_bins(inside[score][seed_index], outside[score][seed_index])
    ]
    write_part(bins, curves, OOD_CURVES)


def score_bins(inside: FloatArray, outside: FloatArray) -> Iterator[dict[str, float]]:
    """Count both sets in bins that hold about equally many of all their scores.

    Args:
        inside: scores of the test set, ``[N]``.
        outside: of the OOD set, ``[M]``.
    """
    scores = np.concatenate([inside, outside]).astype(np.float64)
    # Many scores may be equal, and so fewer bins left.
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _SCORE_BINS + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    n_id, n_ood = (np.histogram(values, edges)[0].tolist() for values in (inside, outside))
    for place, (low, high) in enumerate(pairwise(edges.tolist())):
        yield {"bin": place, "low": low, "high": high, "n_id": n_id[place], "n_ood": n_ood[place]}
