"""Pseudo-labels: a teacher's predictions on weak views, corrected by a prior, the sure ones kept.

The first teacher is zero-shot CLIP; self-training uses the same functions with later ones.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from lpclip import cache
from lpclip.errors import LpclipError
from lpclip.types import BoolArray, FloatArray, IntArray

log = logging.getLogger(__name__)

PRIORS = ("none", "align", "sinkhorn")
SINKHORN_STEPS = 100


@dataclass(frozen=True)
class Labelling:
    """How predictions become targets.

    Attributes:
        labels: ``hard`` (the most probable class) or ``soft`` (the distribution).
        temperature: logits are divided by it before the softmax.
        threshold: samples of at least this confidence are kept; 0 keeps all.
        top_k: keep the k most confident samples of each predicted class as well as the
            threshold; 0 keeps all.
        prior: ``none``; ``align``: divide by the mean prediction of each class, so that classes
            predicted too often become less probable; ``sinkhorn``: every class gets the same
            share of the samples, which is right only where the set is balanced.
    """

    labels: str = "hard"
    temperature: float = 1.0
    threshold: float = 0.5
    top_k: int = 0
    prior: str = "none"


@dataclass(frozen=True)
class PseudoLabels:
    """Targets for N samples; leading axes (seeds) are allowed.

    Attributes:
        probabilities: ``[..., N, C]`` float32, after the prior.
        class_index: ``[..., N]`` int32, the most probable class.
        confidence: ``[..., N]`` float32, its probability.
        selected: ``[..., N]``, which samples are sure enough to learn from.
    """

    probabilities: FloatArray
    class_index: IntArray
    confidence: FloatArray
    selected: BoolArray


def pseudo_labels(
    *,
    text: Path,
    features: Path,
    output: Path,
    labelling: Labelling,
    view: str = "weak",
) -> None:
    """Write the zero-shot teacher's pseudo-labels of an unlabelled set.

    Args:
        text: text cache.
        features: feature cache of the unlabelled set.
        output: table ``pseudo_labels`` (id, class_index, confidence, selected) and
            ``probabilities`` float16 ``[N, C]``.
        labelling: how predictions become targets.
        view: view that the teacher looks at; its versions are averaged.

    Raises:
        LpclipError: the caches do not come from the same model.
    """
    with cache.open_file(text, kind="text") as file:
        weight = file["features"][...]
        source = cache.provenance_of(file)
    images = cache.read_provenance(features, kind="features")
    expected = {key: source[key] for key in ("model", "weights")}
    values = cache.read_features(features, view, expected=expected)
    logits = source["scale"] * (values @ weight.T) + source["bias"]
    if logits.ndim == 2:
        logits = logits[None]
    teacher = mean_prediction(logits, temperature=labelling.temperature)
    made = label(teacher, labelling)
    with cache.open_file(features, kind="features") as file:
        samples = cache.read_table(file, "samples")
    provenance = {
        **expected,
        "text": cache.text_fingerprint(weight),
        "dataset": images["dataset"],
        "index": images["index"],
        "labelling": described(labelling),
        "view": view,
    }
    with cache.create(output, kind="pseudo_labels", provenance=provenance) as file:
        table = pd.DataFrame(
            {
                "id": samples["id"],
                "class_index": made.class_index,
                "confidence": made.confidence,
                "selected": made.selected,
            }
        )
        cache.write_table(file, "pseudo_labels", table)
        file["probabilities"] = made.probabilities.astype(np.float16)
    log.info("kept %d of %d pseudo-labels", made.selected.sum(), len(samples))


def described(labelling: Labelling) -> str:
    """The settings as text: what a file of pseudo-labels says of how it was made."""
    return json.dumps(vars(labelling), sort_keys=True)


def mean_prediction(logits: FloatArray, *, temperature: float) -> FloatArray:
    """Mean over versions of the softmax.

    Args:
        logits: ``[V, ..., N, C]``.
        temperature: divides the logits.

    Returns:
        ``[..., N, C]``, rows sum to 1.
    """
    mean: FloatArray = softmax(logits / temperature, axis=-1).mean(axis=0)
    return mean


def label(probabilities: FloatArray, labelling: Labelling) -> PseudoLabels:
    """Apply the prior, then keep the confident samples.

    Args:
        probabilities: ``[..., N, C]``, rows sum to 1.
        labelling: prior, threshold and top-k.
    """
    corrected = apply_prior(probabilities, labelling.prior)
    index = corrected.argmax(axis=-1).astype(np.int32)
    confidence = corrected.max(axis=-1)
    selected = confidence >= labelling.threshold
    if labelling.top_k:
        selected &= top_k_per_class(index, confidence, labelling.top_k)
    return PseudoLabels(
        corrected.astype(np.float32), index, confidence.astype(np.float32), selected
    )


def apply_prior(probabilities: FloatArray, prior: str) -> FloatArray:
    """Correct predictions by what is assumed of the class frequencies.

    Args:
        probabilities: ``[..., N, C]``, rows sum to 1.
        prior: ``none``, ``align`` or ``sinkhorn``, see ``Labelling``.

    Returns:
        ``[..., N, C]``, rows sum to 1.

    Alignment to a uniform distribution is one step of ReMixMatch (Berthelot et al. 2020):
    p ∝ p / mean(p). Balanced assignment scales rows and columns in turn until every class has
    the same share (Sinkhorn and Knopp 1967; for self-labelling Asano et al. 2020).

    >>> apply_prior(np.array([[0.9, 0.1], [0.6, 0.4]]), "align").round(2).tolist()
    [[0.75, 0.25], [0.33, 0.67]]
    """
    if prior == "none":
        return probabilities
    if prior not in PRIORS:
        raise LpclipError(f"Unknown prior '{prior}'. Available: {', '.join(PRIORS)}.")
    # A class that no sample can be in has no share to correct.
    smallest = np.finfo(np.float32).tiny
    for _ in range(1 if prior == "align" else SINKHORN_STEPS):
        share = probabilities.mean(axis=-2, keepdims=True)
        probabilities = probabilities / np.maximum(share, smallest)
        total = probabilities.sum(axis=-1, keepdims=True)
        probabilities = probabilities / np.maximum(total, smallest)
    return probabilities


def top_k_per_class(index: IntArray, confidence: FloatArray, k: int) -> BoolArray:
    """Whether a sample is among the k most confident of its class.

    Args:
        index: ``[..., N]``, class of each sample.
        confidence: ``[..., N]``; of equal ones the earlier sample comes first.
        k: samples per class.

    >>> top_k_per_class(np.array([0, 0, 1]), np.array([0.5, 0.9, 0.2]), 1).tolist()
    [False, True, True]
    """
    rank = np.empty(index.shape, dtype=np.int64)
    for position in np.ndindex(index.shape[:-1]):
        order = np.lexsort((-confidence[position], index[position]))
        classes = index[position][order]
        first_of_class = np.searchsorted(classes, classes)
        rank[position][order] = np.arange(len(order)) - first_of_class
    return rank < k
