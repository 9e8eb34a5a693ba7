"""A method against zero-shot on the same images: predictions, paired differences, reliability.

Round 0 of every probes file is the zero-shot head, so nothing else is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from lpclip.columns.paired import COMPARISONS, RELIABILITY
from lpclip.columns.table import METHOD_NAMES, STANDARD_MEAN
from lpclip.corruption_names import STANDARD, family_of
from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import group_logits
from lpclip.errors import check_known
from lpclip.evaluation.common import checked_labels, covers_pool, round_logits, views_of
from lpclip.metrics.calibration import N_BINS, equal_width_bins
from lpclip.metrics.comparison import paired_comparison
from lpclip.storage.features import read_rows, view_settings
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.predictions import write_predictions
from lpclip.storage.probes import Probes, read_probes
from lpclip.storage.reports import write_part
from lpclip.storage.stored_views import View
from lpclip.types import BoolArray, FloatArray, IntArray, OutputFile
from lpclip.utils.memory import largest_of_blocks

_ROUNDING = 1e-6  # of float32 weights that were multiplied once


@dataclass(frozen=True)
class _View:
    """How one view of one set was classified.

    Attributes:
        correct: ``[S, N]``, whether the method is right, per seed.
        zero_shot_correct: ``[N]``.
        confidence: ``[S, N]``.
    """

    dataset: str
    shift: str
    family: str
    source: str
    severity: int
    correct: BoolArray
    zero_shot_correct: BoolArray
    confidence: FloatArray


def evaluate_samples(
    *,
    probes: Path,
    features: Sequence[Path],
    samples: Sequence[Path],
    output: OutputFile,
    reliability: OutputFile,
    predictions: OutputFile,
    test: str,
    shifts: Sequence[str] = (),
) -> None:
    """Compare the last round's probes with zero-shot, image by image.

    Args:
        probes: of one method.
        features: feature caches: the clean view of the test set first, then its corruptions and
            the clean views of natural shifts.
        samples: indices of these sets; where the test set has no labels, none.
        output: CSV of paired differences in accuracy, one row per shift and severity.
        reliability: CSV of accuracy and confidence per bin of confidence.
        predictions: HDF5 file with a table per seed: id, label, prediction and confidence of
            every clean test image.
        test: name of the test set.
        shifts: names of the sets that are natural shifts.
    """
    heads, provenance = read_probes(probes, pool_alone=True)
    indices = {str(read_provenance(path)["index"]): path for path in samples}
    datasets = {str(read_provenance(path, kind="features")["dataset"]) for path in features}
    for name in (test, *shifts):
        check_known(name, sorted(datasets), f"No features of the dataset '{name}' are given.")
    names = {key: str(provenance[key]) for key in METHOD_NAMES}
    _write_predictions(predictions, heads, provenance, features[0], indices, dataset=test)
    views = [
        view
        for path in features
        for view in _views(path, heads, provenance, indices, shifts=shifts)
    ]
    names_and_seeds = {**names, "n_seeds": len(heads.seeds)}
    rows = _differences(views, names_and_seeds, same=decides_as_zero_shot(heads))
    write_part(rows, output, COMPARISONS)
    write_part(_bins(views, names, heads.seeds), reliability, RELIABILITY)


def _views(
    path: Path,
    heads: Probes,
    provenance: Mapping[str, Any],
    indices: Mapping[str, Path],
    *,
    shifts: Sequence[str],
) -> Iterator[_View]:
    images = read_provenance(path)
    samples = indices.get(str(images["index"]))
    if samples is None:
        return
    of_pool = covers_pool(heads, provenance, path)
    is_shift = images["dataset"] in shifts
    labels = checked_labels(samples, path, heads, several=is_shift)
    truth = labels.own if is_shift else labels.of_benchmark
    settings = view_settings(path)

    def logits(values: View, round: int, seed_index: int, *, of_pool: bool) -> Iterator[FloatArray]:
        for _, found in round_logits(heads, values, round, seed_index, of_pool=of_pool):
            yield group_logits(found, labels.groups) if is_shift else found

    for view, severity, values in views_of(path, provenance):
        own = [
            largest_of_blocks(
                softmax(block, axis=-1)
                for block in logits(values, -1, seed, of_pool=of_pool and view == "clean")
            )
            for seed in range(len(heads.seeds))
        ]
        zero_shot, _ = largest_of_blocks(logits(values, 0, 0, of_pool=False))
        official = bool(settings.get(view, {}).get("official"))
        family = "natural" if is_shift else "clean" if severity == 0 else family_of(view)
        yield _View(
            dataset=str(images["dataset"]),
            shift=str(images["dataset"]) if is_shift else view,
            family=family,
            source=("official" if official else "generated") if severity else family,
            severity=severity,
            correct=np.stack([predicted == truth for predicted, _ in own]),
            zero_shot_correct=zero_shot == truth,
            confidence=np.stack([confidence for _, confidence in own]),
        )


def decides_as_zero_shot(heads: Probes) -> bool:
    """Return whether the last round's heads give every image the class that round 0 gives it.

    They do where each is round 0 itself or a positive multiple of it, as with a temperature, and
    the images of the pool are predicted like any others.
    """
    if heads.pool_probabilities is not None:
        return False
    weight, bias = heads.last()
    first = np.concatenate([heads.weight[0, 0], heads.bias[0, 0][:, None]], axis=-1).ravel()
    own = np.concatenate([weight, bias[..., None]], axis=-1).reshape(-1, len(first))
    factors = own @ first / max(float(first @ first), np.finfo(np.float32).tiny)
    gap = np.abs(own - factors[:, None] * first).max(axis=1)
    return bool(((factors > 0) & (gap <= _ROUNDING * np.abs(own).max(axis=1))).all())


def _differences(
    views: Sequence[_View], names: Mapping[str, Any], *, same: bool
) -> list[dict[str, Any]]:
    """Return one row per view, and per source one of the mean over its standard corruptions."""
    rows = []
    for view in views:
        place = {"dataset": view.dataset, "shift": view.shift, "family": view.family}
        row = {**names, **place, "source": view.source, "severity": view.severity}
        rows.append({**row, **_compared([view], same=same)})
    for source, group in _standard(views).items():
        complete = len({(view.shift, view.severity) for view in group}) == len(STANDARD) * 5
        # Corruptions of other images than these would be no pairs.
        if complete and len({view.correct.shape for view in group}) == 1:
            place = {"dataset": group[0].dataset, "shift": STANDARD_MEAN, "family": "mean"}
            row = {**names, **place, "source": source, "severity": None}
            rows.append({**row, **_compared(group, same=same)})
    return rows


def _compared(views: Sequence[_View], *, same: bool) -> dict[str, float]:
    """Return the paired difference: an image counts once, with all its seeds and views."""
    correct = np.concatenate([view.correct for view in views])
    n_seeds = len(views[0].correct)
    baseline = np.repeat(np.stack([view.zero_shot_correct for view in views]), n_seeds, axis=0)
    found = paired_comparison(correct, baseline, same=same)
    return {
        **{key: found[key] for key in ("n", "difference", "difference_low", "difference_high")},
        "only_method": found["only_method"] / len(correct),
        "only_zero_shot": found["only_baseline"] / len(correct),
    }


def _bins(
    views: Sequence[_View], names: Mapping[str, Any], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Return rows per seed, shift, severity and bin; standard corruptions are pooled."""
    groups: dict[tuple[str, str, int], list[_View]] = {
        (view.shift, view.source, view.severity): [view] for view in views if view.severity == 0
    }
    for source, found in _standard(views).items():
        for view in found:
            groups.setdefault((STANDARD_MEAN, source, view.severity), []).append(view)
    rows = []
    for (shift, source, severity), group in groups.items():
        for seed_index, seed in enumerate(seeds):
            confidence = np.concatenate([view.confidence[seed_index] for view in group])
            correct = np.concatenate([view.correct[seed_index] for view in group])
            place = {"shift": shift, "source": source, "severity": severity}
            rows += [
                {**names, "seed": seed, **place, **row} for row in _binned(confidence, correct)
            ]
    return rows


