"""The points of one benchmark with one model: places, classes, neighbours, predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import labels_if_any
from lpclip.errors import LpclipError
from lpclip.reporting.explorer import inline
from lpclip.reporting.explorer.heads import bytes_per_point, of_method
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.layout import Layout, read_layout
from lpclip.storage.probes import read_probes
from lpclip.storage.stored_views import stored_views
from lpclip.types import BoolArray, FloatArray, IntArray
from lpclip.utils.thinning import shares


@dataclass(frozen=True)
class Files:
    """Files by what they are of.

    Attributes:
        features: (model, dataset, index) -> feature cache.
        samples: (dataset, index) -> index with labels.
    """

    features: Mapping[tuple[str, str, str], Path]
    samples: Mapping[tuple[str, str], Path]


def files_by_content(features: Sequence[Path], samples: Sequence[Path]) -> Files:
    """Return feature caches and indices by what is in them."""
    caches, indices = {}, {}
    for path in features:
        found = read_provenance(path, kind="features")
        caches[str(found["model"]), str(found["dataset"]), str(found["index"])] = path
    for path in samples:
        found = read_provenance(path, kind="samples")
        indices[str(found["dataset"]), str(found["index"])] = path
    return Files(caches, indices)


@dataclass(frozen=True)
class Pair:
    """A benchmark with a model.

    Attributes:
        layout: its points.
        model: name.
        benchmark: name.
        expected: provenance that its caches must have.
        probes: of its methods, in the order in which they are listed.
    """

    layout: Layout
    model: str
    benchmark: str
    expected: Mapping[str, Any]
    probes: Sequence[Path]

    @property
    def point_bytes(self) -> int:
        """Bytes that a point takes, its path left out."""
        n_neighbours = int(self.layout.neighbours.shape[1])
        return 14 + 4 * n_neighbours + bytes_per_point(self.probes)

    @property
    def counts(self) -> list[int]:
        """Points of each dataset."""
        places = self.layout.points["dataset"].to_numpy()
        found = np.bincount(places, minlength=len(self.layout.datasets))
        return [int(count) for count in found]

    def thinned(self, at_most: int) -> "Pair":
        """Return the pair with at most so many points, and with the neighbours among these."""
        counts = self.counts
        kept = shares(counts, at_most)
        if kept == counts:
            return self
        starts = np.cumsum([0, *counts[:-1]])
        rows = np.concatenate([start + np.arange(n) for start, n in zip(starts, kept, strict=True)])
        layout = self.layout
        places = np.full(len(layout.points), -1)
        places[rows] = np.arange(len(rows))
        return replace(
            self,
            layout=replace(
                layout,
                points=layout.points.iloc[rows].reset_index(drop=True),
                neighbours=places[layout.neighbours[rows]],
                distances=layout.distances[rows],
            ),
        )


def read_pair(path: Path, probes: Sequence[Path]) -> Pair:
    """Read a layout, and find the probes of its benchmark and model."""
    layout, provenance = read_layout(path)
    model, benchmark = str(provenance["model"]), str(provenance["benchmark"])
    own = [
        one
        for one in probes
        if (found := read_provenance(one, kind="probes"))["model"] == model
        and found["benchmark"] == benchmark
    ]
    if not own:
        raise LpclipError(f"{path}: no probes of {benchmark} with model {model} are given.")
    expected = {key: provenance[key] for key in ("model", "weights")}
    return Pair(layout, model, benchmark, expected, own)


def shown(pair: Pair, files: Files, numbers: Sequence[int]) -> dict[str, Any]:
    """Return what the page shows of a pair.

    Args:
        pair: its points, after thinning.
        files: caches and indices.
        numbers: place of each of its datasets in the page's list of datasets.
    """
    layout, points = pair.layout, pair.layout.points
    names = read_probes(pair.probes[0], pool_alone=True)[0].class_names
    rows, of_dataset = points["row"].to_numpy(), masks_by_key(pair)
    values = features_of(pair, files)
    labels = labels_of(pair, files, names)
    methods = [of_method(path, values, rows, of_dataset) for path in pair.probes]
    return {
        "title": f"{pair.benchmark}, model {pair.model}",
        "benchmark": pair.benchmark,
        "model": pair.model,
        "axes": layout.axes,
        "classes": list(names),
        "datasets": [
            {"number": number, "role": about["role"], "images": about["images"], "points": count}
            for number, about, count in zip(numbers, layout.datasets, pair.counts, strict=True)
        ],
        **{key: inline.numbers(one) for key, one in zip("xy", _scaled(points), strict=True)},
        "label": inline.classes(labels, len(names)),
        "oodScore": inline.numbers(points["ood_score"].to_numpy().astype(np.float32)),
        "neighbours": inline.numbers(layout.neighbours.astype(np.int32)),
        "nNeighbours": layout.neighbours.shape[1],
        "zeroShot": of_method(pair.probes[0], values, rows, {}, zero_shot=True),
        "methods": methods,
    }


def labels_of(pair: Pair, files: Files, names: Sequence[str]) -> IntArray:
    """Return the classes of the points ``[N]``, -1 for those without a label."""
    points = pair.layout.points
    labels: IntArray = np.full(len(points), UNLABELLED)
    for about, of_it in zip(pair.layout.datasets, _masks(pair), strict=True):
        key = str(about["dataset"]), str(about["index"])
        if key in files.samples and "OOD" not in about["role"]:
            own = points["row"].to_numpy()[of_it]
            labels[of_it] = labels_if_any(files.samples[key], names)[own]
    return labels


def masks_by_key(pair: Pair) -> dict[str, BoolArray]:
    """Return name and index of each dataset, with a slash between them -> which points it has."""
    keys = [f"{about['dataset']}/{about['index']}" for about in pair.layout.datasets]
    return dict(zip(keys, _masks(pair), strict=True))


def _masks(pair: Pair) -> list[BoolArray]:
    places = pair.layout.points["dataset"].to_numpy()
    return [places == place for place in range(len(pair.layout.datasets))]


def features_of(pair: Pair, files: Files) -> FloatArray:
    """Return the features of the points, ``[N, D]``."""
    rows, parts = pair.layout.points["row"].to_numpy(), []
    for about, of_it in zip(pair.layout.datasets, _masks(pair), strict=True):
        key = pair.model, str(about["dataset"]), str(about["index"])
        if key not in files.features:
            raise LpclipError(
                f"No features of the dataset '{key[1]}' with model {pair.model} are given, or they "
                "are of other images than the layout. Run Snakemake, which makes both."
            )
        views = stored_views(files.features[key], [("clean", 0)], expected=pair.expected)
        parts.append(views.take(rows[of_it])[0])
    return np.concatenate(parts)


def _scaled(points: Any) -> tuple[FloatArray, FloatArray]:
    """Return places in -1..1, by one factor for both axes."""
    places = points[["x", "y"]].to_numpy(dtype=np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    half = max(float((high - low).max()) / 2, np.finfo(np.float32).tiny)
    found = ((places - (low + high) / 2) / half * 0.96).astype(np.float32)
    return found[:, 0], found[:, 1]
