"""The stage ``layout``: a place in the plane for every image of a benchmark, without a label.

The axes come from the unlabelled set, and every other image is projected on them, so that they are
the same for every method.
"""

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lpclip.errors import LpclipError
from lpclip.evaluation.layout_settings import MOST_POINTS, Axes
from lpclip.metrics.ood_features import ADAPT_PER_NEIGHBOUR, LEAST_NEIGHBOURS, nearest_neighbours
from lpclip.storage.features import read_rows
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.layout import Layout, write_layout
from lpclip.storage.stored_views import View, open_views, some_rows
from lpclip.storage.text import ZeroShotHead, read_head
from lpclip.types import FloatArray, IntArray, OutputFile
from lpclip.utils.settings import Count
from lpclip.utils.thinning import order_of_keeping, shares

log = logging.getLogger(__name__)

_FITTED = 20_000  # images of the unlabelled set that axes and distances are computed from
_NEIGHBOURS = 8


def layout(
    *,
    text: Path,
    adapt: Path,
    test: Path,
    output: OutputFile,
    benchmark: str,
    ood: Sequence[Path] = (),
    near: Sequence[str] = (),
    layout: Axes = "pca",
    points: Count = MOST_POINTS,
) -> None:
    """Lay out the images of a benchmark: unlabelled set, test set and OOD sets.

    Args:
        text: text cache: the zero-shot head, by whose classes Fisher axes are found.
        adapt: feature cache with the clean view of the unlabelled set.
        test: that of the set that is evaluated.
        output: HDF5 file: points with their places and nearest neighbours.
        ood: those of OOD sets.
        benchmark: name of the benchmark.
        near: names of the OOD sets that are near to its classes.
        layout: pca, the directions in which the unlabelled images differ most; fisher, those that
            separate zero-shot's classes of them best; umap, which needs the package umap-learn.
        points: at most so many images in all; smaller sets are kept whole.

    Raises:
        LpclipError: caches of another model; umap-learn is not installed.
    """
    head, _ = read_head(text)
    roles = {adapt: "unlabelled", test: "test" if test != adapt else "unlabelled and test"}
    paths = list(dict.fromkeys([adapt, test, *ood]))
    views = [
        open_views(path, [("clean", 0)], expected=head.expected, copies=len(paths))[0]
        for path in paths
    ]
    datasets, frames, values = list[dict[str, Any]](), list[pd.DataFrame](), list[FloatArray]()
    for place, (path, view, kept) in enumerate(
        zip(paths, views, shares([len(view) for view in views], points), strict=True)
    ):
        provenance, rows = read_provenance(path, kind="features"), read_rows(path)
        chosen = order_of_keeping(rows["id"].tolist())[:kept]
        name = str(provenance["dataset"])
        of_ood = "near OOD" if name in near else "far OOD"
        about = {"dataset": name, "role": roles.get(path, of_ood), "index": provenance["index"]}
        datasets.append({**about, "images": len(rows)})
        frame = rows.iloc[chosen][["id", "path"]].reset_index(drop=True)
        frames.append(frame.assign(dataset=np.int32(place), row=chosen.astype(np.int32)))
        values.append(_take(view, chosen))
    pool = views[0]
    everything = np.concatenate(values)
    reference = _take(pool, order_of_keeping(read_rows(adapt)["id"].tolist())[:_FITTED])
    places, axes = _places(layout, reference, everything, head)
    table = pd.concat(frames, ignore_index=True)
    table["x"], table["y"] = places.astype(np.float32).T
    table["ood_score"] = nearest_neighbours(
        everything,
        reference,
        k=max(LEAST_NEIGHBOURS, len(reference) // ADAPT_PER_NEIGHBOUR),
        members=(table["dataset"] == 0).to_numpy(),
    ).astype(np.float32)
    neighbours, distances = _nearest(everything)
    made = Layout(table, neighbours, distances, datasets, axes)
    write_layout(output, made, {**head.expected, "benchmark": benchmark})
    log.info("%d of %d images; %s", len(table), sum(map(len, views)), axes)


def _take(view: View, rows: IntArray) -> FloatArray:
    """Return some rows, ``[n, D]`` float32."""
    taken: FloatArray = np.asarray(some_rows(view, rows)[:], dtype=np.float32)
    return taken


def _places(
    layout: Axes, pool: FloatArray, values: FloatArray, head: ZeroShotHead
) -> tuple[FloatArray, str]:
    """Return places ``[N, 2]``, and what the axes are."""
    if layout == "umap":
        try:
            umap = importlib.import_module("umap")
        except ImportError as error:
            raise LpclipError(
                "explorer.layout is umap, which needs: pip install 'lpclip[umap]'"
            ) from error
        n_neighbours = min(15, len(values) - 1)
        found = umap.UMAP(metric="cosine", n_neighbors=n_neighbours, random_state=0, n_jobs=1)
        return np.asarray(found.fit_transform(values)), "UMAP of all points, cosine distance"
    if layout == "fisher":
        places = _fisher(pool, values, head)
        if places is not None:
            return places, "Fisher axes of zero-shot's classes in the unlabelled set"
        log.warning("zero-shot finds fewer than three classes: PCA in place of Fisher axes")
    return _pca(pool, values)


def _fisher(pool: FloatArray, values: FloatArray, head: ZeroShotHead) -> FloatArray | None:
    """Return places on the axes that separate zero-shot's classes best; None without three."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    classes = (pool @ head.weight.T).argmax(axis=1)
    names, counts = np.unique(classes, return_counts=True)
    common = np.isin(classes, names[counts > 1])
    if (counts > 1).sum() < 3:
        return None
    axes = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=2)
    axes.fit(pool[common], classes[common])
    return np.asarray(axes.transform(values))


def _pca(pool: FloatArray, values: FloatArray) -> tuple[FloatArray, str]:
    from sklearn.decomposition import PCA

    if len(pool) < 2:
        return np.zeros((len(values), 2)), "No axes: the unlabelled set is one image"
    axes = PCA(n_components=min(2, *pool.shape), svd_solver="covariance_eigh").fit(pool)
    places = np.zeros((len(values), 2), dtype=np.float32)
    places[:, : axes.n_components_] = axes.transform(values)
    explained = " and ".join(
        f"{share:.0%}" for share in np.nan_to_num(axes.explained_variance_ratio_)
    )
    return places, f"PCA axes of the unlabelled set: {explained} of its variance"


def _nearest(values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the nearest other points of each, and how far they are, ``[N, K]`` each."""
    from sklearn.neighbors import NearestNeighbors

    k = min(_NEIGHBOURS, len(values) - 1)
    if k < 1:
        return np.zeros((len(values), 0), np.int32), np.zeros((len(values), 0), np.float32)
    found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(values)
    distances, neighbours = found.kneighbors()
    return neighbours, distances
