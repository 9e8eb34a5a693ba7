"""Shared by the evaluation stages: labels in row order, views of a cache, names of a row."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lpclip.columns.table import METHOD_NAMES
from lpclip.corruption_names import SEVERITIES
from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import Labels, read_labels
from lpclip.errors import LpclipError
from lpclip.storage.features import read_features, view_settings
from lpclip.storage.hdf5 import check_provenance, read_provenance
from lpclip.storage.probes import Probes
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.types import FloatArray


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


def views_of(path: Path, provenance: Mapping[str, Any]) -> Iterator[tuple[str, int, FloatArray]]:
    """Yield view, severity (0 for clean) and features ``[N, D]`` of everything in a cache."""
    expected = {key: provenance[key] for key in ("model", "weights")}
    for name, settings in view_settings(path).items():
        values = read_features(path, name, expected=expected)
        if name == "clean":
            yield name, 0, values
        else:
            severities = settings.get("severities", SEVERITIES)
            yield from ((name, s, values[i]) for i, s in enumerate(severities))


def experiment(provenance: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the columns that identify an experiment."""
    return {**{key: provenance[key] for key in METHOD_NAMES}, "seed": seed}
