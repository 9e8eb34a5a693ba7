"""Methods: what turns features into probes; one module per kind, found by its name.

A module ``lpclip/methods/kinds/{kind}.py`` holds

- ``NEEDS``: which files ``fit`` reads besides the text features, out of ``INPUTS``. The rule that
  trains a method has these files among its inputs and no others, so the job graph shows which
  method saw a label;
- ``SEEDED``, only where it is False: nothing is random, and one seed is enough;
- ``PREDICTS``, only where it is "pool": the method predicts the images of its pool and no others;
- ``USES_GPU``, only where it is True: ``fit`` computes on a GPU if there is one;
- ``Settings``: a class of settings (``lpclip.utils.settings``);
- ``fit(head, inputs, settings, seeds) -> Probes``.

Every start of Snakemake imports these modules, so they import PyTorch only inside ``fit``.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

from lpclip.errors import LpclipError, did_you_mean
from lpclip.methods import kinds as methods
from lpclip.methods.base import Method


@cache
def kinds() -> tuple[str, ...]:
    """Return the names of all kinds of method, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(methods.__path__)))


def load_method(kind: str) -> Method:
    """Import the module of a kind.

    Raises:
        LpclipError: there is none of that name.
    """
    if kind not in kinds():
        raise LpclipError(f"Unknown kind of method '{kind}'. {did_you_mean(kind, kinds())}")
    method: Method = importlib.import_module(f"{methods.__name__}.{kind}")
    return method


def used_seeds(kind: str, seeds: Sequence[int]) -> list[int]:
    """Return the seeds that make a difference: the first alone where nothing is random.

    >>> used_seeds("zero_shot", [3, 4]), used_seeds("supervised", [3, 4])
    ([3], [3, 4])
    """
    return list(seeds if getattr(load_method(kind), "SEEDED", True) else seeds[:1])


def predicts_pool_alone(kind: str) -> bool:
    """Return whether methods of a kind predict only the images that they were given unlabelled.

    >>> predicts_pool_alone("self_training")
    False
    """
    return getattr(load_method(kind), "PREDICTS", "images") == "pool"


def trains_on_gpu(kind: str) -> bool:
    """Return whether methods of a kind are trained on a GPU if there is one.

    >>> trains_on_gpu("self_training"), trains_on_gpu("zero_shot")
    (True, False)
    """
    return getattr(load_method(kind), "USES_GPU", False)


def needs(kind: str) -> tuple[str, ...]:
    """Return ``NEEDS`` of a kind: the names of the files that the method reads."""
    return tuple(load_method(kind).NEEDS)


def sees_labels(kind: str) -> bool:
    """Return whether methods of a kind read the labels of the adapt set.

    >>> sees_labels("self_training"), sees_labels("supervised")
    (False, True)
    """
    return "samples" in needs(kind)
