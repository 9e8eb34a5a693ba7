"""The unlabelled set that students learn from, in memory or streamed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpclip.methods.training.self_training_settings import Settings
from lpclip.methods.training.streaming import Streamed, stream_cache
from lpclip.storage.features import read_versions, verify_versions, versions_of
from lpclip.storage.stored_views import Views, some_images, stored_views
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray
from lpclip.utils.memory import memory_budget


@dataclass(frozen=True)
class Pool:
    """The unlabelled set.

    Attributes:
        teacher: unit-length features that probes label, ``[V, N, D]``, in memory or on the disk.
        student: those that students learn from, ``[W, N, D]``, in memory or streamed.
    """

    teacher: Views
    student: FloatArray | Streamed

    def of(self, chosen: BoolArray) -> "Pool":
        """Return some of the samples, ``[N]``."""
        student = self.student
        part = student.of(chosen) if isinstance(student, Streamed) else student[:, chosen]
        return Pool(some_images(self.teacher, np.flatnonzero(chosen)), part)


def read_pool(head: ZeroShotHead, adapt: Path, settings: Settings) -> Pool:
    """Read the views of an unlabelled set; a view without versions is one version.

    Raises:
        LpclipError: the cache is of another model, or lacks a view.
    """
    labelled = _versions(adapt, settings.teacher_view)
    versions = _versions(adapt, settings.student_view)
    same = settings.student_view == settings.teacher_view
    on_disk = stored_views(adapt, labelled, expected=head.expected)
    n_views, n_samples, dim = on_disk.shape
    one_view = 4 * n_samples * dim
    budget = memory_budget() if settings.memory_gb is None else settings.memory_gb * 1e9
    together = one_view * (n_views if same else n_views + len(versions))
    if together <= budget or n_views * one_view <= budget / 2:
        teacher: Views = read_versions(adapt, labelled, expected=head.expected)
    else:
        verify_versions(adapt, labelled)
        teacher = on_disk
    if together <= budget:
        assert isinstance(teacher, np.ndarray)
        if same:
            return Pool(teacher, teacher)
        return Pool(teacher, read_versions(adapt, versions, expected=head.expected))
    left = max(budget - n_views * one_view, budget / 2) / 1e9
    return Pool(teacher, stream_cache(adapt, versions, expected=head.expected, memory_gb=left))


def half_of_each(weak: FloatArray, strong: FloatArray) -> FloatArray:
    """Join the views of a student of both kinds: the first half of the versions of each.

    Args:
        weak: ``[V, N, D]``.
        strong: ``[W, N, D]``.

    Returns:
        ``[ceil(V / 2) + ceil(W / 2), N, D]``.
    """
    return np.concatenate([views[: _half(len(views))] for views in (weak, strong)])


def _half(versions: int) -> int:
    return (versions + 1) // 2


def _versions(adapt: Path, student_view: str) -> list[tuple[str, int]]:
    """Return view and version of all that a student learns from."""
    if student_view == "both":
        counts = {view: _half(versions_of(adapt, view)) for view in ("weak", "strong")}
    else:
        counts = {student_view: versions_of(adapt, student_view)}
    return [(view, version) for view, n in counts.items() for version in range(n)]
