"""The candidates of the recommended method, ``guarded``, as in the default configuration."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_PLAIN: Mapping[str, Any] = {
    "temperature": 1,
    "structure": 0,
    "prior": "none",
    "threshold": 0.5,
    "class_floor": 0,
}
_LP_CLIP: Mapping[str, Any] = {"rounds": 5, "class_weighting": 0, "student_view": "strong"}

# Settings of each candidate, where they are not the defaults of their classes.
CANDIDATES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "lp_clip_auto": {},
        "lp_clip_balanced": {**_LP_CLIP, "labelling": {**_PLAIN, "prior": "align"}},
        "lp_clip": {**_LP_CLIP, "labelling": {**_PLAIN, "classes": "all", "images": "all"}},
    }
)
