"""What runs where nothing else is named: the default's labellings and methods by self-training."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from lpclip.methods.labelling.settings import Labelling

_PLAIN = Labelling(temperature=1, structure=0, prior="none", threshold=0.5, class_floor=0)
_FIXED = {"rounds": 5, "class_weighting": 0, "student_view": "strong"}
LABELLINGS: Mapping[str, Labelling] = {
    "auto": Labelling(),
    "confident": replace(_PLAIN, classes="all", images="all"),
    "aligned": replace(_PLAIN, prior="align"),
}
# In the order of reports; ``labelling`` is one of the above.
SELF_TRAINING: Mapping[str, Mapping[str, Any]] = {
    "lp_clip": {"labelling": "confident", **_FIXED},
    "lp_clip_balanced": {"labelling": "aligned", **_FIXED},
    "lp_clip_auto": {"labelling": "auto"},
}
# The same with labellings written out: the candidates of ``guarded``, the preferred one first.
CANDIDATES: Mapping[str, Mapping[str, Any]] = {
    name: {**SELF_TRAINING[name], "labelling": asdict(LABELLINGS[SELF_TRAINING[name]["labelling"]])}
    for name in reversed(list(SELF_TRAINING))
}
