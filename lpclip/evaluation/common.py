"""Shared by the evaluation stages: labels in row order, views of a cache, names of a row."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lpclip.columns.table import METHOD_NAMES
from lpclip.corruption_names import SEVERITIES
from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import Labels, read_labels
from lpclip.errors import LpclipError
from lpclip.storage.features import view_settings
from lpclip.storage.hdf5 import check_provenance, read_provenance
from lpclip.storage.probes import Probes
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.storage.stored_views import View, open_views
from lpclip.types import FloatArray
from lpclip.utils.memory import row_slices


def checked_labels(
    samples: Path, features: Path, heads: Probes, *, several: bool = False
) -> Labels:
    """Return the labels in the order of the cache's rows, of classes of the probes.

    Args:
        samples: index of the images.
        features: cache of their features.
        heads: the probes.
        several: allow a class of the dataset to map to several classes of the probes.

    Raises:
        LpclipError: the two are not of the same images, or an image has no label.
    """
    index = {"index": fingerprint(read_samples(samples, labels=False))}
    check_provenance(features, read_provenance(features, kind="features"), index)
    labels = read_labels(samples, heads.class_names)
    if ((labels.own if several else labels.of_benchmark) == UNLABELLED).any():
        raise LpclipError(f"{samples}: a test set needs a label, of one class, for every image.")
    return labels


def views_of(path: Path, provenance: Mapping[str, Any]) -> Iterator[tuple[str, int, View]]:
    """Yield view, severity (0 for clean) and features ``[N, D]`` of everything in a cache.

    They are in memory where they fit, else read by rows.
    """
    expected = {key: provenance[key] for key in ("model", "weights")}
    for name, settings in view_settings(path).items():
        severities = (0,) if name == "clean" else settings.get("severities", SEVERITIES)
        versions = [(name, version) for version in range(len(severities))]
        values = open_views(path, versions, expected=expected)
        yield from ((name, s, values[i]) for i, s in enumerate(severities))


def covers_pool(heads: Probes, provenance: Mapping[str, Any], features: Path) -> bool:
    """Return whether the clean view of a cache is of images that the probes predict as their pool.

    Raises:
        LpclipError: it is not, and the method predicts nothing else.
    """
    if heads.pool_probabilities is None:
        return False
    images = read_provenance(features, kind="features")
    views = view_settings(features)
    # The name as well: rows of features without ids have those of any set of that size.
    same = "clean" in views and all(
        images[key] == provenance[f"pool_{key}"] for key in ("dataset", "index")
    )
    if heads.predicts_pool_alone and (not same or len(views) > 1):
        raise LpclipError(
            f"Method '{provenance['method']}' predicts only the images of its pool, but {features} "
            "holds others. Evaluate it in a benchmark whose adapt set is its test set "
            "(transductive: true)."
        )
    return same


def round_logits(
    heads: Probes, values: View, round: int, seed_index: int, *, of_pool: bool = False
) -> Iterator[tuple[slice, FloatArray]]:
    """Yield rows, and their logits ``[n, C]`` of a round; round -1 is the last.

    All rows come at once where their logits fit in memory.

    With ``of_pool`` the images are those of the pool in the pool's order, and the last round has
    what the method predicts for them.

    Raises:
        LpclipError: predictions for another number of images.
    """
    of_pool = of_pool and round in (-1, heads.n_rounds - 1)
    if of_pool and heads.pool_probabilities is not None:
        found = len(heads.pool_probabilities[seed_index])
        if found != len(values):
            raise LpclipError(
                f"A method's predictions are for {found} images of its pool, which has "
                f"{len(values)}. Run Snakemake with --forcerun train_probe."
            )
    members = 1 if heads.member_weight is None else heads.member_weight.shape[1]
    # float64 while metrics are computed
    for rows in row_slices(len(values), members * len(heads.class_names), itemsize=8):
        if of_pool:
            yield rows, heads.pool_logits(seed_index, rows)
        else:
            yield rows, heads.logits(values[rows], round, seed_index)


def experiment(provenance: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the columns that identify an experiment."""
    return {**{key: provenance[key] for key in METHOD_NAMES}, "seed": seed}
