"""The guard: which head is shipped, and how sure it is that it beats zero-shot.

The gain of a head is estimated from unlabelled images alone. What each piece of evidence is worth
was fitted on characters of fonts and of a pen, none of which any report uses
(benchmarks/fit_guard.py).
No label is read here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

import numpy as np
import pandas as pd

from lpclip.methods.training.evidence import Evidence

ADAPTED, ZERO_SHOT = "adapted", "zero_shot"
STRENGTHS = (0.25, 0.5, 0.75)
# Share of supported classes above which a head goes so far from zero-shot: where classes of the
# test set may be absent from the unlabelled images, going further loses more than it gains.
_FARTHEST = ((2 / 3, 0.75), (1 / 3, 0.5), (0.0, 0.25))
# Where there is less than this, gains on the development sets were too small for the risk.
LEAST_IMAGES, LEAST_CLASSES, LEAST_AGREEMENT = 30, 3, 0.6


@dataclass(frozen=True)
class Worth:
    """A linear estimate of a head's gain over zero-shot, per image for which the two differ.

    A head that changes 3 % of the predictions gains at most 3 points.

    Attributes:
        neighbours: per unit of this evidence.
        posterior: likewise.
        gaussian: likewise.
        others: likewise.
        unsupported: per share of classes without support.
        variance: of the gain's error, per share of predictions that differ.
        width: half of the interval's width in standard deviations; 9 of 10 gains are within it.
    """

    neighbours: float
    posterior: float
    gaussian: float
    others: float
    unsupported: float
    variance: float
    width: float

    def estimate(self, evidence: Evidence, trust: float) -> "Estimate":
        """Estimate the gain of a head.

        Args:
            evidence: on the head.
            trust: gain without evidence, of the way in which the head was trained.
        """
        per_change = (
            trust
            + self.neighbours * evidence.neighbours
            + self.posterior * evidence.posterior
            + self.gaussian * evidence.gaussian
            + self.others * evidence.others
            + self.unsupported * (1 - evidence.support)
        )
        limit = evidence.change
        # Plus 0, since -0 is printed with its sign.
        gain = limit * float(np.clip(per_change, -1, 1)) + 0.0
        deviation = float(np.sqrt(self.variance * limit))
        low, high = gain - self.width * deviation, gain + self.width * deviation
        return Estimate(gain, max(low, -limit), min(high, limit), deviation)


WORTH = Worth(0.156, 0.042, 0.081, 0.154, -0.023, 0.0026, 1.82)
# Gain without evidence by how a candidate was trained: self-training by its prior, adapters by
# their names.
TRUST: Mapping[str, float] = MappingProxyType(
    {"auto": 0.03, "align": 0.037, "none": -0.075, "stata": -0.003, "transclip": -0.016}
)
_LEAST_TRUST = min(TRUST.values())
# A head is shipped if its gain, less so many standard deviations of the estimate, is above 0.
DOUBT = 0.5


@dataclass(frozen=True)
class Estimate:
    """Estimated gain over zero-shot, fractions.

    Attributes:
        gain: estimate.
        low: lower end of the 90 % interval.
        high: upper end.
        deviation: standard deviation of the estimate.
    """

    gain: float
    low: float
    high: float
    deviation: float

    @property
    def ships(self) -> bool:
        """Whether the gain is sure enough."""
        return self.gain - DOUBT * self.deviation > 0


@dataclass(frozen=True)
class Candidate:
    """A head that may be shipped.

    Attributes:
        name: of the candidate.
        kind: how it was trained, a key of ``TRUST``.
        evidence: mean over seeds, by strength.
        collapsed: whether a round of its training collapsed.
    """

    name: str
    kind: str
    evidence: Mapping[float, Evidence]
    collapsed: bool = False

    def estimate(self, strength: float) -> Estimate:
        """Estimate the gain of the head so far from zero-shot."""
        return WORTH.estimate(self.evidence[strength], TRUST.get(self.kind, _LEAST_TRUST))


@dataclass(frozen=True)
class Decision:
    """What the guard ships, and why.

    Attributes:
        candidate: its name; the most promising one where zero-shot is shipped.
        strength: how far from zero-shot, 0, to the candidate, 1.
        reason: why zero-shot is shipped; empty for a candidate.
        table: one row per candidate and strength.
    """

    candidate: str
    strength: float
    reason: str
    table: pd.DataFrame


def decide(
    candidates: Sequence[Candidate], *, images: int, classes: int, reason: str = ""
) -> Decision:
    """Decide once for all seeds.

    The first candidate whose gain is sure enough is shipped: chosen by the largest estimate among
    all, the heads gained less on the development sets. How far it goes depends on the share of
    classes that are supported.

    Args:
        candidates: in the order in which they are preferred, at least one.
        images: unlabelled images that are learned from.
        classes: classes that they support.
        reason: why zero-shot cannot be improved at all; empty if it may.
    """
    first = next(iter(candidates[0].evidence.values()))
    strength = strength_for(first.support)
    reason = reason or too_little(first, images, classes)
    sound = [one for one in candidates if not one.collapsed]
    promising = max(sound or candidates, key=lambda one: one.estimate(strength).gain)
    if not reason and not sound:
        reason = "the training of every candidate collapsed"
    if not reason:
        sure = [one for one in sound if one.estimate(strength).ships]
        if sure:
            return Decision(sure[0].name, strength, "", _table(candidates, sure[0], strength, ""))
        reason = "no estimated gain is sure enough"
    return Decision(promising.name, 0.0, reason, _table(candidates, promising, 0.0, reason))


def strength_for(support: float) -> float:
    """Return how far from zero-shot a head goes, by the share of classes that are supported.

    >>> [strength_for(support) for support in (1.0, 0.5, 0.2)]
    [0.75, 0.5, 0.25]
    """
    return next(most for share, most in _FARTHEST if support > share or not share)


def too_little(evidence: Evidence, images: int, classes: int) -> str:
    """Return why there is too little to learn from, or nothing."""
    if images < LEAST_IMAGES:
        return f"there are {images} images to learn from, fewer than {LEAST_IMAGES}"
    if classes < LEAST_CLASSES:
        number = f"{classes} class{'' if classes == 1 else 'es'}"
        return f"images of {number} are confirmed by their neighbours, fewer than {LEAST_CLASSES}"
    if evidence.zero_shot_agreement < LEAST_AGREEMENT:
        return (
            f"zero-shot gives one class to {evidence.zero_shot_agreement:.0%} of neighbouring "
            f"images, less than {LEAST_AGREEMENT:.0%}, so it distinguishes too little"
        )
    return ""


def _table(
    candidates: Sequence[Candidate], chosen: Candidate, strength: float, reason: str
) -> pd.DataFrame:
    rows = [
        {
            "decision": ADAPTED if strength else ZERO_SHOT,
            "reason": reason or "-",
            "chosen_candidate": chosen.name,
            "chosen_strength": strength,
            "candidate": one.name,
            "strength": how_far,
            "estimated_gain": estimate.gain,
            "gain_low": estimate.low,
            "gain_high": estimate.high,
            **asdict(evidence),
        }
        for one in candidates
        for how_far, evidence in one.evidence.items()
        for estimate in [one.estimate(how_far)]
    ]
    return pd.DataFrame(rows)


def mean_evidence(per_seed: Sequence[Evidence]) -> Evidence:
    """Return the mean over seeds."""
    return Evidence(
        **{
            field.name: float(np.mean([getattr(one, field.name) for one in per_seed]))
            for field in fields(Evidence)
        }
    )
