"""Probes, linear heads on unit-length features: the file of all rounds and seeds of a method.

logits = scale * features @ weight.T + bias. Zero-shot CLIP is the probe whose weights are the
text features. The last round of an ensemble has members, probes whose probabilities are averaged.
No linear head gives that average; ``weight`` and ``bias`` then hold the mean of the members.

A method may predict the images of its pool otherwise than a head would. Where it predicts nothing
else, the file has no head of its last round.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy.special import log_softmax, logsumexp

from lpclip.errors import LpclipError
from lpclip.storage import checksums
from lpclip.storage.attributes import Attributes
from lpclip.storage.hdf5 import Provenance, check_shapes, create, open_file, provenance_of
from lpclip.storage.opening import damaged
from lpclip.storage.pandas_frames import Frames, fixed_length
from lpclip.storage.pool_probabilities import POOL, read_pool, write_pool
from lpclip.storage.tables import read_table, write_table
from lpclip.types import BoolArray, FloatArray, IntArray
from lpclip.utils.memory import Rows

KIND, TABLE = "probes", "rounds"
_GUARD = "guard"
# Provenance that describes the model, enough to load it again; less where it is precomputed.
MODEL = (
    "model", "architecture", "pretrained", "weights", "preprocessing", "force_quick_gelu",
    "force_image_size",
)  # fmt: skip


@dataclass(frozen=True)
class Probes:
    """The probes of every round and seed of one method on one benchmark.

    Attributes:
        weight: ``[R, S, C, D]`` float32; round 0 is the zero-shot head.
        bias: ``[R, S, C]`` float32.
        scale: factor of the cosines.
        class_names: C names.
        seeds: S seeds.
        rounds: one row per round and seed: how many samples it kept, and their confidence.
        pseudo_labels: target class of each unlabelled sample, int32 ``[R, S, N]``; None for a
            method without pseudo-labels. Round 0 has none (-1).
        selected: bool ``[R, S, N]``, samples that the round was trained on.
        n_labels: true labels used per seed.
        labels_seen: bool ``[S, N]``, images of the adapt set whose labels were used; None for a
            label-free method.
        strong_policy: policy of the strong views in training; empty for none.
        guard: evidence and decision of the guard, one row per strength; None without a guard.
        student_view: views of unlabelled samples in training; empty for none.
        member_weight: ``[S, M, C, D]`` float32, members of the last round; None unless it is an
            ensemble.
        member_bias: ``[S, M, C]`` float32.
        pool_probabilities: ``[S, N, C]``, what the last round predicts for the images of its pool,
            rows sum to 1, float16 in the file, a sequence of ``[N, C]`` where they do not fit in
            memory; None where a head predicts them like any other
            image. Where ``weight`` and ``bias`` hold round 0 alone, the method predicts nothing
            else.
    """

    weight: FloatArray
    bias: FloatArray
    scale: float
    class_names: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: pd.DataFrame
    pseudo_labels: IntArray | None = None
    selected: BoolArray | None = None
    guard: pd.DataFrame | None = None
    n_labels: int = 0
    labels_seen: BoolArray | None = None
    strong_policy: str = ""
    student_view: str = ""
    member_weight: FloatArray | None = None
    member_bias: FloatArray | None = None
    pool_probabilities: FloatArray | Sequence[Rows] | None = None

    @property
    def predicts_pool_alone(self) -> bool:
        """Return whether the method predicts no image but those of its pool."""
        return self.pool_probabilities is not None and len(self.weight) == 1

    @property
    def n_rounds(self) -> int:
        """Return the number of rounds, round 0 and one without a head included."""
        return len(self.weight) + self.predicts_pool_alone

    def last(self) -> tuple[FloatArray, FloatArray]:
        """Return weight ``[S, M, C, D]`` and bias ``[S, M, C]`` of the last round.

        Raises:
            LpclipError: it has no head.
        """
        if self.predicts_pool_alone:
            raise _without_head("The method")
        if self.member_weight is None or self.member_bias is None:
            return self.weight[-1][:, None], self.bias[-1][:, None]
        return self.member_weight, self.member_bias

    def logits(self, features: FloatArray, round: int, seed_index: int) -> FloatArray:
        """Return logits ``[N, C]`` of features ``[N, D]`` of unit length.

        Their softmax are the probabilities; for an ensemble, they are the logarithm of the mean of
        the members' probabilities. Round -1 is the last.

        Raises:
            LpclipError: the round has no head.
        """
        if round == -1:
            round = self.n_rounds - 1
        if round >= len(self.weight):
            raise _without_head("The method")
        weight, bias = self.weight[round, seed_index][None], self.bias[round, seed_index][None]
        if round == self.n_rounds - 1:
            weight, bias = (values[seed_index] for values in self.last())
        logits = [self.scale * (features @ w.T) + b for w, b in zip(weight, bias, strict=True)]
        return logits[0] if len(logits) == 1 else mean_of_members(np.stack(logits))

    def pool_logits(self, seed_index: int, rows: slice = slice(None)) -> FloatArray:
        """Return ``[n, C]`` whose softmax is what the last round predicts for rows of its pool.

        A probability that float16 rounds to 0 counts as the largest of these.
        """
        assert self.pool_probabilities is not None
        own = self.pool_probabilities[seed_index][rows]
        logits: FloatArray = np.log(np.maximum(own, _ROUNDED_TO_0))
        return logits


# Half of the smallest positive float16.
_ROUNDED_TO_0 = np.float32(2.0**-25)


def _without_head(what: str) -> LpclipError:
    return LpclipError(
        f"{what} predicts only the images of its pool and has no head for others. Use its rows in "
        "the reports and in predictions.h5, or another method."
    )


def mean_of_members(logits: FloatArray) -> FloatArray:
    """Return the logarithm ``[N, C]`` of the mean probabilities of members' logits ``[M, N, C]``.

    >>> np.exp(mean_of_members(np.log([[[0.2, 0.8]], [[0.4, 0.6]]]))).round(6).tolist()
    [[0.3, 0.7]]
    """
    mean: FloatArray = logsumexp(log_softmax(logits, axis=-1), axis=0) - np.log(len(logits))
    return mean.astype(logits.dtype)


# Interpolation strength of the head for the guard's evidence and for out-of-distribution scores.
HALF_WAY = 0.5


def between(zero_shot: FloatArray, adapted: FloatArray, strength: float) -> FloatArray:
    """Interpolate weights or biases between zero-shot (0) and the adapted head (1)."""
    way: FloatArray = (1 - strength) * zero_shot + strength * adapted
    return way


def write_probes(path: Path, probes: Probes, provenance: Provenance) -> None:
    """Write the probes of a method.

    Where there are ``pool_probabilities``, the provenance has ``pool_dataset`` and ``pool_index``,
    the name and the fingerprint of the index of the pool's images.
    """
    with create(path, kind=KIND, provenance=provenance) as file:
        file.attrs["class_names"] = json.dumps(list(probes.class_names))
        file.attrs["seeds"] = json.dumps(list(probes.seeds))
        for key in ("scale", "n_labels", "strong_policy", "student_view"):
            file.attrs[key] = getattr(probes, key)
        for name in ("weight", "bias", "member_weight", "member_bias"):
            if (values := getattr(probes, name)) is not None:
                file[name] = values.astype(np.float32)
        file.attrs["predicts"] = "pool" if probes.predicts_pool_alone else "images"
        if probes.pool_probabilities is not None:
            write_pool(file, probes.pool_probabilities)
        write_table(file, TABLE, probes.rounds)
        if probes.pseudo_labels is not None and probes.selected is not None:
            file["pseudo_labels"] = probes.pseudo_labels.astype(np.int32)
            file["selected"] = probes.selected
        if probes.labels_seen is not None:
            file["labels_seen"] = probes.labels_seen
        if probes.guard is not None:
            write_table(file, _GUARD, probes.guard)
        _add_frames(file, probes)


def _add_frames(file: h5py.File, probes: Probes) -> None:
    """Add frames for pandas: ``frames/weight/round_0/seed_1``, one row per class, and ``bias/…``.

    Each member of an ensemble has its own (``…/seed_1/member_0``): their mean is no head.
    """
    frames = Frames(file, fixed_length(probes.class_names))
    n_rounds = len(probes.weight)
    for round, (seed_index, seed) in product(range(n_rounds), enumerate(probes.seeds)):
        key = f"round_{round}/seed_{seed}"
        heads = [(key, "weight", "bias", (round, seed_index))]
        if probes.member_weight is not None and round == n_rounds - 1:
            heads = [
                (f"{key}/member_{member}", "member_weight", "member_bias", (seed_index, member))
                for member in range(probes.member_weight.shape[1])
            ]
        for name, weight, bias, part in heads:
            frames.add(f"weight/{name}", file[weight], part=part)
            frames.add_series(f"bias/{name}", file[bias], part=part)


# Rounds R, seeds S, classes C, dimensions D, samples N, members M.
_AXES = {
    "weight": "RSCD",
    "bias": "RSC",
    "pseudo_labels": "RSN",
    "selected": "RSN",
    "labels_seen": "SN",
    "member_weight": "SMCD",
    "member_bias": "SMC",
    "pool_probabilities": "SNC",
}
_OPTIONAL = _AXES.keys() - {"weight", "bias"}


def read_probes(path: Path, *, pool_alone: bool = False) -> tuple[Probes, Attributes]:
    """Read the probes and provenance of a file.

    Args:
        path: a ``probes.h5``.
        pool_alone: allow those of a method that predicts only the images of its pool.

    Raises:
        LpclipError: as ``open_file``, or its arrays do not fit together, or the last round has no
            head.
    """
    with open_file(path, kind=KIND) as file:
        provenance = provenance_of(file)
        names, seeds = provenance.texts("class_names"), provenance.json("seeds")
        if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
            raise damaged(path, "its seeds are not a list")
        check_shapes(file, _AXES, {"C": len(names), "S": len(seeds)})
        needed = [name for name in _AXES if name not in _OPTIONAL or name in file]
        arrays: dict[str, Any] = {
            name: (read_pool(path, file[name]) if name == POOL else checksums.read(file[name]))
            for name in needed
        }
        probes = Probes(
            scale=provenance.number("scale"),
            class_names=names,
            seeds=tuple(seeds),
            rounds=read_table(file, TABLE),
            guard=read_table(file, _GUARD) if _GUARD in file else None,
            n_labels=int(provenance.number("n_labels")),
            strong_policy=str(provenance["strong_policy"]),
            student_view=str(provenance["student_view"]),
            **arrays,
        )
    if probes.predicts_pool_alone and not pool_alone:
        raise _without_head(f"The method of {path}")
    return probes, provenance


def place(path: Path, probes: Probes, *, round: int, seed: int | None) -> tuple[int, int]:
    """Return the round, counted from 0, and the seed_index of a seed (the first if None).

    Raises:
        LpclipError: no such round or seed, or the round has no head.
    """
    if seed is not None and seed not in probes.seeds:
        raise LpclipError(f"{path} has no seed {seed}. Seeds: {', '.join(map(str, probes.seeds))}.")
    n_rounds = probes.n_rounds
    if not -n_rounds <= round < n_rounds:
        raise LpclipError(f"{path} has no round {round}. Rounds: 0 to {n_rounds - 1}.")
    if round % n_rounds >= len(probes.weight):
        raise _without_head(f"The method of {path}")
    return round % n_rounds, 0 if seed is None else probes.seeds.index(seed)
