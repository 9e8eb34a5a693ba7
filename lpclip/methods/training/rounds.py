"""The table of rounds: what each round of each seed kept, its confidence, how it ended."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import nan

import numpy as np
import pandas as pd

from lpclip.types import IntArray

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


def rounds_table(rounds: Sequence[Round]) -> pd.DataFrame:
    """Return one row per round and seed."""
    return pd.DataFrame([asdict(row) for row in rounds])


def class_balance(class_index: IntArray, n_classes: int) -> float:
    """Return the entropy of the class frequencies over that of equal frequencies; 0 for no sample.

    >>> class_balance(np.array([0, 1]), 2), class_balance(np.array([1, 1]), 2)
    (1.0, 0.0)
    """
    counts = np.bincount(class_index, minlength=n_classes)
    if counts.sum() == 0 or n_classes < 2:
        return 0.0
    shares = counts[counts > 0] / counts.sum()
    return abs(float(-(shares * np.log(shares)).sum() / np.log(n_classes)))
