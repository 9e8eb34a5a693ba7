"""The student: a linear layer for every seed, trained together on pseudo-labelled views."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lpclip.methods.training.settings import Optimisation
from lpclip.methods.training.streaming import InMemory, Views
from lpclip.utils.memory import Rows


@dataclass(frozen=True)
class Student:
    """Result of a training.

    Attributes:
        weight: ``[S, C, D]``.
        bias: ``[S, C]``.
        epochs: passes of each seed, ``[S]`` int64.
        loss: mean cross-entropy of each seed in its last pass, ``[S]``.
    """

    weight: Tensor
    bias: Tensor
    epochs: Tensor
    loss: Tensor


def own_parameters(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias, of which every seed has its own."""
    return weight, bias


def train_student(
    views: Tensor | Views,
    targets: "Tensor | StoredTargets",
    importance: Tensor,
    *,
    start: Sequence[Tensor],
    anchor_weight: Tensor,
    scale: float,
    optimisation: Optimisation,
    generators: Sequence[torch.Generator],
    heads: Callable[..., tuple[Tensor, Tensor]] = own_parameters,
    together: int = 1,
    dropout: float = 0.0,
) -> Student:
    """Train one linear layer per seed by Adam on the cross-entropy with the targets.

    What a seed learns depends on its own targets and generator alone, not on the other seeds.

    Args:
        views: unit-length features ``[V, N, D]``, or what streams them.
        targets: classes ``[S, N]``, integers, or distributions over classes ``[S, N, C]``, also
            in files.
        importance: factor on the loss of each sample, ``[S, N]``; 0 leaves it out.
        start: parameters to begin with: weight ``[S, C, D]`` and bias ``[S, C]``, unless
            ``heads`` takes others.
        anchor_weight: zero-shot weights ``[C, D]``.
        scale: what cosines are multiplied with.
        optimisation: see there.
        generators: S generators, for order, held-out samples and dropout.
        heads: makes weight and bias of the parameters, where seeds share some of them.
        together: so many successive seeds stop together and keep the same pass.
        dropout: share of the features that a step leaves out of each sample.
    """
    source: Views = InMemory(views) if isinstance(views, Tensor) else views
    device, dim = source.device, source.shape[2]
    parameters = [tensor.clone().requires_grad_() for tensor in start]
    optimiser = torch.optim.AdamW(
        parameters,
        lr=optimisation.learning_rate,
        weight_decay=optimisation.weight_decay,
        # On CPUs its last few numbers are rounded otherwise: a seed would depend on the others.
        fused=device.type == "cuda",
    )
    # Of one step, used again by the next: large new memory is slow.
    features = torch.empty(0, dim, device=device)
    learned, held = _hold_out(importance.float(), optimisation, generators)
    best = _Best(*heads(*parameters), optimisation.patience)
    for number in range(optimisation.epochs):
        loss_sum, count = torch.zeros(2, len(generators), device=device)
        for samples, group in source.groups(number):
            order = torch.stack([torch.randperm(len(group), generator=g) for g in generators])
            for rows in torch.split(order.to(device), optimisation.batch_size, dim=1):
                sample = samples[rows]
                kept = learned.gather(1, sample)
                features.resize_(rows.numel(), dim)
                torch.index_select(group, 0, rows.flatten(), out=features)
                batch = features.view(*rows.shape, dim)
                if dropout:
                    batch = batch * _dropout(batch.shape, dropout, generators).to(device)
                weight, bias = heads(*parameters)
                losses = kept * _cross_entropy(batch, _of(targets, sample), weight, bias, scale)
                total = losses.sum() / rows.shape[1]
                if optimisation.anchor:
                    distance = (weight - anchor_weight).square().sum()
                    total = total + optimisation.anchor / 2 * distance
                optimiser.zero_grad()
                total.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                loss_sum += losses.detach().sum(dim=1)
                count += kept.sum(dim=1)
        with torch.no_grad():
            weight, bias = heads(*parameters)
            held_out = _held_out_loss(source, targets, held, weight, bias, scale)
            if together > 1:
                held_out = held_out.reshape(-1, together).mean(dim=1).repeat_interleave(together)
            finished = best.update(weight, bias, loss_sum / count, held_out)
        if finished:
            break
    return best.student


