"""The stage ``describe-pool``: what the unlabelled set of a benchmark is, without a label."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_128_intdigest

from lpclip.columns.pool import POOL, POOL_CLASSES
from lpclip.methods.labelling.part import learned_part
from lpclip.methods.labelling.pool_description import PoolDescription, describe_pool
from lpclip.methods.labelling.settings import Labelling, TeacherView
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.reports import write_part
from lpclip.storage.stored_views import View, all_versions, open_views
from lpclip.storage.text import read_head
from lpclip.types import BoolArray, OutputFile
from lpclip.utils.memory import slices

log = logging.getLogger(__name__)

_ROWS = 4096


def describe(
    *,
    text: Path,
    features: Path,
    clean: Path,
    test: Path,
    output: OutputFile,
    classes: OutputFile,
    benchmark: str,
    view: TeacherView = "weak",
) -> None:
    """Write what an unlabelled set is: which classes it has, what else is in it.

    Args:
        text: text cache.
        features: feature cache of the unlabelled set.
        clean: feature cache with its clean view.
        test: feature cache with the clean view of the set that is evaluated.
        output: CSV, one row: ``pool``.
        classes: CSV, one row per class: ``pool_classes``.
        benchmark: name of the benchmark.
        view: view that is described; its versions are averaged.

    Raises:
        LpclipError: the caches do not come from the same model.
    """
    head, _ = read_head(text)
    views = open_views(features, all_versions(features, view), expected=head.expected)
    found = describe_pool(views, head)
    learned = set[int]()
    if found.separable:
        learned = set(learned_part(head, views, Labelling()).classes.tolist())
    own, tested = (read_provenance(path, kind="features") for path in (clean, test))
    images, others = (
        open_views(path, [("clean", 0)], expected=head.expected)[0] for path in (clean, test)
    )
    in_test = _shared(images, others)
    # The same images may be listed in another order or under other ids, and features without ids
    # have those of any other set of as many.
    same = all(own[key] == tested[key] for key in ("dataset", "index"))
    is_test = same or (len(images) == len(others) and in_test.all())
    pair = {"model": head.expected["model"], "benchmark": benchmark}
    known = found.separable
    row: dict[str, Any] = {
        **pair,
        "dataset": own["dataset"],
        "n_images": len(found.in_distribution),
        "n_classes": len(found.presence),
        "classes_supported": len(learned) if known else None,
        "is_test_set": "yes" if is_test else "no",
        "in_test_set": float(in_test.mean()) if len(in_test) else math.nan,
        "words": in_words(found, len(learned), is_test_set=bool(is_test)),
    }
    estimates = {
        "ood_share": found.ood_share,
        "ood_share_low": found.ood_low,
        "ood_share_high": found.ood_high,
        "images_per_class": images_per_class(found, len(learned)),
        "balance": found.balance,
    }
    row |= {name: value if known else math.nan for name, value in estimates.items()}
    write_part([row], output, POOL)
    rows = [
        {
            **pair,
            "class_index": c,
            "class_name": name,
            "learned": "yes" if c in learned else "no",
            "presence": float(found.presence[c]),
            "expected_images": float(found.expected_images[c]),
            "expected_images_low": float(found.expected_low[c]),
            "expected_images_high": float(found.expected_high[c]),
        }
        for c, name in enumerate(head.class_names)
    ]
    write_part(rows, classes, POOL_CLASSES)
    log.info("%s", row["words"])


def in_words(found: PoolDescription, supported: int, *, is_test_set: bool) -> str:
    """Return a sentence or two on what a pool is."""
    n, n_classes = len(found.in_distribution), len(found.presence)
    images = f"{n:,} image{'' if n == 1 else 's'}"
    tested = ", the set that is evaluated itself" if is_test_set else ""
    if not found.separable:
        return (
            f"{images}{tested}. Zero-shot distinguishes no classes on it: {found.reason}, so "
            "nothing else can be estimated."
        )
    classes = f"{supported:,} of {n_classes:,} classes supported"
    if supported == n_classes:
        classes = f"all {n_classes:,} classes supported"
    interval = f"{found.ood_low:.0%} to {found.ood_high:.0%}"
    outside = (
        f"none out-of-distribution that shows ({interval})"
        if found.ood_share < 0.05 and not found.ood_low
        else f"{found.ood_share:.0%} out-of-distribution ({interval})"
    )
    each = max(1, round(images_per_class(found, supported)))
    return (
        f"{images}{tested}, {classes}, about {each:,} of each, {outside}, "
        f"{_evenness(found.balance)} ({found.balance:.0%} of the images away from equal "
        "frequencies of all classes)."
    )


def images_per_class(found: PoolDescription, supported: int) -> float:
    """Return the expected images of the classes per class that is supported."""
    return float(found.expected_images.sum()) / max(supported, 1)


def _evenness(balance: float) -> str:
    limits = ((0.1, "balanced"), (0.25, "somewhat unbalanced"), (0.5, "unbalanced"))
    return next((word for limit, word in limits if balance < limit), "far from balanced")


def _shared(own: View, others: View) -> BoolArray:
    """Return whether an image has the features of one of the others, ``[N]``."""
    known = set(_digests(others))
    return np.array([digest in known for digest in _digests(own)], dtype=bool)


def _digests(view: View) -> Iterator[int]:
    """Yield a hash of the features of each image, rounded as in a cache."""
    for rows in slices(len(view), _ROWS):
        for row in view[rows].astype(np.float16):
            yield xxh3_128_intdigest(row.tobytes())
