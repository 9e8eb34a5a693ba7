"""The guard: does an adapted head beat zero-shot? Evidence from unlabelled features, one decision.

No label is read here. What each piece of evidence is worth was fitted on characters of fonts and of
a pen, none of which any report uses (benchmarks/fit_guard.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from lpclip.methods.labelling.structure import Structure
from lpclip.methods.training.rounds import class_balance
from lpclip.types import BoolArray, FloatArray, IntArray

ADAPTED, ZERO_SHOT = "adapted", "zero_shot"


@dataclass(frozen=True)
class Evidence:
    """What speaks for an adapted head and against zero-shot.

    Shares are of the unlabelled set. The heads of the halves were trained on one half each; the
    held-out head of a sample is the one of them that was not trained on it.

    Attributes:
        gaussian: agreement of the head with an independent classifier, less zero-shot's agreement
            with it. The classifier, Gaussian classes fitted to zero-shot's predictions for other
            samples, has learned nothing from the head.
        halves: agreement of the heads of the halves with each other, less that of the held-out head
            with zero-shot. Two students that agree more with each other than with their teacher
            have found something in the features.
        agreement: share of neighbours for which the head predicts the same.
        change: share for which head and zero-shot differ.
        neighbours: where they differ, votes of zero-shot's predictions for neighbouring samples
            for the head, less those for zero-shot, over the set.
        views: agreement of the versions of the view with their mean, less that of zero-shot.
        balance: entropy of the predicted classes (1: equally many), less zero-shot's.
    """

    gaussian: float
    halves: float
    agreement: float
    change: float
    neighbours: float
    views: float
    balance: float


@dataclass(frozen=True)
class Worth:
    """A linear estimate of the gain in accuracy over zero-shot.

    Attributes:
        constant: gain without evidence.
        gaussian: gain per unit of this evidence.
        halves: likewise.
        agreement: gain per unit of the log-odds of the agreement.
    """

    constant: float
    gaussian: float
    halves: float
    agreement: float

    def gain(self, evidence: Evidence) -> float:
        """Estimated gain, a fraction."""
        return (
            self.constant
            + self.gaussian * evidence.gaussian
            + self.halves * evidence.halves
            + self.agreement * log_odds(evidence.agreement)
        )


# How far the shipped head goes from zero-shot to the adapted head -> what the evidence is worth
# (benchmarks/fit_guard.py prints these numbers).
WORTH: Mapping[float, Worth] = MappingProxyType(
    {
        0.25: Worth(0.0000, 0.1280, 0.0962, 0.0029),
        0.5: Worth(-0.0050, 0.2084, 0.1490, 0.0066),
        0.75: Worth(-0.0180, 0.3064, 0.1724, 0.0118),
        1.0: Worth(-0.0320, 0.3714, 0.1845, 0.0163),
    }
)


@dataclass(frozen=True)
class Decision:
    """What the guard ships, and why.

    Attributes:
        decision: ``adapted`` or ``zero_shot``.
        strength: 0 ships zero-shot, 1 the adapted head, 0.5 the head half-way between.
        estimated_gain: of each strength, over zero-shot, a fraction.
        evidence: mean over seeds.
    """

    decision: str
    strength: float
    estimated_gain: Mapping[float, float]
    evidence: Evidence

    def table(self) -> pd.DataFrame:
        """Return one row per strength: decision, the strength chosen, estimated gain, evidence."""
        return pd.DataFrame(
            {
                "decision": self.decision,
                "chosen_strength": self.strength,
                "strength": list(self.estimated_gain),
                "estimated_gain": list(self.estimated_gain.values()),
                **asdict(self.evidence),
            }
        )


def log_odds(share: float) -> float:
    """ln(p / (1 - p)), with p kept away from 0 and 1.

    >>> log_odds(0.5)
    0.0
    """
    inside = min(max(share, 0.01), 0.99)
    return float(np.log(inside / (1 - inside)))


def decide(per_seed: Sequence[Evidence]) -> Decision:
    """Decide once for all seeds, from the evidence of each.

    The strength with the largest estimated gain; zero-shot where none is above 0.
    """
    values = [asdict(evidence) for evidence in per_seed]
    evidence = Evidence(**{name: float(np.mean([v[name] for v in values])) for name in values[0]})
    gains = {strength: worth.gain(evidence) for strength, worth in WORTH.items()}
    best = max(gains, key=gains.__getitem__)
    adapts = gains[best] > 0
    return Decision(ADAPTED if adapts else ZERO_SHOT, best if adapts else 0.0, gains, evidence)


def gather(
    structure: Structure,
    *,
    zero_shot: FloatArray,
    head: FloatArray,
    first_half: FloatArray,
    second_half: FloatArray,
) -> Evidence:
    """Gather the evidence for one head.

    Args:
        structure: of the unlabelled set.
        zero_shot: logits ``[V, N, C]`` of zero-shot.
        head: those of the adapted head.
        first_half: those of the head trained on ``structure.halves`` alone.
        second_half: those of the head trained on the others.
    """
    n_classes = zero_shot.shape[-1]
    theirs, ours, one, two = (
        logits.mean(axis=0).argmax(axis=-1) for logits in (zero_shot, head, first_half, second_half)
    )
    held_out = np.where(structure.halves, two, one)
    reader = structure.gaussian_logits(np.eye(n_classes)[theirs]).mean(axis=0).argmax(axis=-1)
    agreement = structure.agreement(ours)
    return Evidence(
        gaussian=_share(reader == ours) - _share(reader == theirs),
        halves=_share(one == two) - _share(held_out == theirs),
        agreement=agreement if np.isfinite(agreement) else 0.0,
        change=_share(ours != theirs),
        neighbours=_votes(structure, ours, theirs),
        views=_share(head.argmax(axis=-1) == ours) - _share(zero_shot.argmax(axis=-1) == theirs),
        balance=class_balance(ours, n_classes) - class_balance(theirs, n_classes),
    )


def _votes(structure: Structure, ours: IntArray, theirs: IntArray) -> float:
    rows, nearest = structure.neighbours
    around = theirs[nearest]
    return _share(around == ours[rows][:, None]) - _share(around == theirs[rows][:, None])


def _share(values: BoolArray) -> float:
    return float(np.mean(values)) if np.size(values) else 0.0
