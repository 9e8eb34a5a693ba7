"""The stage ``estimate-gains``: what the points of sweeps gain over zero-shot, without a label.

The evidence and what it is worth are the guard's (docs/method.md), as if the points of a sweep and
its adapters were its candidates. They are not trained again.
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
from lpclip.storage.hdf5 import read_provenance
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
    sweeps: Mapping[str, str],
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
        sweeps: names of the sweeps that they are points of, by method.
        view: view of the unlabelled set that is examined.

    Raises:
        LpclipError: the files do not come from the same model and benchmark, or a point saw labels.
    """
    with without_labels("the gain of a point is estimated without a label."):
        rows = _rows(text, features, probes, benchmark, trained, sweeps, view)
    write_part(rows, output, ESTIMATES)
    log.info("estimated the gains of %d points", len(rows))


def _rows(
    text: Path,
    features: Path,
    probes: Sequence[Path],
    benchmark: str,
    trained: Mapping[str, str],
    sweeps: Mapping[str, str],
    view: TeacherView,
) -> list[dict[str, Any]]:
    head, _ = read_head(text)
    views = open_views(features, all_versions(features, view), expected=head.expected)
    part = learned_part(head, views, Labelling())
    some = views if len(part.rows) == part.n_samples else some_images(views, part.rows)
    images = ExaminedImages(head, some, part)
    adapters = _adapters(images)
    # Read twice, since the heads of all points may not fit in memory.
    methods = [_method(path, head) for path in probes]
    predicted = {
        method: _predicted(images, read_probes(path)[0])
        for method, path in zip(methods, probes, strict=True)
    }
    rows = []
    for method, path in zip(methods, probes, strict=True):
        kind = trained[method]
        others = [[classes] for name, classes in adapters.items() if name != kind]
        others += [
            classes
            for other, classes in predicted.items()
            if other != method and sweeps[other] == sweeps[method]
        ]
        names = {"model": head.expected["model"], "benchmark": benchmark, "method": method}
        rows.append({**names, **_estimate(images, read_probes(path)[0], kind, others)})
    return rows


def _method(path: Path, head: ZeroShotHead) -> str:
    """Return the name of a point."""
    found = read_provenance(path, kind="probes")
    method = str(found["method"])
    if int(found.number("n_labels")):
        raise LpclipError(f"{path}: '{method}' saw labels, so its gain cannot be estimated.")
    if found.texts("class_names") != head.class_names or found["model"] != head.expected["model"]:
        raise LpclipError(f"{path} has other classes or another model than the text features.")
    return method


def _adapters(images: ExaminedImages) -> dict[str, IntArray]:
    """Return the classes that the guard's adapters predict for the images, ``[M]``, by name."""
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
    images: ExaminedImages, probes: Probes, kind: str, others: Sequence[Sequence[IntArray]]
) -> dict[str, Any]:
    """Return the estimate for the last heads of a point, mean over its seeds.

    Args:
        images: the unlabelled images.
        probes: of the point.
        kind: how it was trained.
        others: what each of the other candidates predicts, by seed; one where nothing is random.
    """
    evidence = mean_evidence(
        [
            images.gather(
                probes.weight[-1, s], probes.bias[-1, s], [one[s % len(one)] for one in others]
            )
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
