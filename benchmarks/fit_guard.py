"""Fit the guard's coefficients on the development sets, and evaluate them on left-out sets.

    python benchmarks/development.py guard && python benchmarks/fit_guard.py

Prints, for several choices of evidence, the results of a guard on each set that was left out of its
fit, and for the chosen evidence the coefficients in lpclip/methods/training/guard.py.
"""

import argparse
from pathlib import Path

import pandas as pd
from sklearn.linear_model import Ridge

from lpclip.methods.training.guard import log_odds
from lpclip.types import FloatArray

TABLE = Path(__file__).parent / "results/development_guard.csv"
CHOICES = (
    ("gaussian",),
    ("gaussian", "halves"),
    ("gaussian", "log_odds"),
    ("halves", "log_odds"),
    ("gaussian", "halves", "log_odds"),
    ("gaussian", "halves", "log_odds", "neighbours"),
    ("gaussian", "halves", "log_odds", "change"),
    ("gaussian", "halves", "log_odds", "views"),
    ("gaussian", "halves", "log_odds", "balance"),
    ("gaussian", "halves", "log_odds", "neighbours", "views", "balance", "change"),
)
CHOSEN = ("gaussian", "halves", "log_odds")


def group(case: str) -> str:
    """Return the set of a case; all variants of a set are left out together."""
    return case.rsplit(", ", 1)[0]


def fit(rows: pd.DataFrame, evidence: tuple[str, ...]) -> tuple[float, FloatArray]:
    """Fit a ridge regression to standardised evidence; return its constant and coefficients."""
    values = rows[list(evidence)].to_numpy()
    spread = values.std(axis=0)
    model = Ridge(alpha=0.3).fit(values / spread, rows["gain"])
    return float(model.intercept_), model.coef_ / spread


def estimate_left_out(table: pd.DataFrame, evidence: tuple[str, ...]) -> pd.Series:
    """Return the estimated gain of every row, from a fit without the row's set."""
    found = pd.Series(0.0, index=table.index)
    groups = table["case"].map(group)
    for name in groups.unique():
        for strength in table["strength"].unique():
            rest = table[(groups != name) & (table["strength"] == strength)]
            constant, factors = fit(rest, evidence)
            own = table[(groups == name) & (table["strength"] == strength)]
            found[own.index] = constant + own[list(evidence)].to_numpy() @ factors
    return found


def evaluate(table: pd.DataFrame, estimates: pd.Series) -> dict[str, float]:
    """Return the gains that a guard with these estimates ships, in points."""
    rows = table.assign(estimate=estimates)
    best = rows.loc[rows.groupby("case", sort=False)["estimate"].idxmax()]
    adapts = best["estimate"] > 0
    shipped = 100 * best["gain"].where(adapts, 0.0).to_numpy()
    oracle = 100 * table.groupby("case", sort=False)["gain"].max().clip(lower=0).to_numpy()
    clear = best["gain"].abs().to_numpy() > 0.01
    return {
        "shipped": shipped.mean(),
        "oracle": oracle.mean(),
        "worst": shipped.min(),
        "losses > 0.5": (shipped < -0.5).sum(),
        "right if > 1": (adapts.to_numpy() == (best["gain"] > 0).to_numpy())[clear].mean(),
        "adapted": adapts.mean(),
        "full": (adapts & (best["strength"] == 1)).mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.parse_args()
    table = pd.read_csv(TABLE)
    table["log_odds"] = table["agreement"].map(log_odds)
    rows = []
    for evidence in CHOICES:
        found = evaluate(table, estimate_left_out(table, evidence))
        rows.append({"evidence": " + ".join(evidence), **found})
    print(pd.DataFrame(rows).round(2).to_string(index=False), "\n")
    for strength, part in table.groupby("strength"):
        constant, factors = fit(part, CHOSEN)
        numbers = ", ".join(f"{number:.4f}" for number in (constant, *factors))
        print(f"{strength}: Worth({numbers}),")


if __name__ == "__main__":
    main()
