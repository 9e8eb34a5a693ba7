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

A plugin (``lpclip.utils.plugins``) that is such a module adds a kind, too.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from lpclip.errors import LpclipError, check_known, listed
from lpclip.methods import kinds as methods
from lpclip.methods.base import INPUTS, Method
from lpclip.utils import plugins
from lpclip.utils.settings import settings_of

_GROUP = "methods"
GUARDED = "guarded"  # the one kind whose setting candidates names methods
# The setting that names what the file of an input is made from.
_NAMED_BY = {"pseudo_labels": "labelling", "probes": "method"}


@cache
def own_kinds() -> tuple[str, ...]:
    """Return the names of lpclip's own kinds of method, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(methods.__path__)))


def kinds(asked: object = None) -> tuple[str, ...]:
    """Return the names of all kinds of method, sorted; ``asked`` as in ``plugins.names``."""
    return plugins.names(_GROUP, own_kinds(), asked=asked)


def load_method(kind: str) -> Method:
    """Import the module of a kind.

    Raises:
        LpclipError: there is none of that name, or it is a plugin that is none of a method.
    """
    plugin = plugins.find(_GROUP, kind, own_kinds())
    if plugin is not None:
        return _checked(plugin)
    check_known(kind, kinds(asked=kind), f"Unknown kind of method '{kind}'.")
    method: Method = importlib.import_module(f"{methods.__name__}.{kind}")
    return method


def code_of(kind: str) -> str:
    """Return the code of a kind, as ``code_hash`` takes it."""
    plugin = plugins.find(_GROUP, kind, own_kinds())
    return f"{methods.__name__}.{kind}" if plugin is None else plugin.code


@cache
def _checked(plugin: plugins.Plugin) -> Method:
    """Return the module of a plugin, which is refused where it is no method."""
    module: Any = plugins.load(_GROUP, plugin)
    plugins.check_settings_class(plugin, getattr(module, "Settings", None))
    declared = getattr(module, "NEEDS", None)
    if not isinstance(declared, list | tuple):
        raise LpclipError(
            f"{plugin.origin}: a method needs NEEDS, a tuple of the files that it reads, out of "
            f"{listed(INPUTS)}. See docs/extend.md."
        )
    for name in declared:
        check_known(name, INPUTS, f"{plugin.origin}: NEEDS names '{name}'.")
        setting = _NAMED_BY.get(name)
        if setting is not None and setting not in settings_of(module.Settings):
            raise LpclipError(
                f"{plugin.origin}: a method that needs {name} needs the setting '{setting}', the "
                "name of what they are made by. See docs/extend.md."
            )
    return cast(Method, module)


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
