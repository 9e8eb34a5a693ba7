"""Pseudo-labels: a teacher's predictions on weak views, corrected, the confident ones kept.

The first teacher is zero-shot CLIP; self-training uses the same functions with later ones.
docs/method.md explains the corrections.
"""

import json
import logging
from pathlib import Path

import numpy as np

from lpclip.methods.labelling.heads import (
    Heads,
    mean_softmax,
    most_probable,
    one_head,
    repeated_logits,
)
from lpclip.methods.labelling.part import learned_part
from lpclip.methods.labelling.priors import apply_prior
from lpclip.methods.labelling.settings import Labelling, TeacherView
from lpclip.methods.labelling.structure import Structure, calibrated_temperature
from lpclip.storage.features import read_rows
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.pseudo_labels import PseudoLabels, write_pseudo_labels
from lpclip.storage.stored_views import Views, all_versions, open_views, some_images
from lpclip.storage.text import ZeroShotHead, read_head, text_fingerprint
from lpclip.types import FloatArray, IntArray, OutputFile
from lpclip.utils.memory import Rows, empty_rows, largest_of_rows, row_slices

log = logging.getLogger(__name__)

# Images per class with which Gaussian classes have half of their weight.
IMAGES_FOR_HALF = 16


def pseudo_labels(
    *,
    text: Path,
    features: Path,
    output: OutputFile,
    labelling: Labelling,
    view: TeacherView = "weak",
) -> None:
    """Write the zero-shot teacher's pseudo-labels of an unlabelled set.

    Args:
        text: text cache.
        features: feature cache of the unlabelled set.
        output: table ``pseudo_labels`` (id, class_index, confidence, selected) and
            ``probabilities`` float16 ``[N, C]``, for pandas with ids and class names.
        labelling: how predictions become targets.
        view: view that the teacher labels; its versions are averaged.

    Raises:
        LpclipError: the caches do not come from the same model.
    """
    head, _ = read_head(text)
    images = read_provenance(features, kind="features")
    views = open_views(features, all_versions(features, view), expected=head.expected)
    made = label_by_zero_shot(head, views, labelling)
    provenance = {
        **head.expected,
        "text": text_fingerprint(head.weight),
        "dataset": images["dataset"],
        "index": images["index"],
        "labelling": described(labelling),
        "view": view,
    }
    write_pseudo_labels(
        output,
        made,
        ids=list(read_rows(features)["id"]),
        class_names=head.class_names,
        provenance=provenance,
    )
    log.info("kept %d of %d pseudo-labels", made.selected.sum(), len(made.selected))


def label_by_zero_shot(head: ZeroShotHead, views: Views, labelling: Labelling) -> PseudoLabels:
    """Return the zero-shot teacher's pseudo-labels of an unlabelled set.

    Args:
        head: the teacher.
        views: unit-length features ``[V, N, D]``.
        labelling: how predictions become targets; classes that are not learned have no
            probability.
    """
    part = learned_part(head, views, labelling)
    if len(part.classes) < 2:
        return _nothing(views.shape[1], len(head.weight))
    if part.whole:
        return label_views(*scaled(head), labelling, Structure(views, len(head.weight)))
    learned, some = head.of(part.classes), some_images(views, part.rows)
    structure = Structure(some, n_classes=len(part.classes))
    return part.complete(label_views(*scaled(learned), labelling, structure))


def scaled(head: ZeroShotHead) -> tuple[FloatArray, FloatArray]:
    """Return weight ``[C, D]`` and bias ``[C]`` of zero-shot's logits."""
    return head.scale * head.weight, np.full(len(head.weight), head.bias)


def _nothing(n_samples: int, n_classes: int) -> PseudoLabels:
    """Return labels of which none is selected: there are no two classes to distinguish."""
    even: Rows = empty_rows(n_samples, n_classes)
    for rows in row_slices(n_samples, n_classes):
        even[rows] = np.full((rows.stop - rows.start, n_classes), 1 / n_classes, np.float32)
    return PseudoLabels(
        even,
        np.full(n_samples, -1, dtype=np.int32),
        np.full(n_samples, 1 / n_classes, dtype=np.float32),
        np.zeros(n_samples, dtype=bool),
    )


