"""The table of rounds: what each round of each seed kept, how sure it was, how it ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lpclip.types import IntArray

if TYPE_CHECKING:
    from lpclip.storage.pseudo_labels import PseudoLabels

log = logging.getLogger(__name__)

OK, COLLAPSED, STOPPED = "ok", "collapsed", "stopped"


@dataclass(frozen=True)
class Round:
    """One round of one seed.

    Attributes:
        round: 0 is the zero-shot head.
        seed: seed of the training.
        status: ``ok``; ``collapsed`` (its probe was thrown away and the one before kept);
            ``stopped`` (not run, since an earlier round collapsed).
        coverage: share of the unlabelled set that the round learned from.
        confidence: mean confidence of these pseudo-labels.
        balance: entropy of their class frequencies over that of equal frequencies, 0..1.
        agreement: share of the unlabelled set for which probe and teacher predict the same.
        epochs: passes over the views.
        loss: mean cross-entropy in the last pass.
    """

    round: int
    seed: int
    status: str = OK
    coverage: float = nan
    confidence: float = nan
    balance: float = nan
    agreement: float = nan
    epochs: int = 0
    loss: float = nan


@dataclass(frozen=True)
class Collapse:
    """When a round counts as collapsed; shares are of the round before.

    Attributes:
        coverage: the share of samples kept falls below this share of what it was.
        balance: the balance of the predicted classes falls below this share of what it was.
        agreement: student and teacher predict the same for fewer samples than this share.
    """

    coverage: float = 0.5
    balance: float = 0.8
    agreement: float = 0.5


def judge_round(
    round: int,
    seed: int,
    *,
    learned: PseudoLabels,
    made: PseudoLabels,
    epochs: int,
    loss: float,
    limits: Collapse,
) -> Round:
    """Judge one seed's round by the labels that it learned and those that it would give.

    Args:
        round: the round, from 1.
        seed: of the training.
        learned: pseudo-labels that the student learned, ``[N]``.
        made: those that it makes as a teacher.
        epochs: passes over the views.
        loss: in the last of them.
        limits: beyond which the round has collapsed.
    """
    n_classes = learned.probabilities.shape[-1]
    confidence = learned.confidence[learned.selected]
    coverage = float(learned.selected.mean())
    balance = class_balance(learned.class_index, n_classes)
    agreement = float(np.mean(made.class_index == learned.class_index))
    next_coverage = float(made.selected.mean())
    next_balance = class_balance(made.class_index, n_classes)
    reason = ""
    if not learned.selected.any():
        reason = "no sample is confident enough; lower the threshold"
    elif next_coverage < limits.coverage * coverage:
        reason = f"coverage fell from {coverage:.2f} to {next_coverage:.2f}"
    elif next_balance < limits.balance * balance:
        reason = f"class balance fell from {balance:.2f} to {next_balance:.2f}"
    elif agreement < limits.agreement:
        reason = f"it agrees with its teacher on {agreement:.2f} of the samples"
    if reason:
        log.warning(
            "round %d of seed %d collapsed: %s. The probe of round %d is kept.",
            round,
            seed,
            reason,
            round - 1,
        )
    return Round(
        round,
        seed,
        COLLAPSED if reason else OK,
        coverage=coverage,
        confidence=float(confidence.mean()) if len(confidence) else nan,
        balance=balance,
        agreement=agreement,
        epochs=epochs,
        loss=loss,
    )


def rounds_table(rounds: Sequence[Round]) -> pd.DataFrame:
    """One row per round and seed."""
    return pd.DataFrame([asdict(row) for row in rounds])


def class_balance(class_index: IntArray, n_classes: int) -> float:
    """Entropy of the class frequencies over that of equal frequencies; 0 for no sample.

    >>> class_balance(np.array([0, 1]), 2), class_balance(np.array([1, 1]), 2)
    (1.0, 0.0)
    """
    counts = np.bincount(class_index, minlength=n_classes)
    if counts.sum() == 0 or n_classes < 2:
        return 0.0
    shares = counts[counts > 0] / counts.sum()
    return abs(float(-(shares * np.log(shares)).sum() / np.log(n_classes)))
