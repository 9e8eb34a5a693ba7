"""Coverage of the 95 % intervals of every metric, simulated on a grid.

    python benchmarks/intervals.py

Heads with 10 classes and a known accuracy, over-confidence and number of test images; pairs of
heads with a known difference. The true value of a metric is its value on 200,000 images. Writes
``results/intervals.csv`` and prints the lowest coverage of every metric, for docs/intervals.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import softmax

from lpclip.metrics.classification import classification_metrics
from lpclip.metrics.comparison import paired_comparison
from lpclip.types import BoolArray, FloatArray, IntArray

ACCURACIES = (0.5, 0.7, 0.9, 0.97, 0.995)
OVERCONFIDENCE = (0.0, 0.05, 0.15)
IMAGES = (30, 100, 1000)
DIFFERENCES = (0.005, 0.01, 0.05)
METRICS = (
    "accuracy", "top5_accuracy", "mean_per_class_accuracy", "ece", "adaptive_ece", "nll", "brier",
    "aurc",
)  # fmt: skip
N_CLASSES, POPULATION = 10, 200_000
SUREST = 0.999  # upper limit of the mean confidence (accuracy plus over-confidence)
RESULTS = Path(__file__).parent / "results/intervals.csv"


class Head(NamedTuple):
    """Predictions of a head for the whole population of images.

    Attributes:
        probabilities: [N, C].
        labels: [N].
        truth: metric -> true value.
    """

    probabilities: FloatArray
    labels: IntArray
    truth: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--kinds", nargs="+", default=["graded"], choices=("graded", "even"))
    options = parser.parse_args()
    rows = []
    for row in [*cells_of_heads(options.draws, options.kinds), *cells_of_pairs(options.draws)]:
        rows.append(row)
        print(*row.values(), flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS, index=False, float_format="%.4g")
    least = table.groupby(["metric", "n"])["coverage"].min().unstack()
    print((100 * least).round(1).to_string())


def cells_of_heads(draws: int, kinds: Sequence[str] = ("graded",)) -> Iterator[dict]:
    """Yield the coverage of every metric for each head and number of images."""
    for kind in kinds:
        for accuracy in ACCURACIES:
            for over in OVERCONFIDENCE:
                if over > 0.05 and accuracy + 0.05 > SUREST:
                    continue  # at the limit, the same head as with 5 points
                head = head_of(kind, accuracy, over)
                for n in IMAGES:
                    for metric, found in coverage(head, n, draws).items():
                        yield {
                            "kind": kind, "accuracy": accuracy, "overconfidence": over,
                            "difference": "", "n": n, "metric": metric, **found,
                        }  # fmt: skip


def coverage(head: Head, n: int, draws: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return, per metric, the share of intervals that contain the truth, and their mean width.

    The intervals are of ``draws`` random samples of ``n`` images.
    """
    random = np.random.default_rng(seed)
    held: dict[str, int] = dict.fromkeys(METRICS, 0)
    widths: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(draws):
        rows = random.integers(0, len(head.labels), n)
        found = classification_metrics(head.probabilities[rows], head.labels[rows])
        for name in METRICS:
            low, high = found[f"{name}_low"], found[f"{name}_high"]
            held[name] += low <= head.truth[name] <= high
            widths[name].append(high - low)
    return {name: _row(held[name], widths[name]) for name in METRICS}


def _row(held: int, widths: list[float]) -> dict[str, float]:
    return {
        "coverage": held / len(widths), "width": float(np.mean(widths)),
        "least_width": min(widths),
    }  # fmt: skip


@cache
def head_of(kind: str, accuracy: float, over: float, population: int = POPULATION) -> Head:
    """Simulate a head whose mean confidence exceeds its accuracy by ``over``.

    Args:
        kind: ``graded``: confidence differs between images and is calibrated for ``over`` = 0
            (logits are normal; over-confidence increases their scale); ``even``: nearly the same
            confidence for all images, whether or not the prediction is correct.
        accuracy: top-1.
        over: mean confidence minus accuracy; the confidence is limited to ``SUREST``.
        population: number of images.
    """
    random = np.random.default_rng(0)
    sure = min(accuracy + over, max(accuracy, SUREST))
    if kind == "even":
        confidence = np.clip(sure + random.uniform(-1e-3, 1e-3, population), 0, 1 - 1e-6)
        probabilities = np.repeat((1 - confidence)[:, None] / (N_CLASSES - 1), N_CLASSES, axis=1)
        predicted = random.integers(N_CLASSES, size=population)
        probabilities[np.arange(population), predicted] = confidence
        wrong = (predicted + random.integers(1, N_CLASSES, population)) % N_CLASSES
        labels = np.where(random.random(population) < accuracy, predicted, wrong)
    else:
        logits = random.standard_normal((population, N_CLASSES))
        labels = _sampled(softmax(_scale(accuracy) * logits, axis=1), random)
        probabilities = softmax(_scale(sure) * logits, axis=1)
    truth = classification_metrics(probabilities, labels)
    if over == 0:
        truth |= {"ece": 0.0, "adaptive_ece": 0.0}
    return Head(probabilities, labels, {name: truth[name] for name in METRICS})


@cache
def _scale(confidence: float) -> float:
    """Return the scale of normal logits that gives this mean confidence."""
    logits = np.random.default_rng(1).standard_normal((100_000, N_CLASSES))

    def missed(scale: float) -> float:
        return float(softmax(scale * logits, axis=1).max(axis=1).mean()) - confidence

    return float(brentq(missed, 0.01, 10_000, xtol=1e-4))


def _sampled(probabilities: FloatArray, random: np.random.Generator) -> IntArray:
    """Sample a class per row, with the row's probabilities."""
    above = random.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)
    labels: IntArray = np.minimum(above.sum(axis=1), probabilities.shape[1] - 1)
    return labels


def cells_of_pairs(draws: int) -> Iterator[dict]:
    """Yield the coverage of paired differences."""
    for kind in ("never worse", "both ways", "15 views"):
        for difference in DIFFERENCES:
            for n in IMAGES:
                random = np.random.default_rng(0)
                held, widths = 0, []
                for _ in range(draws):
                    found = paired_comparison(*pair_of(kind, difference, n, random))
                    low, high = found["difference_low"], found["difference_high"]
                    held += low <= difference <= high
                    widths.append(high - low)
                yield {
                    "kind": kind, "accuracy": "", "overconfidence": "", "difference": difference,
                    "n": n, "metric": "difference", **_row(held, widths),
                }  # fmt: skip


def pair_of(
    kind: str, difference: float, n: int, random: np.random.Generator
) -> tuple[BoolArray, BoolArray]:
    """Simulate whether each of two heads is correct on n images, for a difference in accuracy.

    Args:
        kind: ``never worse``; ``both ways``: the first head loses 2 points and gains more;
            ``15 views``: as never worse, but a few images gain, each in some of its views.
        difference: difference of the accuracies.
        n: number of images.
        random: generator.
    """
    if kind == "15 views":
        hard = random.random(n) < min(1.0, 10 * difference)
        share = random.beta(
            0.5, 0.5 * (1 / min(1.0, difference / min(1.0, 10 * difference)) - 1), n
        )
        return (random.random((15, n)) < hard * share), np.zeros((15, n), bool)
    lost = 0.02 if kind == "both ways" else 0.0
    place = random.random(n)
    return place < lost + difference, (place >= 1 - lost)


if __name__ == "__main__":
    main()
