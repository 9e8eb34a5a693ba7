"""How far a few labels go: does the statement of `lpclip audit` hold, and how often does it decide?

    python benchmarks/audit.py
    python benchmarks/audit.py --features FOLDER   # adds every .npz of CLIP features in it

Heads of lp_clip_auto on digits and on genuine features, and simulated counts of wins and losses. Of
each, 1,000 random orders of the disagreements, of which the first 20, 50 and 100 are labelled.
Writes results/audit.csv (a row per case and number of labels) and prints a summary.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cases
import numpy as np
import pandas as pd
from cases import Case, Images
from parallel import in_parallel

from lpclip.methods.kinds.self_training import Settings
from lpclip.methods.training.self_training import self_train
from lpclip.metrics.audit import Labelled, interval_of_gain
from lpclip.storage.features import normalise
from lpclip.storage.text import ZeroShotHead
from lpclip.types import IntArray

RESULTS = Path(__file__).parent / "results/audit.csv"
LABELS = (20, 50, 100)
LOOKS = "the first of 20, 50, 100 that decides"
Counts = tuple[str, str, int, int, int, int]  # kind, case, images, wins, losses, neither


def heads(features: Path | None) -> Iterator[tuple[str, Case, Images]]:
    """Yield name and data of each case, and the labelled images that the audit is about."""
    text = cases.zero_shot(cases.NUMBERS, cases.DIGIT_TEMPLATES)
    for name, paint in (("digits", None), ("digits, coloured", "colours")):
        source = {"kind": "digits", **({"paint": paint} if paint else {})}
        pool = cases.embed({**source, "split": "adapt"})
        yield name, Case(name, text, pool, pool), pool
        few = cases.few(Case(name, text, pool, pool), "20", 20, 0)
        yield f"{name}, 20 a class", few, pool
    for path in sorted(features.glob("*.npz")) if features else ():
        case, name = read_features(path), path.stem
        yield name, case, case.adapt
        yield f"{name}, its test set as the pool", replace(case, adapt=case.test), case.test
        if (n := len(case.head.class_names)) > 100:
            continue  # a few images a class
        five = np.flatnonzero(np.isin(case.adapt.labels, np.arange(n)[:: n // 5][:5]))
        yield (
            f"{name}, 5 classes in the pool",
            replace(case, adapt=case.adapt.take(five)),
            case.test,
        )


def read_features(path: Path) -> Case:
    """Read arrays adapt, adapt_labels, test, test_labels, text, classes."""
    with np.load(path, allow_pickle=False) as arrays:
        text = normalise(arrays["text"].astype(np.float32))
        head = ZeroShotHead(text, 0.0, 100.0, tuple(map(str, arrays["classes"])), {})
        adapt, test = (
            cases.without_views(arrays[name], arrays[f"{name}_labels"])
            for name in ("adapt", "test")
        )
    return Case(path.stem, head, adapt, test)


def counts_of(task: tuple[str, Case, Images]) -> Counts:
    """Train a head and count on which images it is right and zero-shot is not, and so on."""
    name, case, audited = task
    probes = self_train(case.head, case.adapt.pool(Settings()), Settings(), [0])
    before, after = (probes.logits(audited.clean, number, 0).argmax(axis=1) for number in (0, -1))
    differ, labels = before != after, audited.labels
    wins, losses = int((differ & (after == labels)).sum()), int((differ & (before == labels)).sum())
    return "trained", name, len(labels), wins, losses, int(differ.sum()) - wins - losses


def simulated() -> Iterator[Counts]:
    """Yield counts of 10 times as many images as disagreements."""
    for disagreements in (30, 100, 300, 1000):
        for neither in (0.0, 0.3):
            for share in (0.3, 0.5, 0.55, 0.6, 0.7, 0.9):
                others = round(neither * disagreements)
                wins = round(share * (disagreements - others))
                name = f"{disagreements} disagreements, {neither:.0%} neither, {share:.0%} wins"
                losses = disagreements - others - wins
                yield "simulated", name, 10 * disagreements, wins, losses, others


@cache
def interval(found: Labelled) -> tuple[float, float]:
    return interval_of_gain(found)


def study(task: tuple[Counts, int]) -> list[dict[str, object]]:
    """Return the rows of one case: coverage, share decided, and wrong statements."""
    (kind, name, images, wins, losses, neither), draws = task
    total, gain = wins + losses + neither, (wins - losses) / images
    random = np.random.default_rng(0)
    rows = []
    first = [(-1.0, 1.0)] * draws  # the interval at the first look that decides, else at the last
    for n, counts in labelled(np.array([wins, losses, neither]), draws, random):
        ends = [interval(Labelled(*map(int, one), total, images)) for one in counts]
        pairs = zip(first, ends, strict=True)
        first = [now if before[0] <= 0 <= before[1] else before for before, now in pairs]
        rows += [{"labels": str(n), **_summary(ends, gain)}]
    rows += [{"labels": LOOKS, **_summary(first, gain)}]
    case = {"kind": kind, "case": name, "images": images, "disagreements": total}
    return [{**case, "wins": wins, "losses": losses, "gain": gain, **row} for row in rows]


def labelled(
    pool: IntArray, draws: int, random: np.random.Generator
) -> Iterator[tuple[int, IntArray]]:
    """Yield each number of labels, with wins, losses and neither among them ``[draws, 3]``."""
    found = np.zeros((draws, 3), dtype=int)
    for before, n in zip((0, *LABELS), LABELS, strict=False):
        more = min(n, int(pool.sum())) - min(before, int(pool.sum()))
        found += [random.multivariate_hypergeometric(pool - one, more) for one in found]
        yield n, found.copy()


def _summary(ends: list[tuple[float, float]], gain: float) -> dict[str, float]:
    low, high = np.array(ends).T
    better, worse = low > 0, high < 0
    return {
        "coverage": float(((low <= gain + 1e-12) & (gain - 1e-12 <= high)).mean()),
        "decided": float((better | worse).mean()),
        "wrong": float(((better & (gain <= 0)) | (worse & (gain >= 0))).mean()),
        "width": float((high - low).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--features", type=Path, help="a folder of .npz of precomputed features")
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    counts = [*in_parallel(counts_of, list(heads(options.features))), *simulated()]
    tasks = [(one, options.draws) for one in counts if sum(one[3:]) > 0]
    table = pd.DataFrame([row for rows in in_parallel(study, tasks) for row in rows])
    table.to_csv(RESULTS, index=False, float_format="%.4g")
    print(summary(table))


def summary(table: pd.DataFrame) -> str:
    """Format coverage, wrong statements and the share of decided draws per number of labels."""
    by = table.groupby(["kind", "labels"], sort=False)
    found = by.agg(
        cases=("case", "nunique"),
        least_coverage=("coverage", "min"),
        coverage=("coverage", "mean"),
        most_wrong=("wrong", "max"),
        decided=("decided", "mean"),
        most_often=("decided", lambda one: (one > 0.5).sum()),
    )
    trained = table[table["kind"] == "trained"].pivot_table(
        index=["case", "images", "disagreements", "gain"],
        columns="labels",
        values="decided",
        sort=False,
    )
    return f"{found.round(3).to_string()}\n\n{trained.round(3).to_string()}"


if __name__ == "__main__":
    main()
