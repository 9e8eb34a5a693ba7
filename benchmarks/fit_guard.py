"""Fit the guard's coefficients on the development sets, and evaluate them on left-out sets.

    python benchmarks/development.py guard && python benchmarks/fit_guard.py

Prints, for several choices of evidence and of candidates, what a guard ships on each set that was
left out of its fit, how often the true gain is in the stated interval, and for the chosen evidence
the constants in lpclip/methods/training/guard.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lpclip.methods.training import guard
from lpclip.types import FloatArray

TABLE = Path(__file__).parent / "results/development_guard.csv"
CHOSEN = ("neighbours", "posterior", "gaussian", "others", "unsupported")
CHOICES = (
    (),
    ("neighbours", "unsupported"),
    ("posterior", "unsupported"),
    ("gaussian", "unsupported"),
    ("others", "unsupported"),
    ("neighbours", "posterior", "unsupported"),
    ("neighbours", "others", "unsupported"),
    ("neighbours", "posterior", "gaussian", "others"),
    CHOSEN,
)
KINDS = {"lp_clip_auto": "auto", "lp_clip_balanced": "align", "lp_clip": "none"}
# Pull of the coefficients towards 0, relative to the rows' mean square.
RIDGE = 0.01
LEVEL = 0.9


def group(case: str) -> str:
    """Return the set of a case; all variants of a set are left out together."""
    return case.rsplit(", ", 1)[0]


def design(rows: pd.DataFrame, evidence: Sequence[str]) -> FloatArray:
    """Return one column per candidate, trust without evidence, and one per piece of evidence."""
    trust = [(rows["candidate"] == name).to_numpy(float) for name in sorted(set(rows["candidate"]))]
    return np.column_stack([*trust, *(rows[name].to_numpy() for name in evidence)])


def fit(rows: pd.DataFrame, evidence: Sequence[str]) -> FloatArray:
    """Fit gains per changed prediction by ridge regression.

    Rows count by the inverse of their error: a gain varies with the share of predictions that
    differ.
    """
    change = rows["change"].to_numpy()
    weight = 1 / np.sqrt(0.01 + change)
    values = design(rows, evidence) * (change * weight)[:, None]
    penalty = RIDGE * np.square(change * weight).sum() * np.eye(values.shape[1])
    found: FloatArray = np.linalg.solve(
        values.T @ values + penalty, values.T @ (rows["gain"].to_numpy() * weight)
    )
    return found


def estimate_left_out(table: pd.DataFrame, evidence: Sequence[str]) -> FloatArray:
    """Return the estimated gain of every row, from a fit without the row's set."""
    groups = table["case"].map(group).to_numpy()
    found = np.zeros(len(table))
    for name in np.unique(groups):
        own = groups == name
        factors = fit(table[~own], evidence)
        found[own] = design(table, evidence)[own] @ factors * table["change"].to_numpy()[own]
    return found


def variance_of(table: pd.DataFrame, estimates: FloatArray) -> float:
    """Return the variance of the estimate's error per share of predictions that differ."""
    squares = np.square(table["gain"].to_numpy() - estimates)
    return float(squares.sum() / table["change"].sum())


