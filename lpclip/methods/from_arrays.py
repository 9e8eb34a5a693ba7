"""Label-free methods on arrays: what the kinds of the same names do with the files of a cache."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lpclip.errors import LpclipError
from lpclip.methods.kinds import guarded
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.recommended import CANDIDATES
from lpclip.methods.training.self_training_settings import Settings
from lpclip.storage.probes import Probes
from lpclip.storage.pseudo_labels import PseudoLabels
from lpclip.storage.text import ZeroShotHead
from lpclip.types import FloatArray
from lpclip.utils.memory import Rows, empty_rows, row_slices
from lpclip.utils.settings import build


def train_guarded_probes(
    head: ZeroShotHead,
    views: Mapping[str, FloatArray],
    given: Mapping[str, Any],
    seeds: Sequence[int],
) -> Probes:
    """Train as methods of kind ``guarded``.

    Args:
        head: zero-shot.
        views: unit-length features ``[V, N, D]`` of the view ``clean``, and of ``weak`` and
            ``strong`` where there are any.
        given: settings as a configuration has them, labellings written out.
        seeds: S seeds.

    Raises:
        LpclipError: settings that are not allowed.
    """
    from lpclip.methods.training.guarded import train_guarded  # imports PyTorch

    settings = build(guarded.Settings, {"trained": CANDIDATES, **given}, where="settings")
    missing = [name for name in settings.candidates if name not in settings.trained]
    if missing:
        raise LpclipError(f"settings.trained has no candidate '{missing[0]}'.")
    trained = {name: _with_views(settings.trained[name], views) for name in settings.candidates}
    if len({one.teacher_view for one in trained.values()}) > 1:
        raise LpclipError(
            "settings.candidates: either all or none have student_view: clean; all learn from the "
            "same images."
        )
    return train_guarded(
        head,
        lambda training: _pool(views, training),
        trained,
        seeds,
        adapters=settings.adapters,
        hours=settings.hours,
    )


def self_train_probes(
    head: ZeroShotHead,
    views: Mapping[str, FloatArray],
    given: Mapping[str, Any],
    seeds: Sequence[int],
) -> Probes:
    """Train as methods of kind ``self_training``; arguments and errors as above."""
    from lpclip.methods.labelling.pseudo_labels import label_by_zero_shot
    from lpclip.methods.training.self_training import self_train  # imports PyTorch

    settings = _with_views(build(Settings, given, where="settings"), views)
    pool = _pool(views, settings)
    labels = label_by_zero_shot(head, pool.teacher, settings.labelling)
    labels = _as_read(labels, settings.labelling)
    probes = self_train(head, pool, settings, seeds, labels=labels)
    return replace(probes, student_view=settings.student_view)


def _as_read(labels: PseudoLabels, labelling: Labelling) -> PseudoLabels:
    """Return pseudo-labels as a file would give them back: probabilities in half precision."""
    values: Rows = labels.probabilities
    if labelling.labels == "hard":
        return replace(labels, probabilities=None)
    found: Rows = empty_rows(*values.shape)
    for rows in row_slices(*values.shape):
        found[rows] = values[rows].astype(np.float16).astype(np.float32)
    return replace(labels, probabilities=found)


def _with_views(settings: Settings, views: Mapping[str, FloatArray]) -> Settings:
    """Return settings with the views that there are, as the configuration sets them."""
    if len(views) == 1 or settings.student_view == "clean":
        return replace(settings, student_view="clean", teacher_view="clean")
    return replace(settings, teacher_view="weak")


def _pool(views: Mapping[str, FloatArray], settings: Settings) -> Any:
    """Return the unlabelled set with the views of teacher and student."""
    from lpclip.methods.training.pool import Pool, half_of_each

    both = settings.student_view == "both"
    student = half_of_each(views["weak"], views["strong"]) if both else views[settings.student_view]
    return Pool(views[settings.teacher_view], student)