def label_views(
    weight: FloatArray, bias: FloatArray, labelling: Labelling, structure: Structure
) -> PseudoLabels:
    """Turn a teacher's predictions for the views of an unlabelled set into pseudo-labels.

    Args:
        weight: of the teacher's logits, ``[C, D]``, the scale of the model included.
        bias: likewise, ``[C]``.
        labelling: all of it.
        structure: of the views.
    """
    views = structure.views
    first = one_head(weight, bias, views.shape[1])
    first = first.scaled(1 / _temperature(first, labelling, structure))
    if not labelling.structure:
        return label(mean_softmax(views, first), labelling)
    corrected = apply_prior(
        mean_softmax(views, first), labelling.prior, radius=labelling.prior_radius
    )
    heads = structure.gaussian_heads(corrected).scaled(
        structure_weight(labelling.structure, *corrected.shape)
    )
    del corrected  # as large as what is made next
    heads = heads.plus(first.weight[0], first.bias[0])
    if labelling.temperature == "auto":
        heads = heads.scaled(1 / _temperature(heads, labelling, structure))
    return label(mean_softmax(views, heads), labelling)


def structure_weight(most: float, n_samples: int, n_classes: int) -> float:
    """Return the weight of the Gaussian classes: half of the most with 16 images per class.

    >>> structure_weight(0.6, 320, 20)
    0.3
    """
    return most * n_samples / (n_samples + IMAGES_FOR_HALF * n_classes)


def described(labelling: Labelling) -> str:
    """Return the settings as text, for the provenance of a file of pseudo-labels."""
    return json.dumps(vars(labelling), sort_keys=True)


def label(probabilities: Rows, labelling: Labelling) -> PseudoLabels:
    """Apply the prior, then keep the confident samples.

    Args:
        probabilities: ``[..., N, C]``, rows sum to 1.
        labelling: prior and selection; temperature and structure are applied already.
    """
    corrected = apply_prior(probabilities, labelling.prior, radius=labelling.prior_radius)
    places, confidence = largest_of_rows(corrected)
    index = places.astype(np.int32)
    selected = confidence >= labelling.threshold
    if labelling.class_floor or labelling.top_k:
        rank, size = rank_in_class(index, confidence)
        if labelling.class_floor:
            selected |= rank < np.ceil(labelling.class_floor * size)
        if labelling.top_k:
            selected &= rank < labelling.top_k
    if isinstance(corrected, np.ndarray):
        corrected = corrected.astype(np.float32, copy=False)
    return PseudoLabels(corrected, index, confidence.astype(np.float32), selected)


def rank_in_class(index: IntArray, confidence: FloatArray) -> tuple[IntArray, IntArray]:
    """Rank the samples of each class, the most confident first, and count them.

    Args:
        index: ``[..., N]``, class of each sample.
        confidence: ``[..., N]``; of equal ones the earlier sample comes first.

    Returns:
        Rank from 0 and size of the class, int64 ``[..., N]`` each.

    >>> rank, size = rank_in_class(np.array([0, 0, 1]), np.array([0.5, 0.9, 0.2]))
    >>> rank.tolist(), size.tolist()
    ([1, 0, 0], [2, 2, 1])
    """
    rank = np.empty(index.shape, dtype=np.int64)
    size = np.empty(index.shape, dtype=np.int64)
    for position in np.ndindex(index.shape[:-1]):
        order = np.lexsort((-confidence[position], index[position]))
        classes = index[position][order]
        first_of_class = np.searchsorted(classes, classes)
        rank[position][order] = np.arange(len(order)) - first_of_class
        size[position][order] = np.searchsorted(classes, classes, side="right") - first_of_class
    return rank, size


def _temperature(heads: Heads, labelling: Labelling, structure: Structure) -> float:
    """Return the temperature that is set, or the one at which confidence is agreement.

    In a large set both are of the samples whose neighbours are looked up.
    """
    if labelling.temperature != "auto":
        return labelling.temperature
    rows, _ = structure.neighbours
    agreement = structure.agreement(most_probable(structure.views, heads, rows))
    return calibrated_temperature(repeated_logits(structure.views, heads, rows), agreement)