@dataclass(frozen=True)
class StoredTargets:
    """Distributions over classes ``[S, N, C]`` that do not fit in memory.

    Attributes:
        of_seeds: rows ``[N, C]`` of every seed.
        device: where they are wanted.
    """

    of_seeds: Sequence[Rows]
    device: torch.device

    def of(self, sample: Tensor) -> Tensor:
        """Read those of samples ``[S, B]``: ``[S, B, C]``."""
        chosen = zip(self.of_seeds, sample.cpu().numpy(), strict=True)
        return torch.from_numpy(np.stack([rows[own] for rows, own in chosen])).to(self.device)


def targets_on(device: torch.device, targets: Any) -> Tensor | StoredTargets:
    """Return an array of targets, or what holds those of each seed in a file, for a device."""
    if isinstance(targets, np.ndarray):
        return torch.from_numpy(targets).to(device)
    return StoredTargets(targets, device)


class _Best:
    """What each seed keeps: its last pass, or with patience its best one."""

    def __init__(self, weight: Tensor, bias: Tensor, patience: int) -> None:
        n_seeds = len(weight)
        self._patience = patience
        device = weight.device
        self._lowest = torch.full((n_seeds,), torch.inf, device=device)
        self._since = torch.zeros(n_seeds, dtype=torch.long, device=device)
        self._running = torch.ones(n_seeds, dtype=torch.bool, device=device)
        self.student = Student(
            weight.detach().clone(),
            bias.detach().clone(),
            torch.zeros(n_seeds, dtype=torch.long, device=device),
            torch.full((n_seeds,), torch.nan, device=device),
        )

    def update(self, weight: Tensor, bias: Tensor, loss: Tensor, held_out: Tensor) -> bool:
        """Take in one pass; whether every seed has stopped."""
        # Also where nothing was held out and the loss is nan.
        better = self._running & (~(held_out >= self._lowest) | (self._patience == 0))
        self._lowest = torch.where(better, held_out, self._lowest)
        self._since = torch.where(better, 0, self._since + 1)
        self.student.weight[better] = weight[better].detach()
        self.student.bias[better] = bias[better].detach()
        self.student.loss[better] = loss[better]
        self.student.epochs[self._running] += 1
        if self._patience:
            self._running &= self._since < self._patience
        return not bool(self._running.any())


def _hold_out(
    importance: Tensor, optimisation: Optimisation, generators: Sequence[torch.Generator]
) -> tuple[Tensor, Tensor]:
    """Split the importance of each seed's samples into those to learn and those to stop by."""
    if not optimisation.patience:
        return importance, torch.zeros_like(importance)
    draws = torch.stack([torch.rand(importance.shape[1], generator=g) for g in generators])
    held = draws.to(importance.device) < optimisation.held_out
    return importance * ~held, importance * held


def _dropout(shape: torch.Size, rate: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Factors ``[S, B, D]`` on the features: 0 for what is left out, more than 1 for the rest."""
    draws = torch.stack([torch.rand(shape[1:], generator=g) for g in generators])
    return (draws >= rate) / (1 - rate)


def _held_out_loss(
    source: Views,
    targets: Tensor | StoredTargets,
    held: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: float,
) -> Tensor:
    """Return mean cross-entropy ``[S]`` over the views of the held-out samples; nan without any."""
    if not held.any():
        return weight.new_full((len(weight),), torch.nan)
    total = weight.new_zeros(len(weight))
    for samples, features in source.in_order():
        batch = features.expand(len(weight), *features.shape)
        of_samples = (
            targets[:, samples]
            if isinstance(targets, Tensor)
            else targets.of(samples.expand(len(weight), -1))
        )
        losses = _cross_entropy(batch, of_samples, weight, bias, scale)
        total += (losses * held[:, samples]).sum(dim=1)
    return total / (source.shape[0] * held.sum(dim=1))


def _cross_entropy(
    features: Tensor, targets: Tensor, weight: Tensor, bias: Tensor, scale: float
) -> Tensor:
    """Cross-entropy ``[S, B]`` of features ``[S, B, D]`` with targets ``[S, B]``, ``[S, B, C]``."""
    logits = scale * torch.bmm(features, weight.mT) + bias[:, None]
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(0, 1), reduction="none")
    return losses.view(logits.shape[:2])


def _of(targets: Tensor | StoredTargets, sample: Tensor) -> Tensor:
    """Return targets ``[S, B]`` or ``[S, B, C]`` of so many samples of each seed."""
    if isinstance(targets, StoredTargets):
        return targets.of(sample)
    if targets.ndim == 2:
        return targets.gather(1, sample)
    return targets.gather(1, sample[..., None].expand(*sample.shape, targets.shape[-1]))
