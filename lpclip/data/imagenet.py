"""ImageNet's 1000 classes: WordNet ids as timm lists them, names as open_clip does.

Both are read from the packages' own files, since importing the packages imports torch, which the
check of the configuration does without.
"""

import runpy
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def synsets(subset: str = "imagenet") -> tuple[str, ...]:
    """WordNet ids in the order of ImageNet's labels, or those of a published subset.

    Args:
        subset: ``imagenet``, ``imagenet_a`` or ``imagenet_r``.

    >>> len(synsets()), synsets()[0], len(synsets("imagenet_r"))
    (1000, 'n01440764', 200)
    """
    return tuple((_folder("timm") / f"data/_info/{subset}_synsets.txt").read_text().split())


@cache
def names() -> tuple[str, ...]:
    """One name per class, in the same order; two of them occur twice."""
    found = runpy.run_path(str(_folder("open_clip") / "zero_shot_metadata.py"))
    return tuple(found["IMAGENET_CLASSNAMES"])


def is_imagenet(class_names: Sequence[str]) -> bool:
    """Whether these are ImageNet's classes, in its order: WordNet ids, or open_clip's names.

    Names that open_clip has twice may be told apart in any way.

    >>> is_imagenet(names()), is_imagenet(names()[:200])
    (True, False)
    """
    if len(class_names) != len(synsets()):
        return False
    known = names()
    return tuple(class_names) == synsets() or all(
        given == name
        for given, name in zip(class_names, known, strict=True)
        if known.count(name) == 1
    )


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
