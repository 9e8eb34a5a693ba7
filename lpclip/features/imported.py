"""Import precomputed features into the caches that all later stages read.

Without torch, unless the configuration names the weights that made them: then the model is loaded
to check the width and to take its hash, scale and bias.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.features.text_checks import check_distinct
from lpclip.models.spec import PRECOMPUTED, ModelSpec
from lpclip.storage.arrays.base import AnyArray, Arrays
from lpclip.storage.arrays.registry import IMAGE_KEYS, TEXT_KEYS, open_arrays
from lpclip.storage.features import CHUNK_ROWS, normalise, write_features
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.opening import make_again
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.storage.text import write_text
from lpclip.types import FloatArray, OutputFile

log = logging.getLogger(__name__)

# Values of OpenAI's and most other models; the scale is the maximum in their training.
SCALE, BIAS = 100.0, 0.0


def copy_features(
    *,
    samples: Path,
    output: OutputFile,
    dataset: str,
    path: str,
    model: ModelSpec,
    key: str | None = None,
) -> None:
    """Write the clean view of a dataset of features: its rows in the order of the index.

    Args:
        samples: index of the dataset; its labels are not read.
        output: feature cache.
        dataset: name of the dataset.
        path: file or folder that holds the features.
        model: the model that made them.
        key: which array of the file, see ``lpclip.data.sources.features``.

    Raises:
        LpclipError: features that are not finite, are zero, do not fit float16, or were made by
            another model.
    """
    arrays = open_arrays(path)
    name = arrays.pick(key, ndim=2, prefer=IMAGE_KEYS)
    index = read_samples(samples, labels=False)
    values = arrays.features(name)
    listed = read_provenance(samples).get("listed", len(index))
    if listed != len(values):
        raise LpclipError(
            f"{samples} lists {listed} rows, but '{name}' in {path} has {len(values)}."
            f"{make_again(samples)}"
        )
    made_by, _, _ = _model(model, arrays, values.shape[1])
    provenance = {
        **made_by,
        "dataset": dataset,
        "index": fingerprint(index),
        "source": json.dumps({"path": path, "key": name}, sort_keys=True),
        "views": json.dumps({"clean": {}}),
        "dtype": "float16",
    }
    rows = index["path"].astype(int).to_numpy()
    parts = _halves(values, rows, f"{path}: '{name}'")
    write_features(output, samples=index, versions={"clean": 0}, parts=parts, provenance=provenance)
    log.info("copied %d rows of %s", len(index), path)


def copy_text(
    *,
    output: OutputFile,
    path: str,
    class_names: Sequence[str],
    model: ModelSpec,
    key: str | None = None,
) -> None:
    """Write a text cache of precomputed text features, one row per class.

    Args:
        output: text cache, as ``lpclip embed-text`` writes it; rows are normalised.
        path: file or folder that holds the features.
        class_names: C names, in the order of the rows.
        model: the model that made them.
        key: which array of the file.

    Raises:
        LpclipError: not one row per class; rows that are not finite, are zero, or are the same for
            two classes; features of another model.
    """
    arrays = open_arrays(path)
    name = arrays.pick(key, ndim=2, prefer=TEXT_KEYS)
    values = arrays.features(name)
    if len(values) != len(class_names):
        raise LpclipError(
            f"{path}: '{name}' has {len(values)} rows for {len(class_names)} class names. "
            "Give one row per class, in the order of the names."
        )
    _check(values, np.arange(len(values)), f"{path}: '{name}'")
    features = normalise(np.asarray(values, dtype=np.float64)).astype(np.float32)
    check_distinct(features, class_names, where=f"{path}: '{name}'")
    made_by, scale, bias = _model(model, arrays, values.shape[1])
    provenance = {
        **made_by,
        "source": json.dumps({"path": path, "key": name}, sort_keys=True),
        "scale": scale,
        "bias": bias,
    }
    write_text(output, features=features, class_names=class_names, provenance=provenance)
    log.info("copied the text features of %d classes", len(class_names))


def _model(
    spec: ModelSpec, arrays: Arrays, width: int
) -> tuple[dict[str, str | int | float], float, float]:
    """Return provenance, scale and bias of the model that made the features.

    Files without provenance are trusted; those of lpclip must agree with the configuration.
    """
    found = arrays.provenance
    if spec.pretrained == PRECOMPUTED:
        weights = spec.weights or str(found.get("weights", PRECOMPUTED))
        provenance: dict[str, str | int | float] = {
            "model": spec.name,
            "architecture": spec.architecture,
            "pretrained": spec.pretrained,
            "weights": weights,
        }
        scale = _agreed(arrays.path, "scale", spec.scale, found, SCALE)
        bias = _agreed(arrays.path, "bias", spec.bias, found, BIAS)
    else:
        from lpclip.models.clip import load_model  # imports torch

        model = load_model(spec, device="cpu")
        if width != model.width:
            raise LpclipError(
                f"{arrays.path} has features of width {width}, but model '{spec.name}' makes "
                f"{model.width}. Name the model that made them, or 'pretrained: precomputed'."
            )
        provenance, weights = model.provenance, model.weights
        scale, bias = model.scale, model.bias
    if (made_with := found.get("weights", weights)) != weights:
        raise LpclipError(
            f"{arrays.path} was made with weights {made_with} of model '{found.get('model')}', "
            f"not {weights} of '{spec.name}'. Give each set of weights a model of its own."
        )
    return provenance, scale, bias


def _agreed(
    path: Path, what: str, given: float | None, found: Mapping[str, Any], default: float
) -> float:
    """Return a setting of a precomputed model: as given, else from an lpclip cache."""
    if given is None or what not in found:
        return float(found.get(what, default) if given is None else given)
    if not np.isclose(given, found[what]):
        raise LpclipError(
            f"{path} has the {what} {found[what]}, but the model {given}. Leave '{what}' out."
        )
    return given


def _halves(values: AnyArray, rows: AnyArray, place: str) -> Iterator[FloatArray]:
    """Iterate over chunks ``[1, n, D]`` float16 of the rows, in their order."""
    for start in range(0, len(rows), CHUNK_ROWS):
        chosen = rows[start : start + CHUNK_ROWS]
        chunk = np.asarray(values[chosen])
        _check(chunk, chosen, place)
        with np.errstate(over="ignore"):
            half = chunk.astype(np.float16)
        off = ~np.isfinite(half).all(axis=1) | ~half.any(axis=1)
        if off.any():
            raise LpclipError(
                f"{place} has numbers too large or too small for float16 (row {chosen[off][0]}). "
                "Give the rows unit length."
            )
        yield half[None]


def _check(values: AnyArray, rows: AnyArray, place: str) -> None:
    infinite, zero = ~np.isfinite(values).all(axis=1), ~values.any(axis=1)
    for wrong, what in ((infinite, "nan or inf"), (zero, "only zeros")):
        if wrong.any():
            raise LpclipError(f"{place} has {what} in row {rows[wrong][0]}. Remove that row.")
