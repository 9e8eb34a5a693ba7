"""What a method's probes are worth: robustness, detection of foreign images, rounds, classes.

The only stage, besides supervised training, that reads labels. It reads the probe of the last
round; the table of rounds reads them all.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from lpclip import cache
from lpclip.atomic import atomic_path
from lpclip.corruptions import SEVERITIES, family_of
from lpclip.data import UNLABELLED
from lpclip.errors import LpclipError
from lpclip.metrics import (
    classification_metrics,
    detection_metrics,
    energy,
    max_logit,
    mcm,
    msp,
)
from lpclip.probes import HALF_WAY, Probes, between, read_probes
from lpclip.types import FloatArray, IntArray

TEMPERATURE = 1.0


def evaluate(*, probes: Path, features: Path, samples: Path, output: Path, shift: str = "") -> None:
    """Accuracy, calibration and risk of the last round's probes on every view of one cache.

    Args:
        probes: of one method.
        features: feature cache of a labelled set: its clean view, or corruptions.
        samples: the set's index.
        output: CSV, one row per seed, shift and severity (clean is severity 0).
        shift: name of the natural shift that the set is; empty for the benchmark's own test set.
    """
    heads, provenance = read_probes(probes)
    labels = _read_labels(samples, features, heads)
    images = cache.read_provenance(features)
    settings = json.loads(images["views"])
    rows = []
    for view, severity, values in _views(features, provenance):
        family = "natural" if shift else "clean" if severity == 0 else family_of(view)
        for column, seed in enumerate(heads.seeds):
            probabilities = softmax(_logits(heads, values, -1, column), axis=-1)
            rows.append(
                {
                    **_experiment(provenance, seed),
                    "dataset": images["dataset"],
                    "shift": shift or view,
                    "family": family,
                    "source": "generated" if severity else family,
                    "texture": _texture(view, settings.get(view, {})),
                    "severity": severity,
                    **classification_metrics(probabilities, labels),
                }
            )
    _write_csv(rows, output)


def evaluate_ood(
    *, probes: Path, test: Path, features: Path, output: Path, dataset: str, group: str
) -> None:
    """How well the last round's probes tell the test set from foreign images.

    Args:
        probes: of one method.
        test: feature cache with the clean view of the benchmark's test set.
        features: feature cache with the clean view of the foreign set.
        output: CSV, one row per seed and score.
        dataset: name of the foreign set.
        group: ``near`` or ``far``.
    """
    heads, provenance = read_probes(probes)
    inside = _scores(heads, next(_views(test, provenance))[2])
    outside = _scores(heads, next(_views(features, provenance))[2])
    rows = [
        {
            **_experiment(provenance, seed),
            "dataset": dataset,
            "group": group,
            "score": score,
            "temperature": TEMPERATURE,
            "n_id": len(inside[score][column]),
            "n_ood": len(outside[score][column]),
            **detection_metrics(inside[score][column], outside[score][column]),
        }
        for column, seed in enumerate(heads.seeds)
        for score in inside
    ]
    _write_csv(rows, output)


def evaluate_rounds(
    *,
    probes: Path,
    test: Path,
    test_samples: Path,
    adapt_samples: Path,
    output: Path,
    per_class: Path,
) -> None:
    """What every round kept, how right it was, and what the probe of that round is worth.

    Args:
        probes: of one method.
        test: feature cache with the clean view of the test set.
        test_samples: its index.
        adapt_samples: index of the adapt set; where it has labels, pseudo-labels are judged.
        output: CSV, one row per seed and round.
        per_class: CSV, one row per seed and class: accuracy of the last round's probe.
    """
    heads, provenance = read_probes(probes)
    labels = _read_labels(test_samples, test, heads)
    _, _, values = next(_views(test, provenance))
    truth = cache.read_samples(adapt_samples, labels=True)["label"].to_numpy()
    rows: list[dict[str, Any]] = []
    classes: list[dict[str, Any]] = []
    for row in heads.rounds.to_dict("records"):
        number, column = row["round"], heads.seeds.index(row["seed"])
        predicted = _logits(heads, values, number, column).argmax(axis=-1)
        rows.append(
            {
                **_experiment(provenance, row["seed"]),
                "round": number,
                "status": row["status"],
                "coverage": row["coverage"],
                "pseudo_label_accuracy": _pseudo_label_accuracy(heads, truth, number, column),
                "confidence": row["confidence"],
                "balance": row["balance"],
                "agreement": row["agreement"],
                "epochs": row["epochs"],
                "test_accuracy": float(np.mean(predicted == labels)),
            }
        )
        if number == len(heads.weight) - 1:
            classes.extend(
                {**_experiment(provenance, row["seed"]), **per}
                for per in _per_class(predicted, labels, heads.class_names)
            )
    _write_csv(rows, output)
    _write_csv(classes, per_class)


def _read_labels(samples: Path, features: Path, heads: Probes) -> IntArray:
    """Labels in the order of the cache's rows, all of them classes of the probes."""
    table = cache.read_samples(samples, labels=True)
    index = {"index": cache.fingerprint(table)}
    cache.check_provenance(features, cache.read_provenance(features, kind="features"), index)
    labels = table["label"].to_numpy()
    names = json.loads(cache.read_provenance(samples)["class_names"])
    n_classes = len(heads.class_names)
    if names is None or (labels == UNLABELLED).any():
        raise LpclipError(f"{samples}: a test set needs a label for every image.")
    if len(names) != n_classes:
        raise LpclipError(
            f"{samples} has {len(names)} classes, the benchmark {n_classes} class names. "
            "Give one class name per class, in the same order."
        )
    return labels


