"""Detect useless zero-shot heads: classes with the same text features, truncated prompts."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lpclip.errors import LpclipError
from lpclip.types import FloatArray

log = logging.getLogger(__name__)

# Cosines of classes. Rows that differ only by rounding are within 1e-12 of 1 in single and 1e-6 in
# half precision; the closest of 226 real classes of three models have .955 (toy and miniature
# poodle).
SAME, NEAR = 1 - 1e-6, 0.999
_ROWS = 256
_SHOWN = 5


def check_distinct(
    features: FloatArray,
    names: Sequence[str],
    *,
    where: str,
    reason: Callable[[int, int], str] | None = None,
) -> None:
    """Refuse classes with the same text features, and warn of those with nearly the same.

    Classes with the same name, like two pairs of ImageNet's published names, only cause a warning.
    The features are ``[C, D]``, of unit length; ``reason`` explains in a sentence why two classes,
    given by index, have the same.

    Raises:
        LpclipError: classes with different names have the same features.
    """
    first_like, n_near, nearest = _close(np.asarray(features, dtype=np.float64))
    for first in np.unique(first_like[first_like != np.arange(len(names))]).tolist():
        rows = np.flatnonzero(first_like == first).tolist()
        other = next((row for row in rows if names[row] != names[first]), None)
        if other is not None:
            shown = ", ".join(f"'{names[row]}'" for row in rows[: 2 * _SHOWN])
            more = ", …" if len(rows) > 2 * _SHOWN else ""
            why = reason(first, other) if reason is not None else ""
            raise LpclipError(
                f"{where}: {len(rows)} classes have the same text features ({shown}{more}), so "
                f"the head cannot distinguish them. {why}"
                "Give them names or prompts that differ to the model, or make them one class."
            )
        log.warning(
            "%s: classes %s have the same name, '%s', and the head cannot distinguish them",
            where,
            " and ".join(map(str, rows)),
            names[first],
        )
    if n_near:
        log.warning(
            "%s: %d pair%s of classes with nearly the same text features, which the head hardly "
            "distinguishes: %s%s",
            where,
            n_near,
            "s" * (n_near > 1),
            "; ".join(f"'{names[a]}' and '{names[b]}' (cosine {c:.6f})" for c, a, b in nearest),
            "; …" if n_near > len(nearest) else "",
        )


def warn_of_cut(
    found: Sequence[tuple[str, str, int]], *, where: str, length: int, total: int
) -> None:
    """Warn of prompts, each with class and number of tokens, longer than the model's context."""
    if not found:
        return
    shown = "; ".join(
        f"'{text if len(text) <= 100 else text[:100] + '…'}' of class '{name}' ({count} tokens)"
        for name, text, count in found[:_SHOWN]
    )
    log.warning(
        "%s: %d of %d prompts are longer than the %d tokens that the model takes, and are "
        "truncated: %s%s",
        where,
        len(found),
        total,
        length,
        shown,
        "; …" if len(found) > _SHOWN else "",
    )


def _close(rows: FloatArray) -> tuple[npt.NDArray[np.intp], int, list[tuple[float, int, int]]]:
    """Return per row the first equal row; the number of nearly equal pairs, and some of them."""
    first_like = np.arange(len(rows))
    n_near, nearest = 0, []
    for start in range(0, len(rows), _ROWS):
        cosines = np.tril(rows[start : start + _ROWS] @ rows[: start + _ROWS].T, start - 1)
        same = cosines >= SAME
        found = same.any(axis=1)
        first_like[start : start + _ROWS][found] = first_like[same.argmax(axis=1)[found]]
        near = np.argwhere((cosines >= NEAR) & ~same)
        n_near += len(near)
        values = cosines[tuple(near.T)]
        for place in np.argsort(-values, kind="stable")[:_SHOWN]:
            row, earlier = near[place]
            nearest.append((float(values[place]), int(earlier), start + int(row)))
    return first_like, n_near, sorted(nearest, key=lambda pair: -pair[0])[:_SHOWN]
