"""Methods: what turns features into probes; one module per kind, found by its name.

A module ``lpclip/methods/kinds/{kind}.py`` holds

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
from functools import cache
from pathlib import Path
from typing import Any

from lpclip.errors import LpclipError, did_you_mean
from lpclip.methods import kinds as methods
from lpclip.methods.base import Method


def kinds() -> list[str]:
    """Names of all kinds of method."""
    return sorted(module.name for module in pkgutil.iter_modules(methods.__path__))


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
    method: Method = importlib.import_module(f"{methods.__name__}.{kind}")
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
    tree = ast.parse((Path(methods.__path__[0]) / f"{kind}.py").read_bytes())
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
