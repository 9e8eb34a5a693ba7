"""How the scores of test and OOD images are distributed, in bins, for ROC curves and histograms."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from lpclip.types import FloatArray

_SCORE_BINS = 50


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
