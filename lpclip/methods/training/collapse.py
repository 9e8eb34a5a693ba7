"""When a round of self-training has collapsed: its probe is dropped, and its seed ends."""

import logging
from math import nan

import numpy as np

from lpclip.methods.training.rounds import COLLAPSED, OK, Round, class_balance
from lpclip.storage.pseudo_labels import PseudoLabels
from lpclip.utils.settings import Share, settings_class

log = logging.getLogger(__name__)


@settings_class
class Collapse:
    """When a round counts as collapsed, compared with the round before."""

    coverage: Share = 0.5
    """The share of samples that are kept falls below this share of what it was."""
    balance: Share = 0.8
    """The balance of the predicted classes falls below this share of what it was."""
    agreement: Share = 0.5
    """Student and teacher predict the same class for fewer samples than this share."""


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
    """Compare the labels that one seed's round learned and those that it would give.

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
