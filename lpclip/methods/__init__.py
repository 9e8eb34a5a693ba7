"""Methods: what turns features into probes; one module per kind, found by its name.

A module ``lpclip/methods/{kind}.py`` holds

- ``NEEDS``: which files ``fit`` reads besides the text features, out of ``INPUTS``. The rule that
  trains a method has these files among its inputs and no others, so the job graph shows which
  method saw a label;
- ``SEEDED``, only where it is False: nothing is drawn at random, and one seed is enough;
- ``Settings``: a dataclass of the settings of a method of that kind;
- ``fit(head, inputs, settings, seeds) -> Probes``.
"""

import ast
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lpclip.errors import LpclipError, did_you_mean
from lpclip.probes import Probes
from lpclip.rounds import Round, rounds_table
from lpclip.types import BoolArray, FloatArray

INPUTS = ("pseudo_labels", "adapt", "clean", "probes", "samples")


@dataclass(frozen=True)
class ZeroShotHead:
    """The text features as a probe; every method starts from it.

    Attributes:
        weight: ``[C, D]`` float32, unit rows.
        bias: what the model adds to its logits.
        scale: what the model multiplies cosines with.
        class_names: C names.
        expected: model and weights, which every cache that is used with the head must name.
    """

    weight: FloatArray
    bias: float
    scale: float
    class_names: tuple[str, ...]
    expected: dict[str, Any]

    def as_round(self, n_seeds: int) -> tuple[FloatArray, FloatArray]:
        """Weight ``[S, C, D]`` and bias ``[S, C]`` of round 0."""
        n_classes, dim = self.weight.shape
        weight = np.broadcast_to(self.weight, (n_seeds, n_classes, dim))
        return weight, np.full((n_seeds, n_classes), self.bias, dtype=np.float32)


@dataclass(frozen=True)
class Inputs:
    """Files that a method may read; None where it has no right to.

    Attributes:
        pseudo_labels: the zero-shot teacher's labels of the unlabelled set.
        adapt: feature cache with the weak and strong views of that set.
        clean: feature cache with its clean view.
        probes: those of the method that this one is made from.
        samples: its index, which holds the true labels.
    """

    pseudo_labels: Path | None = None
    adapt: Path | None = None
    clean: Path | None = None
    probes: Path | None = None
    samples: Path | None = None

    def path(self, name: str) -> Path:
        """An input that the method declared."""
        path: Path | None = getattr(self, name)
        assert path is not None, name
        return path


class Method(Protocol):
    """What a module of this package offers."""

    NEEDS: Sequence[str]
    Settings: type[Any]

    def fit(
        self, head: ZeroShotHead, inputs: Inputs, settings: Any, seeds: Sequence[int]
    ) -> Probes:
        """Train the probes of every round and seed."""


def kinds() -> list[str]:
    """Names of all kinds of method."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def check_kind(kind: str) -> None:
    """Refuse a kind that there is not.

    Raises:
        LpclipError: there is none of that name.
    """
    if kind not in kinds():
        raise LpclipError(f"Unknown kind of method '{kind}'. {did_you_mean(kind, kinds())}")


def load_method(kind: str) -> Method:
    """The module of a kind.

    Raises:
        LpclipError: there is none.
    """
    check_kind(kind)
    method: Method = importlib.import_module(f"{__name__}.{kind}")
    return method


def used_seeds(kind: str, seeds: Sequence[int]) -> list[int]:
    """The seeds that make a difference: the first one alone for a kind that draws nothing.

    >>> used_seeds("zero_shot", [3, 4]), used_seeds("supervised", [3, 4])
    ([3], [3, 4])
    """
    return list(seeds if _declared(kind, "SEEDED", True) else seeds[:1])


def needs(kind: str) -> tuple[str, ...]:
    """``NEEDS`` of a kind: names of the files that the method reads."""
    found: tuple[str, ...] = _declared(kind, "NEEDS", ())
    return found


@cache
def _declared(kind: str, name: str, default: Any) -> Any:
    """A constant of a kind's module, which is read but not run: most import PyTorch.

    Every start of Snakemake asks for them.
    """
    check_kind(kind)
    tree = ast.parse((Path(__path__[0]) / f"{kind}.py").read_bytes())
    for node in tree.body:
        if isinstance(node, ast.AnnAssign):
            targets: list[ast.expr] = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        else:
            continue
        if any(isinstance(one, ast.Name) and one.id == name for one in targets) and node.value:
            return ast.literal_eval(node.value)
    return default


def sees_labels(kind: str) -> bool:
    """Whether methods of a kind read the labels of the adapt set.

    >>> sees_labels("self_training"), sees_labels("supervised")
    (False, True)
    """
    return "samples" in needs(kind)


def after_zero_shot(
    head: ZeroShotHead,
    weight: FloatArray,
    bias: FloatArray,
    seeds: Sequence[int],
    *,
    seen: BoolArray | None,
) -> Probes:
    """Probes of two rounds: zero-shot, and what a method made.

    Args:
        head: round 0.
        weight: round 1, ``[S, M, C, D]``; M is 1 but for an ensemble.
        bias: ``[S, M, C]``.
        seeds: S seeds.
        seen: images of the adapt set whose label the method saw, ``[S, N]``; None for none.
    """
    zero_weight, zero_bias = head.as_round(len(seeds))
    members: dict[str, Any] = {}
    if weight.shape[1] > 1:
        members = {"member_weight": weight, "member_bias": bias}
    return Probes(
        weight=np.stack([zero_weight, weight.mean(axis=1)]),
        bias=np.stack([zero_bias, bias.mean(axis=1)]),
        scale=head.scale,
        class_names=head.class_names,
        seeds=tuple(seeds),
        rounds=rounds_table([Round(number, seed) for number in (0, 1) for seed in seeds]),
        n_labels=0 if seen is None else int(seen[0].sum()),
        labels_seen=seen,
        **members,
    )
