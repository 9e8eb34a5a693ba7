"""Self-training: rounds in which a student learns the labels of the teacher before it.

Each round the probe of the round before labels the weak views, the confident samples are kept,
and a student learns them from the strong views (Laroudie et al. 2023, arXiv 2309.10361), or from
weak and strong ones.
No file that this module can reach holds a label.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan
from typing import TypeAlias

import numpy as np
import torch

from lpclip.methods.labelling.part import Part, learned_part
from lpclip.methods.labelling.pseudo_labels import label_views
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.labelling.structure import Structure
from lpclip.methods.training.other_classes import complete
from lpclip.methods.training.pool import Pool
from lpclip.methods.training.rounds import (
    COLLAPSED,
    OK,
    STOPPED,
    Round,
    class_balance,
    rounds_table,
)
from lpclip.methods.training.self_training_settings import Collapse, Settings
from lpclip.methods.training.streaming import Streamed, views_on
from lpclip.methods.training.student import Student, targets_on, train_student
from lpclip.storage.probes import Probes
from lpclip.storage.pseudo_labels import PseudoLabels
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray
from lpclip.utils.device import training_device
from lpclip.utils.memory import stacked
from lpclip.utils.rng import sample_key

log = logging.getLogger(__name__)

Weights: TypeAlias = tuple[FloatArray, FloatArray]  # weight [S, C, D], bias [S, C]


def self_train(
    head: ZeroShotHead,
    pool: Pool,
    settings: Settings,
    seeds: Sequence[int],
    *,
    labels: PseudoLabels | None = None,
    part: Part | None = None,
    after_round: Callable[[int], None] = lambda _: None,
) -> Probes:
    """Run the rounds of all seeds together, on arrays.

    Args:
        head: the first teacher, and what ``start: text`` starts from.
        pool: the unlabelled set.
        settings: of the rounds.
        seeds: S seeds; each gives what it would give alone.
        labels: the first teacher's, ``[N]``; made here if None.
        part: what is learned; by the labelling if None.
        after_round: called with 1 after every round.
    """
    part = part or learned_part(head, pool.teacher, settings.labelling)
    if part.whole:
        return _train_rounds(head, pool, settings, seeds, labels, after_round)
    if len(part.classes) < 2:
        log.warning("the unlabelled set has images of fewer than two classes: zero-shot is kept")
        return _untrained(head, pool, settings, seeds)
    log.info(
        "learning %d of %d images and %d of %d classes",
        *(len(part.rows), part.n_samples, len(part.classes), part.n_classes),
    )
    some = pool if len(part.rows) == part.n_samples else pool.of(part.chosen)
    learned = _train_rounds(
        head.of(part.classes),
        some,
        settings,
        seeds,
        None if labels is None else part.of(labels),
        after_round,
    )
    return complete(learned, head, part, some.teacher)


def _train_rounds(
    head: ZeroShotHead,
    pool: Pool,
    settings: Settings,
    seeds: Sequence[int],
    labels: PseudoLabels | None,
    after_round: Callable[[int], None],
) -> Probes:
    """Run the rounds of all seeds for the classes of a head; arguments as ``self_train``."""
    structure = Structure(pool.teacher, n_classes=len(head.weight))
    probe = teacher = head.as_round(len(seeds))
    if labels is None:
        made = _label(head, structure, teacher, settings.labelling)
    else:
        made = _stack([_needed(labels, settings.labelling)] * len(seeds))
    history = [probe]
    # Round 0 learns from nothing.
    class_index, selected = [np.full_like(made.class_index, -1)], [np.zeros_like(made.selected)]
    rows = [Round(0, seed) for seed in seeds]
    running = np.ones(len(seeds), dtype=bool)
    for round in range(1, settings.rounds + 1):
        learned = made
        student = _train(head, pool.student, learned, probe, settings, seeds, round)
        trained = (student.weight.cpu().numpy(), student.bias.cpu().numpy())
        next_teacher = _average(teacher, trained, settings.teacher_decay)
        made = _label(head, structure, next_teacher, settings.labelling)
        ended = [
            _judge_round(
                round,
                seed,
                learned.of_seed(seed_index),
                made.of_seed(seed_index),
                settings.collapse,
                n_classes=len(head.weight),
                epochs=int(student.epochs[seed_index]),
                loss=float(student.loss[seed_index]),
            )
            if running[seed_index]
            else Round(round, seed, STOPPED)
            for seed_index, seed in enumerate(seeds)
        ]
        running = np.array([row.status == OK for row in ended])
        class_index.append(learned.class_index)
        selected.append(learned.selected)
        probe = _where(running, trained, probe)
        teacher = _where(running, next_teacher, teacher)
        history.append(probe)
        rows.extend(ended)
        after_round(1)
    return Probes(
        weight=np.stack([weight for weight, _ in history]),
        bias=np.stack([bias for _, bias in history]),
        scale=head.scale,
        class_names=head.class_names,
        seeds=tuple(seeds),
        rounds=rounds_table(rows),
        pseudo_labels=np.stack(class_index),
        selected=np.stack(selected),
    )


def _untrained(head: ZeroShotHead, pool: Pool, settings: Settings, seeds: Sequence[int]) -> Probes:
    """Return rounds that are all zero-shot."""
    rounds = range(settings.rounds + 1)
    weight, bias = head.as_round(len(seeds))
    shape = (len(rounds), len(seeds), pool.teacher.shape[1])
    return Probes(
        weight=np.broadcast_to(weight, (len(rounds), *weight.shape)),
        bias=np.broadcast_to(bias, (len(rounds), *bias.shape)),
        scale=head.scale,
        class_names=head.class_names,
        seeds=tuple(seeds),
        rounds=rounds_table(
            [Round(round, seed, STOPPED if round else OK) for round in rounds for seed in seeds]
        ),
        pseudo_labels=np.full(shape, -1, dtype=np.int32),
        selected=np.zeros(shape, dtype=bool),
    )


def _judge_round(
    round: int,
    seed: int,
    learned: PseudoLabels,
    made: PseudoLabels,
    limits: Collapse,
    *,
    n_classes: int,
    epochs: int,
    loss: float,
) -> Round:
    """Compare the labels that one seed's round learned and those that it makes as a teacher."""
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
        text = "round %d of seed %d collapsed: %s. The probe of round %d is kept."
        log.warning(text, round, seed, reason, round - 1)
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