def _views(path: Path, provenance: Mapping[str, Any]) -> Iterator[tuple[str, int, FloatArray]]:
    """View, severity (0 for clean) and features ``[N, D]`` of everything in a cache."""
    expected = {key: provenance[key] for key in ("model", "weights")}
    with cache.open_file(path, kind="features") as file:
        names = cache.views(file)
        settings = json.loads(file.attrs["views"])
    for name in names:
        values = cache.read_features(path, name, expected=expected)
        if name == "clean":
            yield name, 0, values
        else:
            severities = settings[name].get("severities", SEVERITIES)
            yield from ((name, s, values[i]) for i, s in enumerate(severities))


def _texture(view: str, settings: Mapping[str, Any]) -> str:
    """What a corruption lays over images: only frost, whose photographs the user has to give."""
    if view != "frost":
        return ""
    return "photographs" if settings.get("frost_images") else "procedural"


def _logits(heads: Probes, values: FloatArray, number: int, column: int) -> FloatArray:
    return heads.logits(values, number, column)


def _scores(heads: Probes, values: FloatArray) -> dict[str, list[FloatArray]]:
    """Score name -> scores ``[N]`` per seed; high means in-distribution.

    Besides those of the last round's probe, two of the head half-way to it from round 0: training
    sharpens logits for images that it has never seen, too, and half of it does so less. Of an
    ensemble, MSP is that of the mean probabilities, the other scores are those of the mean head.
    """
    scores: dict[str, list[FloatArray]] = defaultdict(list)
    for column in range(len(heads.seeds)):
        last = heads.weight[-1, column], heads.bias[-1, column]
        first = heads.weight[0, column], heads.bias[0, column]
        half_way = between(first[0], last[0], HALF_WAY), between(first[1], last[1], HALF_WAY)
        logits = heads.scale * (values @ last[0].T) + last[1]
        scores["msp"].append(msp(_logits(heads, values, -1, column)))
        scores["energy"].append(energy(logits, temperature=TEMPERATURE))
        for prefix, (weight, bias) in (("", last), ("half_way_", half_way)):
            scores[f"{prefix}max_logit"].append(max_logit(heads.scale * (values @ weight.T) + bias))
            cosines = values @ cache.normalise(weight).T
            scores[f"{prefix}mcm"].append(mcm(cosines, tau=TEMPERATURE))
    return dict(scores)


def _pseudo_label_accuracy(heads: Probes, truth: IntArray, number: int, column: int) -> float:
    if heads.pseudo_labels is None or heads.selected is None or number == 0:
        return float("nan")
    judged = heads.selected[number, column] & (truth != UNLABELLED)
    if not judged.any():
        return float("nan")
    return float(np.mean(heads.pseudo_labels[number, column][judged] == truth[judged]))


def _per_class(
    predicted: IntArray, labels: IntArray, class_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for index, name in enumerate(class_names):
        own = labels == index
        yield {
            "class_index": index,
            "class_name": name,
            "n": int(own.sum()),
            "accuracy": float(np.mean(predicted[own] == index)) if own.any() else float("nan"),
            "predicted_share": float(np.mean(predicted == index)),
        }


def _experiment(provenance: Mapping[str, Any], seed: int) -> dict[str, Any]:
    names = {key: provenance[key] for key in ("model", "benchmark", "method")}
    return {**names, "seed": seed}


def _write_csv(rows: Sequence[Mapping[str, Any]], output: Path) -> None:
    with atomic_path(output) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.9g")
