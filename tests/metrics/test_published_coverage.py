"""The coverage of intervals in the documentation meets the requirements."""

import pandas as pd

from tests.helpers import ROOT

TABLE = ROOT / "benchmarks/results/intervals.csv"
# Their interval is Wilson's, whose coverage has known dips.
WILSON = ("accuracy", "top5_accuracy")


def test_every_interval_covers_92_per_cent_and_has_a_width():
    table = pd.read_csv(TABLE)
    own = table[~table["metric"].isin(WILSON)]
    assert set(table["n"]) == {30, 100, 1000}
    assert {0.5, 0.7, 0.9, 0.97, 0.995} == set(table["accuracy"].dropna())
    assert {0.0, 0.05, 0.15} == set(table["overconfidence"].dropna())
    assert own["coverage"].min() >= 0.92
    assert (table["least_width"] > 0).all()
