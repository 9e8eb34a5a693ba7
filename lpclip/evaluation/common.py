"""Shared by the evaluation stages: labels in row order, views of a cache, rows of CSV files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import Labels, read_labels
from lpclip.errors import LpclipError
from lpclip.storage.features import read_features, view_settings
from lpclip.storage.hdf5 import check_provenance, read_provenance
from lpclip.storage.probes import Probes
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.transforms.corruptions.registry import SEVERITIES
from lpclip.types import FloatArray
from lpclip.utils.atomic import atomic_path


def checked_labels(
    samples: Path, features: Path, heads: Probes, *, several: bool = False
) -> Labels:
    """Labels in the order of the cache's rows, of classes of the probes; may one be several?"""
    index = {"index": fingerprint(read_samples(samples, labels=False))}
    check_provenance(features, read_provenance(features, kind="features"), index)
    labels = read_labels(samples, heads.class_names)
    if ((labels.own if several else labels.of_benchmark) == UNLABELLED).any():
        raise LpclipError(f"{samples}: a test set needs a label, of one class, for every image.")
    return labels


def views_of(path: Path, provenance: Mapping[str, Any]) -> Iterator[tuple[str, int, FloatArray]]:
    """View, severity (0 for clean) and features ``[N, D]`` of everything in a cache."""
    expected = {key: provenance[key] for key in ("model", "weights")}
    for name, settings in view_settings(path).items():
        values = read_features(path, name, expected=expected)
        if name == "clean":
            yield name, 0, values
        else:
            severities = settings.get("severities", SEVERITIES)
            yield from ((name, s, values[i]) for i, s in enumerate(severities))


def experiment(provenance: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What a row says of the experiment that it is of."""
    names = {key: provenance[key] for key in ("model", "benchmark", "method")}
    return {**names, "seed": seed}


def write_csv(
    rows: Sequence[Mapping[str, Any]], output: Path, *, columns: Sequence[str] | None = None
) -> None:
    """Write rows as CSV, whole or not at all; columns are named where there may be no row."""
    with atomic_path(output) as temporary:
        pd.DataFrame(rows, columns=None if columns is None else list(columns)).to_csv(
            temporary, index=False, float_format="%.9g"
        )
