"""Heads with members, trained on labels: probabilities are the mean of those of the members."""

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from lpclip.methods.base import Inputs
from lpclip.methods.training.labelled import read_labelled
from lpclip.methods.training.settings import Optimisation
from lpclip.methods.training.streaming import InMemory, Streamed, Views
from lpclip.methods.training.student import own_parameters, train_student
from lpclip.storage.stored_views import View
from lpclip.storage.text import ZeroShotHead
from lpclip.types import BoolArray, FloatArray
from lpclip.utils.device import training_device
from lpclip.utils.rng import sample_key

log = logging.getLogger(__name__)

# Numbers of the features that are learned from at a time. Groups change the order of the samples,
# so their size must not depend on the memory.
TOGETHER = 150_000_000


def train_on_labels(
    head: ZeroShotHead,
    inputs: Inputs,
    *,
    start: Sequence[Tensor],
    generators: Sequence[Sequence[torch.Generator]],
    seeds: Sequence[int],
    optimisation: Optimisation,
    label_share: float,
    heads: Callable[..., tuple[Tensor, Tensor]] = own_parameters,
    dropout: float = 0.0,
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Train M linear layers per seed on the labelled clean features of the adapt set.

    Args:
        head: for classes, scale and what features must name.
        inputs: ``clean`` and ``samples``.
        start: parameters as ``train_student`` takes them, S times M.
        generators: M of each seed.
        seeds: S seeds, which sample the labels.
        optimisation: of ``train_student``.
        label_share: share of the labels of each class that is seen.
        heads: of ``train_student``; members that share parameters also stop together.
        dropout: of ``train_student``.

    Returns:
        Weight ``[S, M, C, D]`` and bias ``[S, M, C]``, float32, and which images of the adapt set
        have a label that was seen, ``[S, N]``.
    """
    everything = read_labelled(head, inputs, per_class=1)
    counts = np.ceil(label_share * np.bincount(everything.labels)).astype(int)
    seen = np.stack([everything.of_each_class(counts, seed).seen() for seed in seeds])
    n_members = len(generators[0])
    n_heads, n_classes = len(seeds) * n_members, len(head.class_names)
    views = _views(everything.features)
    device = views.device
    targets = torch.tensor(everything.labels, device=device).long()
    importance = torch.from_numpy(seen[:, everything.rows].repeat(n_members, axis=0)).to(device)
    student = train_student(
        views,
        targets.expand(n_heads, -1),
        importance,
        start=[parameter.to(device) for parameter in start],
        anchor_weight=torch.tensor(head.weight, device=device),
        scale=head.scale,
        optimisation=optimisation,
        generators=[one for of_seed in generators for one in of_seed],
        heads=heads,
        together=1 if heads is own_parameters else n_members,
        dropout=dropout,
    )
    log.info("passes of every head: %s", student.epochs.tolist())
    shape = len(seeds), n_members, n_classes
    return (
        student.weight.cpu().numpy().reshape(*shape, -1),
        student.bias.cpu().numpy().reshape(shape),
        seen,
    )


def _views(features: View) -> Views:
    """Return features ``[N, D]`` where they are learned from, of a large set group by group."""
    n, dim = features.shape
    group_rows = max(1, TOGETHER // dim)
    device = training_device(4 * dim * min(n, group_rows))
    if n <= group_rows:
        return InMemory(torch.from_numpy(features[:])[None].to(device))
    return Streamed(
        lambda: nullcontext(lambda _, rows: features[rows]),
        versions=1,
        samples=np.arange(n),
        dim=dim,
        group_rows=group_rows,
        device=device,
    )


def random_layer(head: ZeroShotHead, generators: Sequence[torch.Generator]) -> Tensor:
    """Return weights ``[len(generators), C, D]`` as PyTorch samples those of a linear layer.

    Features of unit length are multiplied with the scale afterwards, so the weights are divided
    by it: logits begin near 0, whatever the model's scale.
    """
    n_classes, dim = head.weight.shape
    bound = 1 / math.sqrt(dim) / head.scale
    return torch.stack(
        [(2 * torch.rand(n_classes, dim, generator=g) - 1) * bound for g in generators]
    )


def generator(seed: int, name: str) -> torch.Generator:
    """Return the generator of one random choice of a seed."""
    return torch.Generator().manual_seed(sample_key(seed, name, "ensemble") % 2**63)
