"""lpclip: label-free linear probes on CLIP, and the evidence that they hold up.

Public names: those of ``__all__``, imported on first use; docs/python.md describes them.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lpclip.config.packaged import snakefile
    from lpclip.errors import LpclipError
    from lpclip.methods.guard_decision import GuardDecision
    from lpclip.methods.label_free_probe import LabelFreeProbe
    from lpclip.reporting.read import read_report
    from lpclip.storage.frames import map_features, read_frame
    from lpclip.storage.probe import Probe, load_probe

__all__ = [
    "GuardDecision",
    "LabelFreeProbe",
    "LpclipError",
    "Probe",
    "load_probe",
    "map_features",
    "read_frame",
    "read_report",
    "snakefile",
]
__version__ = version("lpclip")

_MODULES = {
    "GuardDecision": "lpclip.methods.guard_decision",
    "LabelFreeProbe": "lpclip.methods.label_free_probe",
    "LpclipError": "lpclip.errors",
    "Probe": "lpclip.storage.probe",
    "load_probe": "lpclip.storage.probe",
    "map_features": "lpclip.storage.frames",
    "read_frame": "lpclip.storage.frames",
    "read_report": "lpclip.reporting.read",
    "snakefile": "lpclip.config.packaged",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: every job imports this package, few need pandas at once.
    if name == "tiny":  # what exported heads import
        return importlib.import_module("lpclip.models.tiny")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
