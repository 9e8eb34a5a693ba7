"""The unlabelled set that students learn from, in memory or streamed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpclip.methods.training.self_training_settings import Settings
from lpclip.methods.training.streaming import Streamed, stream_cache
from lpclip.storage.features import read_versions, versions_of
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Pool:
    """The unlabelled set.

    Attributes:
        teacher: unit-length features that probes label, ``[V, N, D]``.
        student: those that students learn from, ``[W, N, D]``, in memory or streamed.
    """

    teacher: FloatArray
    student: FloatArray | Streamed

    def of(self, chosen: BoolArray) -> "Pool":
        """Return some of the samples, ``[N]``."""
        student = self.student
        part = student.of(chosen) if isinstance(student, Streamed) else student[:, chosen]
        return Pool(self.teacher[:, chosen], part)


def read_pool(head: ZeroShotHead, adapt: Path, settings: Settings) -> Pool:
    """Read the views of an unlabelled set; a view without versions is one version.

    Raises:
        LpclipError: the cache is of another model, or lacks a view.
    """
    teacher = read_versions(adapt, _versions(adapt, settings.teacher_view), expected=head.expected)
    if settings.student_view == settings.teacher_view:
        return Pool(teacher, teacher)
    versions = _versions(adapt, settings.student_view)
    budget = settings.memory_gb * 1e9
    if teacher.nbytes + len(versions) * teacher[0].nbytes <= budget:
        return Pool(teacher, read_versions(adapt, versions, expected=head.expected))
    left = max(budget - teacher.nbytes, budget / 2) / 1e9
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