def _binned(confidence: FloatArray, correct: BoolArray) -> Iterator[dict[str, float]]:
    """Yield the bins of the calibration error, (0, 1/15], ..., (14/15, 1], that are not empty."""
    places = equal_width_bins(confidence, N_BINS)
    for place in np.unique(places):
        inside = places == place
        yield {
            "bin": int(place),
            "low": float(place / N_BINS),
            "high": float((place + 1) / N_BINS),
            "n": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(correct[inside].mean()),
        }


def _standard(views: Sequence[_View]) -> dict[str, list[_View]]:
    """Return source -> its views of standard corruptions."""
    found: dict[str, list[_View]] = {}
    for view in views:
        if view.severity and view.shift in STANDARD:
            found.setdefault(view.source, []).append(view)
    return found


def _write_predictions(
    path: Path,
    heads: Probes,
    provenance: Mapping[str, Any],
    clean: Path,
    indices: Mapping[str, Path],
    *,
    dataset: str,
) -> None:
    images = read_provenance(clean)
    samples = indices.get(str(images["index"]))
    ids = list(read_rows(clean)["id"])
    truth: IntArray = np.full(len(ids), UNLABELLED)
    if samples is not None:
        truth = checked_labels(samples, clean, heads).of_benchmark
    _, _, values = next(views_of(clean, provenance))
    kept = {key: provenance[key] for key in (*METHOD_NAMES, "class_names")}
    made = {**kept, "weights": provenance["weights"], "dataset": dataset, "index": images["index"]}
    of_pool = covers_pool(heads, provenance, clean)
    predicted = (
        (
            seed,
            *largest_of_blocks(
                softmax(logits, axis=-1)
                for _, logits in round_logits(heads, values, -1, seed_index, of_pool=of_pool)
            ),
        )
        for seed_index, seed in enumerate(heads.seeds)
    )
    write_predictions(path, ids=ids, labels=truth, predicted=predicted, provenance=made)
