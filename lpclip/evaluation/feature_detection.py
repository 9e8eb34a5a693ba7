"""How well distances to the adapt set separate the test set from out-of-distribution images.

Neither a head nor a label is used: the figures hold for every method of a benchmark. No image
is compared with itself: without a test set half of the adapt set is the reference for the other
half.
"""

from pathlib import Path

import numpy as np

from lpclip.columns.ood import CURVES_OF_FEATURES, OOD_OF_FEATURES
from lpclip.evaluation.common import views_of
from lpclip.evaluation.score_bins import score_bins
from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.ood_features import feature_scores, references
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.reports import write_part
from lpclip.storage.stored_views import View, some_rows
from lpclip.types import OutputFile
from lpclip.utils.memory import slices

_ROWS = 4096


def evaluate_features(
    *, adapt: Path, test: Path, features: Path, output: OutputFile, curves: OutputFile
) -> None:
    """Evaluate the detection of OOD images by their distance to the unlabelled adapt set.

    Args:
        adapt: feature cache with the clean view of the benchmark's adapt set.
        test: feature cache with the clean view of its test set. Where that is the adapt set, every
            other image of it is the reference, and the rest are the in-distribution images.
        features: feature cache with the clean view of the OOD set.
        output: CSV, one row per score.
        curves: CSV, how the scores are distributed, in bins.
    """
    model = read_provenance(adapt, kind="features")
    known, inside, outside = (next(views_of(path, model))[2] for path in (adapt, test, features))
    if _equal(known, inside):
        is_reference = references(len(known))
        known, inside = (
            some_rows(known, np.flatnonzero(part)) for part in (is_reference, ~is_reference)
        )
    n = len(inside)
    sets: list[View] = [inside, outside]
    if isinstance(inside, np.ndarray) and isinstance(outside, np.ndarray):
        sets = [np.concatenate([inside, outside])]
    of_sets = [feature_scores(values, known) for values in sets]
    scores = {name: np.concatenate([found[name] for found in of_sets]) for name in of_sets[0]}
    sizes = {"n_id": n, "n_ood": len(outside)}
    rows = [
        {"score": name, **sizes, **detection_metrics(values[:n], values[n:])}
        for name, values in scores.items()
    ]
    write_part(rows, output, OOD_OF_FEATURES)
    bins = [
        {"score": name, **row}
        for name, values in scores.items()
        for row in score_bins(values[:n], values[n:])
    ]
    write_part(bins, curves, CURVES_OF_FEATURES)


def _equal(one: View, other: View) -> bool:
    return one.shape == other.shape and all(
        np.array_equal(one[rows], other[rows]) for rows in slices(len(one), _ROWS)
    )
