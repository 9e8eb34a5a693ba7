"""Which OOD score suits a method, without an OOD image: its own classes take their place.

A few classes are held out of the head and of the reference images; images that the method assigns
to one of them are then of no remaining class. How well a score separates these from the others
needs no label and no OOD set.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from lpclip.columns.held_out import OOD_HELD_OUT
from lpclip.evaluation.common import experiment, views_of
from lpclip.evaluation.ood_scores import MoreScores, head_scores
from lpclip.metrics.detection import detection_metrics
from lpclip.metrics.ood_features import feature_scores, references
from lpclip.storage.probes import Probes, read_probes
from lpclip.storage.reports import write_part
from lpclip.types import BoolArray, FloatArray, IntArray, OutputFile

GROUPS = 10  # of classes, which are held out in turn
_IMAGES = 10_000  # at most; distances to all others grow with their square


def evaluate_held_out(
    *, probes: Path, adapt: Path, output: OutputFile, scores: MoreScores | None = None
) -> None:
    """Evaluate the detection of held-out classes of the adapt set, by every score.

    Args:
        probes: of one method.
        adapt: feature cache with the clean view of the benchmark's adapt set.
        output: CSV, one row per seed and score; only a header where no class can be held out, as
            without a head.
        scores: name of each score of a plugin -> its ``kind`` and settings.
    """
    heads, provenance = read_probes(probes, pool_alone=True)
    if heads.predicts_pool_alone:
        write_part([], output, OOD_HELD_OUT)
        return
    values = next(views_of(adapt, provenance))[2]
    features = values[_some(len(values))]
    rows = [
        {**experiment(provenance, seed), "score": score, **row}
        for seed_index, seed in enumerate(heads.seeds)
        for score, row in held_out_auroc(_of_seed(heads, seed_index), features, scores).items()
    ]
    write_part(rows, output, OOD_HELD_OUT)


def held_out_auroc(
    heads: Probes, features: FloatArray, more: MoreScores | None = None
) -> dict[str, dict[str, float]]:
    """Return score -> n_groups, n_images and auroc, the mean over groups of classes.

    Every other image is a reference for the scores of features, the rest are scored: an image
    that is its own neighbour would look in-distribution. Class c is in group c modulo ``GROUPS``.

    Args:
        heads: of one seed.
        features: ``[N, D]`` of the unlabelled images, of unit length.
        more: scores of plugins.
    """
    features = features[_some(len(features))]
    predicted = heads.logits(features, -1, 0).argmax(axis=1)
    groups = np.arange(len(heads.class_names)) % GROUPS
    is_reference = references(len(features))
    aurocs = defaultdict[str, list[float]](list)
    for group in np.unique(groups):
        out = groups == group
        held_out = out[predicted]
        known = features[is_reference & ~held_out]
        scored, is_ood = features[~is_reference], held_out[~is_reference]
        if out.all() or len(known) < 2 or len(np.unique(is_ood)) < 2:
            continue
        of_heads = head_scores(_without(heads, out), scored, more)
        scores = {name: values[0] for name, values in of_heads.items()}
        for name, values in {**scores, **feature_scores(scored, known)}.items():
            aurocs[name].append(detection_metrics(values[~is_ood], values[is_ood])["auroc"])
    return {
        name: {
            "n_groups": len(values),
            "n_images": int((~is_reference).sum()),
            "auroc": float(np.mean(values)),
        }
        for name, values in aurocs.items()
    }


def _some(n: int) -> IntArray:
    """Return images that lie evenly among n, at most ``_IMAGES``."""
    return np.arange(0, n, max(1, -(-n // _IMAGES)))


def _of_seed(heads: Probes, seed_index: int) -> Probes:
    """Return the first and the last round of one seed."""
    one = slice(seed_index, seed_index + 1)
    found = replace(
        heads,
        weight=heads.weight[[0, -1], one],
        bias=heads.bias[[0, -1], one],
        seeds=heads.seeds[one],
    )
    if heads.member_weight is None or heads.member_bias is None:
        return found
    return replace(
        found, member_weight=heads.member_weight[one], member_bias=heads.member_bias[one]
    )


def _without(heads: Probes, out: BoolArray) -> Probes:
    """Return the heads without some classes."""
    kept = np.flatnonzero(~out)
    found = replace(
        heads,
        weight=heads.weight[:, :, kept],
        bias=heads.bias[:, :, kept],
        class_names=tuple(heads.class_names[c] for c in kept),
    )
    if heads.member_weight is None or heads.member_bias is None:
        return found
    return replace(
        found,
        member_weight=heads.member_weight[:, :, kept],
        member_bias=heads.member_bias[:, :, kept],
    )
