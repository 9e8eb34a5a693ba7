"""What the methods predict for the points, round by round, with their first seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from lpclip.metrics.ood_scores import max_logit
from lpclip.reporting.explorer import inline
from lpclip.storage.attributes import Attributes
from lpclip.storage.probes import Probes, read_probes
from lpclip.types import BoolArray, FloatArray, IntArray

TOP = 5  # classes that are listed for an image


def bytes_per_point(paths: Sequence[Path]) -> int:
    """Return the bytes that the predictions of methods take for a point."""
    total = 0
    for path in paths:
        heads, _ = read_probes(path, pool_alone=True)
        total += 4 * heads.n_rounds + 4 * TOP + 4
    return total


def of_method(
    path: Path,
    values: FloatArray,
    rows: IntArray,
    datasets: Mapping[str, BoolArray],
    *,
    zero_shot: bool = False,
) -> dict[str, Any]:
    """Return a method's predictions, as the page takes them.

    Args:
        path: probes of the method.
        values: features of N points, unit length.
        rows: ``[N]``, their rows in the caches of their datasets.
        datasets: name and index of each dataset, with a slash between them -> which points are
            of it.
        zero_shot: round 0 in place of the method: zero-shot, the same in every file.
    """
    heads, provenance = read_probes(path, pool_alone=True)
    n_classes = len(heads.class_names)
    rounds = [0] if zero_shot or heads.n_rounds == 1 else range(1, heads.n_rounds)
    found = [probabilities(heads, provenance, values, rows, datasets, number) for number in rounds]
    last = found[-1]
    top = np.argsort(-np.nan_to_num(last), axis=1, kind="stable")[:, :TOP]
    return {
        "name": str(provenance["method"]),
        "kind": str(provenance["method_kind"]),
        "seed": int(heads.seeds[0]),
        "labels": heads.n_labels,
        "rounds": [
            {
                "number": number,
                "prediction": inline.classes(predicted(one), n_classes),
                "confidence": inline.shares(np.nan_to_num(one).max(axis=1)),
            }
            for number, one in zip(rounds, found, strict=True)
        ],
        "top": inline.classes(top, n_classes),
        "topShares": inline.shares(np.take_along_axis(last, top, axis=1)),
        "oodScore": None
        if rounds[-1] >= len(heads.weight)
        else inline.numbers(max_logits(heads, values, rounds[-1])),
    }


def probabilities(
    heads: Probes,
    provenance: Attributes,
    values: FloatArray,
    rows: IntArray,
    datasets: Mapping[str, BoolArray],
    number: int,
    seed_index: int = 0,
) -> FloatArray:
    """Return probabilities ``[N, C]`` of a round; nan for images that the method does not predict.

    Args:
        heads: of the method, of which the first seed counts, or that of ``seed_index``.
        provenance: of its file.
        values: features of N points, unit length.
        rows: ``[N]``, their rows in the caches of their datasets.
        datasets: name and index of each dataset -> which points are of it.
        number: of the round, counted from 0.
        seed_index: place of the seed.
    """
    is_last = number == heads.n_rounds - 1
    found: FloatArray
    if is_last and heads.predicts_pool_alone:
        found = np.full((len(values), len(heads.class_names)), np.nan, dtype=np.float32)
    else:
        found = softmax(heads.logits(values, number, seed_index), axis=1)
    if is_last and heads.pool_probabilities is not None:
        of_pool = datasets.get(f"{provenance['pool_dataset']}/{provenance['pool_index']}")
        if of_pool is not None:
            found[of_pool] = np.asarray(heads.pool_probabilities[seed_index][rows[of_pool]])
    return found


def predicted(probabilities: FloatArray) -> IntArray:
    """Return the most probable class ``[N]``, -1 for an image that is not predicted."""
    missing = np.isnan(probabilities[:, 0])
    found: IntArray = np.where(missing, -1, np.nan_to_num(probabilities).argmax(axis=1))
    return found


def max_logits(heads: Probes, values: FloatArray, number: int, seed_index: int = 0) -> FloatArray:
    """Return the largest logit of a round ``[N]``: high means in-distribution."""
    weight, bias = heads.weight[number, seed_index], heads.bias[number, seed_index]
    logits = heads.scale * (values @ weight.T) + bias
    return max_logit(logits).astype(np.float32)