def evaluate(table: pd.DataFrame, estimates: FloatArray, order: Sequence[str]) -> dict[str, float]:
    """Return what a guard with these estimates and candidates ships, in points."""
    change = table["change"].to_numpy()
    deviation = np.sqrt(variance_of(table, estimates) * change)
    rows = table.assign(low=estimates - guard.DOUBT * deviation)
    shipped, best = [], []
    for _, case in rows.groupby("case", sort=False):
        first = case.iloc[0]
        farthest = guard.strength_for(float(first["support"]))
        sure = case[(case["strength"] == farthest) & (case["low"] > 0)]
        no_veto = first["reason"] == "-" or str(first["reason"]).startswith("no ")
        if no_veto and first["zero_shot_agreement"] >= guard.LEAST_AGREEMENT:
            chosen = next((name for name in order if name in set(sure["candidate"])), None)
        else:
            chosen = None
        gains = sure.loc[sure["candidate"] == chosen, "gain"]
        shipped.append(100 * float(gains.iloc[0]) if len(gains) else 0.0)
        best.append(100 * max(0.0, float(case["gain"].max())))
    made, possible = np.array(shipped), np.array(best)
    worth = possible > 0.5
    return {
        "shipped": made.mean(),
        "best": possible.mean(),
        "kept": made[worth].sum() / possible[worth].sum(),
        "worst": made.min(),
        "losses > 0.5": (made < -0.5).sum(),
        "adapted": (made != 0).mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.parse_args()
    table = pd.read_csv(TABLE)
    table["unsupported"] = 1 - table["support"]
    # Heads that change nothing gain nothing.
    learned = table[table["change"] > 0].reset_index(drop=True)
    order = list(dict.fromkeys(table["candidate"]))
    rows = []
    for evidence in CHOICES:
        estimates = estimate_left_out(learned, evidence)
        found = evaluate(learned, estimates, order)
        correlation = np.corrcoef(estimates, learned["gain"])[0, 1]
        rows.append({"evidence": " + ".join(evidence) or "none", "r": correlation, **found})
    print(f"{table['case'].nunique()} cases")
    print(pd.DataFrame(rows).round(2).to_string(index=False), "\n")
    estimates = estimate_left_out(learned, CHOSEN)
    rows = [
        {"candidates": ", ".join(order[:n]), **evaluate(learned, estimates, order[:n])}
        for n in range(1, len(order) + 1)
    ]
    print(pd.DataFrame(rows).round(2).to_string(index=False), "\n")
    show_strengths(table[table["candidate"] == order[0]])
    show_intervals(learned, estimates)
    factors = fit(learned, CHOSEN)
    names = sorted(set(learned["candidate"]))
    trust = {
        KINDS.get(name, name): round(float(v), 3) for name, v in zip(names, factors, strict=False)
    }
    numbers = ", ".join(f"{number:.3f}" for number in factors[len(names) :])
    print(f"WORTH = Worth({numbers}, {variance_of(learned, estimates):.4f}, …)\nTRUST = {trust}")


def show_strengths(rows: pd.DataFrame) -> None:
    """Print gains of the preferred candidate, in points, by support and by agreement."""
    gain, points = rows["gain"], 100 * rows["gain"]
    enough = rows["zero_shot_agreement"] >= guard.LEAST_AGREEMENT
    shares = {"support": [0, 1 / 3, 2 / 3, 1], "zero_shot_agreement": [0, 0.4, 0.5, 0.6, 0.8, 1]}
    for name, limits in shares.items():
        parts = pd.cut(rows[name], limits)
        found = points.where(enough) if name == "support" else points
        by = found.groupby([parts, rows["strength"]], observed=True)
        losses = (gain < -0.005).groupby([parts, rows["strength"]], observed=True).sum()
        print(by.agg(["count", "mean", "min"]).round(2).assign(losses=losses).to_string(), "\n")


def show_intervals(table: pd.DataFrame, estimates: FloatArray) -> None:
    """Print how wide an interval of the estimate is that holds 9 of 10 true gains."""
    deviation = np.sqrt(variance_of(table, estimates) * table["change"].to_numpy())
    error = np.abs(table["gain"].to_numpy() - estimates) / deviation
    # Of the strengths that are shipped, each case once per candidate.
    far = table["strength"].to_numpy() == table["support"].map(guard.strength_for).to_numpy()
    width = float(np.quantile(error[far], LEVEL))
    inside = np.mean(error[far] <= width)
    median = 100 * np.median(2 * width * deviation[far])
    print(f"width {width:.2f}: {inside:.0%} of true gains inside, median width {median:.1f} points")


if __name__ == "__main__":
    main()
