"""The guard: does an adapted head beat zero-shot? Evidence from unlabelled features, one decision.

No label is read here. What each piece of evidence is worth was fitted on rendered characters and
simulated features, none of which any report uses (benchmarks/development.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from lpclip.rounds import class_balance
from lpclip.structure import Structure
from lpclip.types import BoolArray, FloatArray, IntArray

ADAPTED, ZERO_SHOT = "adapted", "zero_shot"


@dataclass(frozen=True)
class Evidence:
    """What speaks for a head and against zero-shot; each is 0 for zero-shot itself.

    Shares are of the unlabelled set. The heads of the halves were trained on one half each; a
    sample's stranger is the one of them that did not learn from it.

    Attributes:
        change: share for which head and zero-shot differ.
        gaussian: agreement with a third reader, less zero-shot's agreement with it. The reader,
            Gaussian classes fitted to zero-shot's predictions for other samples, is no friend of
            the head: it has learned nothing from it.
        halves: agreement of the heads of the halves with each other, less the stranger's with
            zero-shot. Two students that agree more with each other than with their teacher have
            found something that the features say.
        neighbours: where head and zero-shot differ, votes of zero-shot's predictions for
            neighbouring samples for the head, less those for zero-shot, over the set.
        smoothness: agreement of neighbours under the head, less that under zero-shot.
        views: agreement of the versions of the view with their mean, less that of zero-shot.
        balance: entropy of the predicted classes (1: equally many), less zero-shot's.
    """

    change: float
    gaussian: float
    halves: float
    neighbours: float
    smoothness: float
    views: float
    balance: float


@dataclass(frozen=True)
class Worth:
    """A linear estimate of the gain in accuracy over zero-shot.

    Attributes:
        constant: gain without evidence.
        per_evidence: gain per unit of some pieces of evidence.
    """

    constant: float
    per_evidence: Mapping[str, float]

    def gain(self, evidence: Evidence) -> float:
        """Estimated gain, a fraction."""
        values = asdict(evidence)
        return self.constant + sum(
            factor * float(values[name]) for name, factor in self.per_evidence.items()
        )


# How far the shipped head goes from zero-shot to the adapted head -> what its evidence is worth.
WORTH: Mapping[float, Worth] = MappingProxyType(
    {
        0.5: Worth(0.0, {"gaussian": 1.0, "halves": 0.2}),
        1.0: Worth(-0.01, {"gaussian": 1.5, "halves": 0.4}),
    }
)
# The estimated gain that adapting must promise.
MARGIN = 0.0


@dataclass(frozen=True)
class Decision:
    """What the guard ships, and why.

    Attributes:
        decision: ``adapted`` or ``zero_shot``.
        strength: 0 ships zero-shot, 1 the adapted head, 0.5 the head half-way between.
        estimated_gain: of each strength, over zero-shot, a fraction.
        evidence: of each strength, mean over seeds.
    """

    decision: str
    strength: float
    estimated_gain: Mapping[float, float]
    evidence: Mapping[float, Evidence]

    def table(self) -> pd.DataFrame:
        """One row per strength: decision, the strength chosen, estimated gain, evidence."""
        return pd.DataFrame(
            [
                {
                    "decision": self.decision,
                    "chosen_strength": self.strength,
                    "strength": strength,
                    "estimated_gain": self.estimated_gain[strength],
                    **asdict(evidence),
                }
                for strength, evidence in self.evidence.items()
            ]
        )


def between(zero_shot: FloatArray, adapted: FloatArray, strength: float) -> FloatArray:
    """Weights or biases on the way from zero-shot (0) to the adapted head (1)."""
    way: FloatArray = (1 - strength) * zero_shot + strength * adapted
    return way


def decide(per_seed: Mapping[float, Sequence[Evidence]]) -> Decision:
    """One decision for all seeds.

    Args:
        per_seed: strength -> evidence of each seed.
    """
    evidence = {strength: _mean(each) for strength, each in per_seed.items()}
    gains = {strength: WORTH[strength].gain(found) for strength, found in evidence.items()}
    best = max(gains, key=gains.__getitem__)
    adapts = gains[best] > MARGIN
    return Decision(ADAPTED if adapts else ZERO_SHOT, best if adapts else 0.0, gains, evidence)


def gather(
    structure: Structure,
    *,
    zero_shot: FloatArray,
    head: FloatArray,
    first_half: FloatArray,
    second_half: FloatArray,
) -> Evidence:
    """Evidence for one head.

    Args:
        structure: of the unlabelled set.
        zero_shot: logits ``[V, N, C]`` of zero-shot.
        head: those of the head.
        first_half: those of the head trained on ``structure.halves`` alone.
        second_half: those of the head trained on the others.
    """
    n_classes = zero_shot.shape[-1]
    theirs, ours, one, two = (
        logits.mean(axis=0).argmax(axis=-1) for logits in (zero_shot, head, first_half, second_half)
    )
    stranger = np.where(structure.halves, two, one)
    reader = structure.gaussian_logits(np.eye(n_classes)[theirs]).mean(axis=0).argmax(axis=-1)
    return Evidence(
        change=_share(ours != theirs),
        gaussian=_share(reader == ours) - _share(reader == theirs),
        halves=_share(one == two) - _share(stranger == theirs),
        neighbours=_votes(structure, ours, theirs),
        smoothness=_smoothness(structure, ours, theirs),
        views=_share(head.argmax(axis=-1) == ours) - _share(zero_shot.argmax(axis=-1) == theirs),
        balance=class_balance(ours, n_classes) - class_balance(theirs, n_classes),
    )


def _votes(structure: Structure, ours: IntArray, theirs: IntArray) -> float:
    rows, nearest = structure.neighbours
    around = theirs[nearest]
    return _share(around == ours[rows][:, None]) - _share(around == theirs[rows][:, None])


def _smoothness(structure: Structure, ours: IntArray, theirs: IntArray) -> float:
    _, nearest = structure.neighbours
    return structure.agreement(ours) - structure.agreement(theirs) if nearest.size else 0.0


def _share(values: BoolArray) -> float:
    return float(np.mean(values)) if np.size(values) else 0.0


def _mean(each: Sequence[Evidence]) -> Evidence:
    values = [asdict(evidence) for evidence in each]
    return Evidence(**{name: float(np.mean([v[name] for v in values])) for name in values[0]})
