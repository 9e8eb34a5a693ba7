"""The stage ``estimate-gains``: what the points of sweeps gain over zero-shot, without a label.

The evidence and what it is worth are the guard's (docs/method.md). The guard compares a candidate
with its other candidates, which were trained in other ways. Points of a sweep resemble each other,
so they are compared with the guard's adapters instead: an estimate does not depend on which other
points there are.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from lpclip.columns.sweep import ESTIMATES
from lpclip.errors import LpclipError
from lpclip.methods.adapters.stata import stata_head
from lpclip.methods.adapters.transclip import transclip_head
from lpclip.methods.base import after_zero_shot
from lpclip.methods.labelling.part import Part, learned_part
from lpclip.methods.labelling.settings import Labelling, TeacherView
from lpclip.methods.training.evidence import ExaminedImages
from lpclip.methods.training.guard import Candidate, mean_evidence, too_little
from lpclip.methods.training.other_classes import complete
from lpclip.methods.training.rounds import COLLAPSED
from lpclip.storage.probes import Probes, read_probes
from lpclip.storage.reports import write_part
from lpclip.storage.samples import without_labels
from lpclip.storage.stored_views import Views, all_versions, open_views, some_images
from lpclip.storage.text import ZeroShotHead, read_head
from lpclip.types import FloatArray, IntArray, OutputFile

log = logging.getLogger(__name__)

NOT_SURE = "the estimated gain is not sure enough"
_WHOLE = 1.0  # of the way from zero-shot to the head
_Adapter: TypeAlias = Callable[[Views, ZeroShotHead], tuple[FloatArray, FloatArray]]
_ADAPTERS: Mapping[str, _Adapter] = {"stata": stata_head, "transclip": transclip_head}


def estimate_gains(
    *,
    text: Path,
    features: Path,
    probes: Sequence[Path],
    output: OutputFile,
    benchmark: str,
    trained: Mapping[str, str],
    view: TeacherView = "weak",
) -> None:
    """Estimate the gain of every point of one model and benchmark, without a label.

    Args:
        text: text cache.
        features: feature cache of the unlabelled set.
        probes: of the points, none of which saw a label.
        output: CSV, one row per point: ``estimates``.
        benchmark: name of the benchmark.
        trained: how the points were trained, by method: a key of the guard's ``TRUST``, or a kind.
        view: view of the unlabelled set that is examined.

    Raises:
        LpclipError: the files do not come from the same model and benchmark, or a point saw labels.
    """
    with without_labels("the gain of a point is estimated without a label."):
        rows = _rows(text, features, probes, benchmark, trained, view)
    write_part(rows, output, ESTIMATES)
    log.info("estimated the gains of %d points", len(rows))


def _rows(
    text: Path,
    features: Path,
    probes: Sequence[Path],
    benchmark: str,
    trained: Mapping[str, str],
    view: TeacherView,
) -> list[dict[str, Any]]:
    head, _ = read_head(text)
    views = open_views(features, all_versions(features, view), expected=head.expected)
    part = learned_part(head, views, Labelling())
    some = views if len(part.rows) == part.n_samples else some_images(views, part.rows)
    images = ExaminedImages(head, some, part)
    others = _others(images)
    rows = []
    for path in probes:
        found, provenance = read_probes(path)
        method = str(provenance["method"])
        if found.n_labels or found.labels_seen is not None:
            raise LpclipError(f"{path}: '{method}' saw labels, so its gain cannot be estimated.")
        if found.class_names != head.class_names or found.weight.shape[2:] != head.weight.shape:
            raise LpclipError(f"{path} has other classes or another model than {text}.")
        names = {"model": head.expected["model"], "benchmark": benchmark, "method": method}
        rows.append({**names, **_estimate(images, found, trained[method], others)})
    return rows


def _others(images: ExaminedImages) -> dict[str, IntArray]:
    """Return the classes that adapters predict for the images, ``[M]``, by the adapters' names."""
    part, head = images.part, images.head
    if len(part.classes) < 2:
        return {}
    return {
        name: _predicted(images, _adapted(adapter, images.views, head, part))[0]
        for name, adapter in _ADAPTERS.items()
    }


def _adapted(adapter: _Adapter, views: Views, head: ZeroShotHead, part: Part) -> Probes:
    learned = head.of(part.classes)
    weight, bias = (one[None, None] for one in adapter(views, learned))
    return complete(after_zero_shot(learned, weight, bias, [0], seen=None), head, part, views)


def _predicted(images: ExaminedImages, probes: Probes) -> list[IntArray]:
    return [
        images.predicted(probes.weight[-1, s], probes.bias[-1, s]) for s in range(len(probes.seeds))
    ]


def _estimate(
    images: ExaminedImages, probes: Probes, kind: str, others: Mapping[str, IntArray]
) -> dict[str, Any]:
    """Return the estimate for the last heads of a point, mean over its seeds."""
    voters = [classes for name, classes in others.items() if name != kind]
    evidence = mean_evidence(
        [
            images.gather(probes.weight[-1, s], probes.bias[-1, s], voters)
            for s in range(len(probes.seeds))
        ]
    )
    collapsed = bool((probes.rounds["status"] == COLLAPSED).any())
    found = Candidate("", kind, {_WHOLE: evidence}, collapsed).estimate(_WHOLE)
    part = images.part
    reason = part.reason or too_little(evidence, len(part.rows), len(part.classes))
    if not reason and collapsed:
        reason = "its training collapsed"
    return {
        "estimated_gain": found.gain,
        "gain_low": found.low,
        "gain_high": found.high,
        "change": evidence.change,
        "reason": reason or ("" if found.ships else NOT_SURE),
    }