def _stack(labels: Sequence[PseudoLabels]) -> PseudoLabels:
    """Stack the pseudo-labels of every seed, ``[S, N, …]``."""
    soft = [one.probabilities for one in labels if one.probabilities is not None]
    return PseudoLabels(
        stacked(soft) if soft else None,
        np.stack([one.class_index for one in labels]),
        np.stack([one.confidence for one in labels]),
        np.stack([one.selected for one in labels]),
    )


def _train(
    head: ZeroShotHead,
    views: FloatArray | Streamed,
    labels: PseudoLabels,
    last: Weights,
    settings: Settings,
    seeds: Sequence[int],
    round: int,
) -> Student:
    """Train the students of one round; those of seeds that have stopped are not used."""
    start = {
        "text": head.as_round(len(seeds)),
        "previous": last,
        "zero": (np.zeros_like(last[0]), np.zeros_like(last[1])),
    }[settings.start]
    soft = labels.probabilities
    targets = labels.class_index.astype(np.int64) if soft is None else soft
    importance = _importance(labels, settings.class_weighting, len(head.weight))
    held = targets.nbytes if isinstance(targets, np.ndarray) else 0  # others are read in batches
    device = training_device(views.nbytes + held + importance.nbytes)
    return train_student(
        views_on(device, views),
        targets_on(device, targets),
        torch.from_numpy(importance).to(device),
        start=(torch.tensor(start[0], device=device), torch.tensor(start[1], device=device)),
        anchor_weight=torch.tensor(head.weight, device=device),
        scale=head.scale,
        optimisation=settings.optimisation,
        generators=[_generator(seed, round) for seed in seeds],
    )


def _generator(seed: int, round: int) -> torch.Generator:
    key = sample_key(seed, f"round {round}", "student")
    return torch.Generator().manual_seed(key % 2**63)


def _importance(labels: PseudoLabels, power: float, n_classes: int) -> FloatArray:
    """Return factors on the losses ``[S, N]``, on average 1 over the samples that are kept."""
    importance = labels.selected.astype(np.float32)
    for row, index, selected in zip(importance, labels.class_index, labels.selected, strict=True):
        # As if one more sample of each class were kept.
        counts = np.bincount(index[selected], minlength=n_classes) + 1
        row *= (counts.mean() / counts[index]) ** power
        if selected.any():
            row *= selected.sum() / row.sum()
    return importance


def _label(
    head: ZeroShotHead, structure: Structure, teacher: Weights, labelling: Labelling
) -> PseudoLabels:
    """Return the pseudo-labels of each seed's teacher, ``[S, N, …]``."""
    return _stack(
        [
            _needed(label_views(head.scale * weight, bias, labelling, structure), labelling)
            for weight, bias in zip(*teacher, strict=True)
        ]
    )


def _needed(labels: PseudoLabels, labelling: Labelling) -> PseudoLabels:
    """Drop the probabilities, the only large array, unless students learn them."""
    return labels if labelling.labels == "soft" else replace(labels, probabilities=None)


def _average(old: Weights, new: Weights, decay: float) -> Weights:
    return (decay * old[0] + (1 - decay) * new[0], decay * old[1] + (1 - decay) * new[1])


def _where(good: BoolArray, new: Weights, old: Weights) -> Weights:
    return (
        np.where(good[:, None, None], new[0], old[0]).astype(np.float32),
        np.where(good[:, None], new[1], old[1]).astype(np.float32),
    )
