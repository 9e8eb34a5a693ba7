"""How well a method's probes tell the test set from foreign images. No label is read."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip.evaluation.common import experiment, views_of, write_csv
from lpclip.metrics import detection_metrics, energy, entropy, max_logit, mcm, msp
from lpclip.storage.features import normalise
from lpclip.storage.probes import HALF_WAY, Probes, between, read_probes
from lpclip.types import FloatArray, OutputFile

TEMPERATURE = 1.0
# Of these the page shows ROC curves and histograms.
DRAWN_SCORES = ("msp", "max_logit")
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
    """How well the last round's probes tell the test set from foreign images.

    Args:
        probes: of one method.
        test: feature cache with the clean view of the benchmark's test set.
        features: feature cache with the clean view of the foreign set.
        of_features: CSV of ``lpclip evaluate-features`` on this set, whose rows are taken over.
        output: CSV, one row per seed and score.
        curves: CSV, how the scores that are drawn are distributed, in bins.
        dataset: name of the foreign set.
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
    rows += [
        {**experiment(provenance, seed), **place, **{str(key): row[key] for key in row}}
        for seed in heads.seeds
        for row in pd.read_csv(of_features).to_dict(orient="records")
    ]
    write_csv(rows, output)
    bins = [
        {
            **experiment(provenance, seed),
            "dataset": dataset,
            "group": group,
            "score": score,
            **row,
        }
        for seed_index, seed in enumerate(heads.seeds)
        for score in DRAWN_SCORES
        for row in score_bins(inside[score][seed_index], outside[score][seed_index])
    ]
    write_csv(bins, curves)


def head_scores(heads: Probes, values: FloatArray) -> dict[str, list[FloatArray]]:
    """Score name -> scores ``[N]`` per seed; high means in-distribution.

    Besides those of the last round's probe, two of the head half-way to it from round 0: training
    sharpens logits for images that it has never seen, too, and half of it does so less. Of an
    ensemble, MSP and entropy are those of the mean probabilities, the other scores those of the
    mean head.
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
        outside: of the foreign set, ``[M]``.
    """
    scores = np.concatenate([inside, outside]).astype(np.float64)
    # Many scores may be equal, and so fewer bins left.
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _SCORE_BINS + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    counts = [
        np.bincount(
            np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2),
            minlength=len(edges) - 1,
        )
        for values in (inside, outside)
    ]
    for place, (low, high) in enumerate(pairwise(edges)):
        yield {
            "bin": place,
            "low": float(low),
            "high": float(high),
            "n_id": int(counts[0][place]),
            "n_ood": int(counts[1][place]),
        }
