"""The labellings and methods that are run where a configuration names none."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lpclip.methods.labelling.settings import Labelling

_PLAIN = Labelling(temperature=1, structure=0, prior="none", threshold=0.5, class_floor=0)
_FIXED = {"labelling": "confident", "rounds": 5, "class_weighting": 0, "student_view": "strong"}
LABELLINGS: Mapping[str, Labelling] = {
    "auto": Labelling(),
    "confident": replace(_PLAIN, classes="all", images="all"),
    "aligned": replace(_PLAIN, prior="align"),
}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "zero_shot": {"kind": "zero_shot"},
    "lp_clip": {"kind": "self_training", **_FIXED},
    "lp_clip_balanced": {"kind": "self_training", **_FIXED, "labelling": "aligned"},
    "lp_clip_auto": {"kind": "self_training", "labelling": "auto"},
    "lp_clip_guarded": {"kind": "guarded"},
}
