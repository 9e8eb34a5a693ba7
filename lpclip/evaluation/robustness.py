"""Accuracy and calibration of a method's probes.

The evaluation is the only stage, apart from supervised training, that reads labels. It reads the
probe of the last round; ``lpclip.evaluation.rounds`` reads them all.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.special import softmax

from lpclip.columns.robustness import ROBUSTNESS
from lpclip.corruption_names import STANDARD, family_of
from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import Groups, Labels, check_same_images, group_logits
from lpclip.evaluation.common import (
    checked_labels,
    covers_pool,
    experiment,
    round_logits,
    views_of,
)
from lpclip.metrics.classification import metrics_of
from lpclip.metrics.effective import effective_robustness
from lpclip.storage.features import view_settings
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.probes import Probes, read_probes
from lpclip.storage.reports import write_part
from lpclip.storage.stored_views import View, some_rows
from lpclip.types import IntArray, OutputFile, PublishedShift

log = logging.getLogger(__name__)

# Classes of the shifts of ``lpclip.metrics.effective.FITS``: on fewer of them a fit does not hold.
CLASSES_OF_FIT = {"imagenet_v2": 1000, "imagenet_sketch": 1000, "imagenet_r": 200, "objectnet": 113}


def evaluate(
    *,
    probes: Path,
    features: Path,
    output: OutputFile,
    samples: Path | None = None,
    test: Path | None = None,
    test_samples: Path | None = None,
    shift: str = "",
    published: PublishedShift | Literal[""] = "",
) -> None:
    """Evaluate the last round's probes on every view of one cache: accuracy, calibration, risk.

    On a natural shift, which may have only some of the benchmark's classes, logits are restricted
    to these; clean test images of the same classes, restricted likewise, get rows of their own.

    Args:
        probes: of one method.
        features: feature cache of a set: its clean view, or corruptions.
        output: CSV, one row per seed, shift and severity (clean is severity 0).
        samples: the set's index; without it, only what needs no label is evaluated.
        test: of a natural shift: feature cache with the clean view of the benchmark's test set.
        test_samples: index of the test set, for a natural shift or published corruptions.
        shift: name of the natural shift that the set is; empty for the benchmark's own test set.
        published: the shift's name in ``lpclip.metrics.effective.FITS``, for effective robustness.

    Raises:
        LpclipError: labels of other images or classes, or not for all images.
    """
    heads, provenance = read_probes(probes, pool_alone=True)
    of_pool = covers_pool(heads, provenance, features)
    images = read_provenance(features)
    settings = view_settings(features)
    own, groups, labels = None, None, None
    if samples is not None:
        labels = checked_labels(samples, features, heads, several=bool(shift))
        own, groups = (labels.own, labels.groups) if shift else (labels.of_benchmark, None)
    rows = []
    for view, severity, values in views_of(features, provenance):
        family = "natural" if shift else "clean" if severity == 0 else family_of(view)
        official = bool(settings.get(view, {}).get("official"))
        if official and samples is not None and test_samples is not None:
            check_same_images(samples, test_samples, heads.class_names)
        place = {
            "dataset": images["dataset"],
            "shift": shift or view,
            "family": family,
            "group": _group(family, view),
            "source": ("official" if official else "generated") if severity else family,
            "texture": "" if official else _texture(view, settings.get(view, {})),
            "severity": severity,
            "subset": "",
            "effective_robustness": float("nan"),
        }
        rows += [
            {
                **experiment(provenance, seed),
                **place,
                **_measured(
                    heads, values, seed_index, own, groups, of_pool=of_pool and view == "clean"
                ),
            }
            for seed_index, seed in enumerate(heads.seeds)
        ]
    if shift and labels is not None and test is not None and test_samples is not None:
        clean = _clean_rows(rows, labels, heads, provenance, test, test_samples)
        for row, other in zip(rows, clean, strict=True):
            row["effective_robustness"] = _effective_robustness(row, other, labels, published)
        if labels.is_subset:
            rows += clean
    write_part(rows, output, ROBUSTNESS)


def _measured(
    heads: Probes,
    values: View,
    seed_index: int,
    labels: IntArray | None,
    groups: Groups | None,
    *,
    of_pool: bool = False,
) -> dict[str, float]:
    """Return the metrics of one seed; over groups of classes, which labels count, if given."""
    blocks = (
        softmax(logits if groups is None else group_logits(logits, groups), axis=-1)
        for _, logits in round_logits(heads, values, -1, seed_index, of_pool=of_pool)
    )
    return metrics_of(blocks, labels)


def _clean_rows(
    rows: Sequence[Mapping[str, Any]],
    labels: Labels,
    heads: Probes,
    provenance: Mapping[str, Any],
    test: Path,
    test_samples: Path,
) -> list[dict[str, Any]]:
    """Return a row on the clean test images of the same classes for each row of a shift."""
    own = labels.restricted(checked_labels(test_samples, test, heads).of_benchmark)
    kept = np.flatnonzero(own != UNLABELLED)
    values = some_rows(next(views_of(test, provenance))[2], kept)
    clean = dict.fromkeys(("shift", "family", "group", "source"), "clean")
    clean["dataset"] = str(read_provenance(test)["dataset"])
    return [
        {
            **row,
            **clean,
            "subset": row["shift"],
            **_measured(heads, values, seed_index, own[kept], labels.groups),
        }
        for seed_index, row in enumerate(rows)
    ]


def _effective_robustness(
    shifted: Mapping[str, Any], clean: Mapping[str, Any], labels: Labels, published: str
) -> float:
    """Return nan without a fit for the shift, or where the set lacks classes of the fit."""
    if not published:
        return float("nan")
    expected, n = CLASSES_OF_FIT[published], len(labels.groups)
    if n != expected:
        log.warning(
            "no effective robustness: %s has %d classes, this set %d", published, expected, n
        )
        return float("nan")
    return effective_robustness(published, shifted["accuracy"], clean_accuracy=clean["accuracy"])


def _group(family: str, view: str) -> str:
    """Return which set of corruptions a view belongs to, or that it is none."""
    if family in ("clean", "natural"):
        return family
    return "standard" if view in STANDARD else "extra"


def _texture(view: str, settings: Mapping[str, Any]) -> str:
    """Return what a corruption lays over images: only frost, whose photographs the user gives."""
    if view != "frost":
        return ""
    return "photographs" if settings.get("frost_images") else "procedural"
