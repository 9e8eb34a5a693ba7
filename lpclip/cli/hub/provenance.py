"""What is shared of a probe's provenance: model and method, no name of the user's folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lpclip.models.spec import FOLDER, is_checkpoint
from lpclip.storage.probes import MODEL

SHARED = (*MODEL, "benchmark", "method", "method_kind", "settings", "torch", "made_from_hash")


def shared_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a probe's provenance that is shared."""
    return {key: _plain(key, provenance[key]) for key in SHARED if key in provenance}


def _plain(key: str, value: Any) -> Any:
    """Return a value for JSON; of a path to the user's files the name alone."""
    value = value.item() if isinstance(value, np.generic) else value
    if key == "pretrained" and is_checkpoint(str(value)):
        return Path(value).name
    if key == "architecture" and str(value).startswith(FOLDER):
        return FOLDER + Path(str(value).removeprefix(FOLDER)).name
    return value
