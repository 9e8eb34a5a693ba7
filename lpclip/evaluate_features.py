"""How well features alone, beside those of the adapt set, tell the test set from foreign images.

No head and no label has a part in it: the figures hold for every method of a benchmark.
"""

import logging
from pathlib import Path

import numpy as np

from lpclip import cache
from lpclip.evaluate import views_of, write_csv
from lpclip.metrics import detection_metrics, mahalanobis, nearest_neighbours
from lpclip.types import FloatArray, OutputFile

log = logging.getLogger(__name__)

# Sun et al. (2022) take the 50th nearest of CIFAR-10's 50,000 images and the 1000th of ImageNet's
# 1.3 million. A small set needs a few, or the neighbour is of another class.
ADAPT_PER_NEIGHBOUR, LEAST_NEIGHBOURS = 1000, 5


def evaluate_features(*, adapt: Path, test: Path, features: Path, output: OutputFile) -> None:
    """Detection of foreign images by their distance to the unlabelled adapt set.

    Args:
        adapt: feature cache with the clean view of the benchmark's adapt set.
        test: feature cache with the clean view of its test set.
        features: feature cache with the clean view of the foreign set.
        output: CSV, one row per score.
    """
    model = cache.read_provenance(adapt, kind="features")
    known, inside, outside = (next(views_of(path, model))[2] for path in (adapt, test, features))
    n = len(inside)
    rows = [
        {
            "score": name,
            "n_id": n,
            "n_ood": len(outside),
            **detection_metrics(scores[:n], scores[n:]),
        }
        for name, scores in feature_scores(np.concatenate([inside, outside]), known).items()
    ]
    write_csv(rows, output)


def feature_scores(values: FloatArray, known: FloatArray) -> dict[str, FloatArray]:
    """Score name -> scores ``[N]`` of features; high means in-distribution."""
    k = max(LEAST_NEIGHBOURS, len(known) // ADAPT_PER_NEIGHBOUR)
    scores = {"nearest_neighbours": nearest_neighbours(values, known, k=k)}
    if len(np.unique(known, axis=0)) > 1:
        scores["mahalanobis"] = mahalanobis(values, known)
    else:
        log.warning("no Mahalanobis distance: the adapt set's images do not differ")
    return scores
