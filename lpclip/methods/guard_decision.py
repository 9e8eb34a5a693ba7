"""What the guard decided, for people: which head is shipped, and why."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class GuardDecision:
    """Which head is shipped, and why.

    Estimates are fractions, made without a label. Where zero-shot is kept, they are those of the
    most promising head, which is not shipped.

    Attributes:
        ships: ``adapted`` or ``zero_shot``.
        candidate: name of the candidate.
        strength: how far the shipped head is from zero-shot, 0, to the candidate, 1.
        reason: why zero-shot is kept; empty for an adapted head.
        estimated_gain: in accuracy over zero-shot.
        gain_low: lower end of its 90 % interval.
        gain_high: upper end.
        evidence: one row per candidate and strength, with the columns of ``guard.csv``.
    """

    ships: str
    candidate: str
    strength: float
    reason: str
    estimated_gain: float
    gain_low: float
    gain_high: float
    evidence: pd.DataFrame

    def __str__(self) -> str:
        what = f"Ships a head {self.strength:.0%} of the way from zero-shot to {self.candidate}."
        if not self.strength:
            what = f"Keeps zero-shot: {self.reason}."
        gain, low, high = (
            f"{100 * one:+.1f}" for one in (self.estimated_gain, self.gain_low, self.gain_high)
        )
        whose = "" if self.strength else f", of {self.candidate}"
        return f"{what} Estimated gain: {gain} points, 90 % interval {low} to {high}{whose}."


def of_decision(guard: pd.DataFrame) -> pd.DataFrame:
    """Return the row of what is shipped; where zero-shot is kept, that of the best candidate.

    It is missing in a table that was edited.
    """
    first = guard.iloc[0]
    own = guard[guard["candidate"] == first["chosen_candidate"]]
    strength = float(first["chosen_strength"])
    found: pd.DataFrame = (
        own[own["strength"] == strength] if strength else own.nlargest(1, "estimated_gain")
    )
    return found


def decision_of(guard: pd.DataFrame) -> GuardDecision:
    """Return the decision in the guard's table of a method's probes."""
    strength = float(guard["chosen_strength"].iloc[0])
    row = of_decision(guard).iloc[0]
    return GuardDecision(
        ships=str(row["decision"]),
        candidate=str(row["candidate"]),
        strength=strength,
        reason="" if strength else str(row["reason"]),
        estimated_gain=float(row["estimated_gain"]),
        gain_low=float(row["gain_low"]),
        gain_high=float(row["gain_high"]),
        evidence=guard,
    )
