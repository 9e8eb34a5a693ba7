"""How well a method's probes separate the test set from OOD images. No label is read."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from lpclip.columns.ood import OOD, OOD_CURVES, OOD_OF_FEATURES
from lpclip.evaluation.common import experiment, views_of
from lpclip.metrics import detection_metrics, energy, entropy, max_logit, mcm, msp
from lpclip.storage.features import normalise
from lpclip.storage.probes import HALF_WAY, Probes, between, read_probes
from lpclip.storage.reports import read_cells, typed_cells, write_part
from lpclip.types import FloatArray, OutputFile

TEMPERATURE = 1.0
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
    group: str,
) -> None:
    """How well the last round's probes separate the test set from an OOD set.

    Args:
        probes: of one method.
        test: feature cache with the clean view of the benchmark's test set.
        features: feature cache with the clean view of the OOD set.
        of_features: CSV of ``lpclip evaluate-features`` on this set, whose rows are copied.
        output: CSV, one row per seed and score.
        curves: CSV, how the plotted scores are distributed, in bins.
        dataset: name of the OOD set.
        group: ``near`` or ``far``.
    """
    heads, provenance = read_probes(probes)
    inside = head_scores(heads, next(views_of(test, provenance))[2])
    outside = head_scores(heads, next(views_of(features, provenance))[2])
    rows = [
        {
            **experiment(provenance, seed),
            "dataset": dataset,
            "group": group,
            "score": score,
            "temperature": TEMPERATURE,
            "n_id": len(inside[score][seed_index]),
            "n_ood": len(outside[score][seed_index]),
            **detection_metrics(inside[score][seed_index], outside[score][seed_index]),
        }
        for seed_index, seed in enumerate(heads.seeds)
        for score in inside
    ]
    place = {"dataset": dataset, "group": group, "temperature": float("nan")}
    detected = typed_cells(read_cells(of_features), of_features, OOD_OF_FEATURES)
    rows += [
        {**experiment(provenance, seed), **place, **{str(key): row[key] for key in row}}
        for seed in heads.seeds
        for row in detected.to_dict(orient="records")
    ]
    write_part(rows, output, OOD)
    bins = [
        {
            **experiment(provenance, seed),
            "dataset": dataset,
            "group": group,
            "score": score,
            **row,
        }
        for seed_index, seed in enumerate(heads.seeds)
        for score in PLOTTED_SCORES
        for row in score_bins(inside[score][seed_index], outside[score][seed_index])
    ]
    write_part(bins, curves, OOD_CURVES)


def head_scores(heads: Probes, values: FloatArray) -> dict[str, list[FloatArray]]:
    """Score name -> scores ``[N]`` per seed; high means in-distribution.

    Next to those of the last round's probe there are two of the head half-way to it from round 0:
    training sharpens logits for unseen images, too, and half of it does so less. For an ensemble,
    MSP and entropy are those of the mean probabilities, the other scores those of the mean head.
    """
    scores: dict[str, list[FloatArray]] = defaultdict(list)
    for seed_index in range(len(heads.seeds)):
        last = heads.weight[-1, seed_index], heads.bias[-1, seed_index]
        first = heads.weight[0, seed_index], heads.bias[0, seed_index]
        half_way = between(first[0], last[0], HALF_WAY), between(first[1], last[1], HALF_WAY)
        logits = heads.scale * (values @ last[0].T) + last[1]
        of_all = heads.logits(values, -1, seed_index)
        scores["msp"].append(msp(of_all))
        scores["entropy"].append(entropy(of_all))
        scores["energy"].append(energy(logits, temperature=TEMPERATURE))
        for prefix, (weight, bias) in (("", last), ("half_way_", half_way)):
            scores[f"{prefix}max_logit"].append(max_logit(heads.scale * (values @ weight.T) + bias))
            cosines = values @ normalise(weight).T
            scores[f"{prefix}mcm"].append(mcm(cosines, tau=TEMPERATURE))
    return dict(scores)


def score_bins(inside: FloatArray, outside: FloatArray) -> Iterator[dict[str, float]]:
    """Counts of both sets in bins that hold about equally many of all their scores.

    Args:
        inside: scores of the test set, ``[N]``.
        outside: of the OOD set, ``[M]``.
    """
    scores = np.concatenate([inside, outside]).astype(np.float64)
    # Many scores may be equal, and so fewer bins left.
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _SCORE_BINS + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    counts = [np.histogram(values, edges)[0] for values in (inside, outside)]
    for place, (low, high) in enumerate(pairwise(edges)):
        yield {
            "bin": place,
            "low": float(low),
            "high": float(high),
            "n_id": int(counts[0][place]),
            "n_ood": int(counts[1][place]),
        }
