"""How good every round of training was, and how the last one does on each class."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.columns.rounds import CONFUSION, PER_CLASS, ROUNDS
from lpclip.data.base import UNLABELLED
from lpclip.data.class_matching import labels_if_any
from lpclip.evaluation.common import (
    checked_labels,
    covers_pool,
    experiment,
    round_logits,
    views_of,
)
from lpclip.storage.probes import Probes, read_probes
from lpclip.storage.reports import write_part
from lpclip.types import IntArray, OutputFile
from lpclip.utils.memory import largest_of_blocks


def evaluate_rounds(
    *,
    probes: Path,
    test: Path,
    adapt_samples: Path,
    output: OutputFile,
    per_class: OutputFile,
    confusion: OutputFile,
    test_samples: Path | None = None,
) -> None:
    """Evaluate what every round kept, how accurate its labels were, and how good its probe is.

    Args:
        probes: of one method.
        test: feature cache with the clean view of the test set.
        adapt_samples: index of the adapt set; where it has labels of the benchmark's classes,
            pseudo-labels are evaluated.
        output: CSV, one row per seed and round.
        per_class: CSV, one row per seed and class: accuracy of the last round's probe.
        confusion: CSV, one row per seed and pair of true class and pseudo-label of the last round.
        test_samples: the test set's index; without it, accuracy on it is left empty.
    """
    heads, provenance = read_probes(probes, pool_alone=True)
    of_pool = covers_pool(heads, provenance, test)
    labels = None
    if test_samples is not None:
        labels = checked_labels(test_samples, test, heads).of_benchmark
    _, _, values = next(views_of(test, provenance))
    truth = labels_if_any(adapt_samples, heads.class_names)
    rows: list[dict[str, Any]] = []
    classes: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for row in heads.rounds.to_dict("records"):
        round, seed_index = row["round"], heads.seeds.index(row["seed"])
        names = experiment(provenance, row["seed"])
        logits = round_logits(heads, values, round, seed_index, of_pool=of_pool)
        predicted, _ = largest_of_blocks(block for _, block in logits)
        learned = _learned(heads, truth, round, seed_index)
        rows.append(
            {
                **names,
                **{key: row[key] for key in ("round", "status", "coverage")},
                "pseudo_label_accuracy": _accuracy(*learned),
                **{key: row[key] for key in ("confidence", "balance", "agreement", "epochs")},
                "test_accuracy": _accuracy(predicted, labels),
            }
        )
        if round == heads.n_rounds - 1:
            per_classes = _per_class(predicted, labels, heads.class_names)
            classes += [{**names, **row_of_class} for row_of_class in per_classes]
            counted = _confusion(learned, heads.class_names)
            pairs += [{**names, "round": round, **pair} for pair in counted]
    write_part(rows, output, ROUNDS)
    write_part(classes, per_class, PER_CLASS)
    write_part(pairs, confusion, CONFUSION)


def _learned(heads: Probes, truth: IntArray, round: int, seed_index: int) -> IntArray:
    """Return true class and pseudo-label, ``[2, n]``, of all labelled samples of a round."""
    if heads.pseudo_labels is None or heads.selected is None or round == 0:
        return np.empty((2, 0), dtype=int)
    labelled = heads.selected[round, seed_index] & (truth != UNLABELLED)
    return np.stack([truth[labelled], heads.pseudo_labels[round, seed_index][labelled]])


def _confusion(learned: IntArray, class_names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield how often each pseudo-label was learned for each true class, where that happened."""
    pairs, counts = np.unique(learned, axis=1, return_counts=True)
    for (own, given), n in zip(pairs.T, counts, strict=True):
        yield {
            "class_index": int(own),
            "class_name": class_names[own],
            "pseudo_label_index": int(given),
            "pseudo_label_name": class_names[given],
            "n": int(n),
        }


def _per_class(
    predicted: IntArray, labels: IntArray | None, class_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for index, name in enumerate(class_names):
        of_class: dict[str, Any] = {"n": None, "accuracy": float("nan")}
        if labels is not None:
            own = labels == index
            of_class = {"n": int(own.sum()), "accuracy": _accuracy(predicted[own], labels[own])}
        yield {
            "class_index": index,
            "class_name": name,
            **of_class,
            "predicted_share": float(np.mean(predicted == index)),
        }


def _accuracy(predicted: IntArray, labels: IntArray | None) -> float:
    if labels is None or not len(labels):
        return float("nan")
    return float(np.mean(predicted == labels))
