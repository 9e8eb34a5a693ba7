"""Export the images of a layout as one table, for Apple's embedding-atlas and for data frames."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from lpclip.errors import LpclipError
from lpclip.reporting.explorer.heads import max_logits, predicted, probabilities
from lpclip.reporting.explorer.points import (
    Pair,
    features_of,
    files_by_content,
    labels_of,
    masks_by_key,
    read_pair,
)
from lpclip.storage.features import KIND
from lpclip.storage.hdf5 import open_file
from lpclip.storage.made_from import read_record
from lpclip.storage.probes import place, read_probes
from lpclip.storage.untrusted import check_untrusted
from lpclip.types import FloatArray, IntArray
from lpclip.utils.atomic import atomic_path
from lpclip.utils.writable import check_output_folder

NAME = "atlas.parquet"
_README = """# Images for embedding-atlas

{about}

    pip install embedding-atlas
    embedding-atlas {name} --x x --y y --neighbors neighbors
"""
_ABOUT = (
    "`{name}` has a row for each of {n} images: `vector` (features of unit length), `x` and `y` "
    "({axes}), `neighbors` (rows of the nearest images and their distances; the first is the image "
    "itself) and the `path` of its picture. By {method}, round {round}, seed {seed}: `prediction`, "
    "`confidence`, `zero_shot` (the class that zero-shot predicts), `change` and `max_logit`. "
    "`ood_score` depends on the features alone; high means in-distribution. `label` is empty where "
    "none was given."
)


def export_atlas(
    *,
    probes: Path,
    layout: Path,
    output: Path,
    features: Sequence[Path] = (),
    samples: Sequence[Path] = (),
    round: int = -1,
    seed: int | None = None,
) -> list[Path]:
    """Write ``atlas.parquet`` and ``README.md``.

    Args:
        probes: a ``probes.h5``.
        layout: the ``layout.h5`` of its benchmark.
        output: folder, created if it is missing.
        features: clean caches of the images; by default those that the layout was made from.
        samples: indices whose labels are written; none by default.
        round: counted from 0, the zero-shot head; -1 is the last.
        seed: of the probe; None for the first seed of the method.

    Returns:
        The files.

    Raises:
        LpclipError: no such round or seed; features of other images or another model; a layout of
            another benchmark.
    """
    check_output_folder(output)
    for path in (probes, layout, *features, *samples):
        check_untrusted(path)
    pair = read_pair(layout, [probes])
    heads, provenance = read_probes(probes, pool_alone=True)
    number, seed_index = place(probes, heads, round=round, seed=seed)
    files = files_by_content(features or _made_from(layout), samples)
    values, labels = features_of(pair, files), labels_of(pair, files, heads.class_names)
    rows = pair.layout.points["row"].to_numpy()
    before, after = (
        probabilities(heads, provenance, values, rows, masks_by_key(pair), one, seed_index)
        for one in (0, number)
    )
    columns = {
        "prediction": _names(heads.class_names, predicted(after)),
        "confidence": pa.array(after.max(axis=1), pa.float32()),
        "zero_shot": _names(heads.class_names, predicted(before)),
        "change": pa.array(_changes(labels, predicted(before), predicted(after))),
        "label": _names(heads.class_names, labels),
        "max_logit": pa.array(max_logits(heads, values, number, seed_index), pa.float32()),
    }
    table = _table(pair, values, columns)
    about = _ABOUT.format(
        name=NAME,
        n=f"{len(pair.layout.points):,}",
        axes=pair.layout.axes,
        method=provenance["method"],
        round=number,
        seed=heads.seeds[seed_index],
    )
    text = _README.format(name=NAME, about=textwrap.fill(about, 100, break_on_hyphens=False))
    with atomic_path(output / NAME) as temporary:
        pa.parquet.write_table(table, temporary)
    with atomic_path(output / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [output / NAME, output / "README.md"]


def _made_from(layout: Path) -> list[Path]:
    """Return the feature caches that a layout was made from, by its record.

    Raises:
        LpclipError: it has no record, or one of them is not there any more.
    """
    inputs = (read_record(layout) or {}).get("inputs", {})
    paths = [(layout.parent / name).resolve() for name in inputs]
    missing = [path for path in paths if not path.is_file()]
    if not paths or missing:
        what = f"{missing[0]} is not there" if missing else f"{layout} has no record of its caches"
        raise LpclipError(f"{what}. Name the feature caches of its images with --features.")
    return [path for path in paths if _is_cache(path)]


def _is_cache(path: Path) -> bool:
    """Whether a file holds features of images: the text is an input of a layout as well."""
    with open_file(path) as file:
        return bool(file.attrs["kind"] == KIND)


def _table(pair: Pair, values: FloatArray, columns: Mapping[str, Any]) -> pa.Table:
    """Return the columns that embedding-atlas reads, and those of lpclip."""
    points, layout = pair.layout.points, pair.layout
    own = np.arange(len(points))[:, None]
    neighbours = np.concatenate([own, layout.neighbours], axis=1)
    distances = np.concatenate([np.zeros(own.shape, np.float32), layout.distances], axis=1)
    vectors = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
    datasets = [layout.datasets[place] for place in points["dataset"]]
    return pa.table(
        {
            "id": pa.array(points["id"].tolist(), pa.string()),
            "path": pa.array(points["path"].tolist(), pa.string()),
            "dataset": pa.array([str(one["dataset"]) for one in datasets]),
            "role": pa.array([str(one["role"]) for one in datasets]),
            **columns,
            "ood_score": pa.array(points["ood_score"].to_numpy(), pa.float32()),
            "x": pa.array(points["x"].to_numpy(), pa.float32()),
            "y": pa.array(points["y"].to_numpy(), pa.float32()),
            "neighbors": pa.StructArray.from_arrays(
                [_lists(neighbours, pa.int64()), _lists(distances, pa.float32())],
                ["ids", "distances"],
            ),
            "vector": pa.FixedSizeListArray.from_arrays(vectors, values.shape[1]),
        }
    )


def _lists(values: Any, type_: pa.DataType) -> pa.ListArray:
    n, k = values.shape
    return pa.ListArray.from_arrays(
        pa.array(np.arange(n + 1) * k, pa.int32()), pa.array(values.ravel(), type_)
    )


def _names(class_names: Sequence[str], numbers: IntArray) -> pa.Array:
    """Return names of classes; none for -1."""
    return pa.array([class_names[one] if one >= 0 else None for one in numbers], pa.string())


def _changes(labels: IntArray, before: IntArray, after: IntArray) -> list[str]:
    """Return what the method changed: fixed and broken where there is a label."""
    found = np.where(before == after, "unchanged", "changed").astype(object)
    found[(labels >= 0) & (before != labels) & (after == labels)] = "fixed"
    found[(labels >= 0) & (before == labels) & (after != labels)] = "broken"
    return [str(one) for one in found]
