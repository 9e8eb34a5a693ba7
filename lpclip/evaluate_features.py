"""How well distances to the adapt set separate the test set from out-of-distribution images.

No head and no label has a part in it: the figures hold for every method of a benchmark. No image
is compared with itself: without a test set half of the adapt set is the reference for the other
half.
"""

import logging
from pathlib import Path

import numpy as np

from lpclip import cache
from lpclip.evaluate import views_of, write_csv
from lpclip.metrics import detection_metrics, mahalanobis, members_of, nearest_neighbours
from lpclip.types import BoolArray, FloatArray, OutputFile

log = logging.getLogger(__name__)

# Sun et al. (2022) take the 50th nearest of CIFAR-10's 50,000 images and the 1000th of ImageNet's
# 1.3 million. A small set needs a few, or the neighbour is of another class.
ADAPT_PER_NEIGHBOUR, LEAST_NEIGHBOURS = 1000, 5


def evaluate_features(*, adapt: Path, test: Path, features: Path, output: OutputFile) -> None:
    """Detection of foreign images by their distance to the unlabelled adapt set.

    Args:
        adapt: feature cache with the clean view of the benchmark's adapt set.
        test: feature cache with the clean view of its test set. Where that is the adapt set, every
            other image of it is the reference, and the rest are the in-distribution images.
        features: feature cache with the clean view of the foreign set.
        output: CSV, one row per score.
    """
    model = cache.read_provenance(adapt, kind="features")
    known, inside, outside = (next(views_of(path, model))[2] for path in (adapt, test, features))
    if np.array_equal(known, inside):
        is_reference = references(len(known))
        known, inside = known[is_reference], inside[~is_reference]
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


def references(n: int) -> BoolArray:
    """Which of so many images of the adapt set others of it are compared with: every other one.

    The order of images is that of the index, so that the halves are always the same.
    """
    found: BoolArray = np.arange(n) % 2 == 0
    return found


def feature_scores(values: FloatArray, known: FloatArray) -> dict[str, FloatArray]:
    """Score name -> scores ``[N]`` of features; high means in-distribution.

    A feature that is also among the known ones is compared with the others.

    Args:
        values: ``[N, D]``.
        known: ``[M, D]``, of the adapt set.
    """
    k = max(LEAST_NEIGHBOURS, len(known) // ADAPT_PER_NEIGHBOUR)
    members = members_of(known, values)
    scores = {"nearest_neighbours": nearest_neighbours(values, known, k=k, members=members)}
    if len(np.unique(known, axis=0)) > 1:
        scores["mahalanobis"] = mahalanobis(values, known, members=members)
    else:
        log.warning("no Mahalanobis distance: the adapt set's images do not differ")
    return scores
