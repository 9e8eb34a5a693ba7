"""The sweep over C, each regression started at the last weights or at zero: only time changes.

    python benchmarks/speed/warm_starts.py

A logistic regression has one optimum, wherever it starts. Writes ``results/warm_starts.csv``.
"""

import argparse
from typing import Any
from unittest import mock

import numpy as np
from measure import machine, seconds_of, write
from probes import SCALE, problem
from sklearn.model_selection import train_test_split

from lpclip import regression
from lpclip.regression import Sweep, choose_c, fit_regression
from lpclip.types import FloatArray, IntArray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--classes", type=int, default=10)
    options = parser.parse_args()
    drawn, classes = problem(options.samples, options.dim, options.classes)
    features, labels = SCALE * drawn.numpy(), classes.numpy()
    split = tuple(train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0))
    sweep = Sweep(c_steps=13)
    kept: dict[str, float] = {}

    def warm() -> None:
        kept["warm"] = choose_c(features, labels, [split], sweep)

    def cold() -> None:
        start_at_zero = mock.patch.object(regression, "_regression", from_zero)
        with start_at_zero:
            kept["cold"] = choose_c(features, labels, [split], sweep)

    seconds = seconds_of({"warm": warm, "cold": cold}, repeats=3)
    heads = [fit_regression(features, labels, kept[start], sweep) for start in ("warm", "cold")]
    apart = max(float(np.abs(one - other).max()) for one, other in zip(*heads, strict=True))
    write(
        [
            {
                "start": start,
                "seconds": seconds[start],
                "ratio": seconds[start] / seconds["cold"],
                "chosen_c": kept[start],
                "heads_apart": apart,
                "machine": machine(),
            }
            for start in ("warm", "cold")
        ],
        "warm_starts",
    )


_regression = regression._regression


def from_zero(
    features: FloatArray, labels: IntArray, c: float, sweep: Sweep, _: Any
) -> regression.LogisticRegression:
    return _regression(features, labels, c, sweep, None)


if __name__ == "__main__":
    main()
