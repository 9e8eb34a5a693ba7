"""Files of installed packages, read without importing the packages, which takes seconds."""

import runpy
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def package_folder(package: str) -> Path:
    """Return the folder that a package is installed in."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def zero_shot_metadata() -> Mapping[str, Any]:
    """Return open_clip's ImageNet class names and prompt templates, by their names there."""
    return runpy.run_path(str(package_folder("open_clip") / "zero_shot_metadata.py"))
