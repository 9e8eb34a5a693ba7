"""ImageNet's 1000 classes: WordNet ids from timm, names from open_clip.

Both are read from the packages' files: importing the packages imports torch, which the check of the
configuration avoids.
"""

from collections.abc import Sequence
from functools import cache

from lpclip.utils.packages import package_folder, zero_shot_metadata


@cache
def synsets(subset: str = "imagenet") -> tuple[str, ...]:
    """Return the WordNet ids of ``imagenet``, ``imagenet_a`` or ``imagenet_r``, by label.

    >>> len(synsets()), synsets()[0], len(synsets("imagenet_r"))
    (1000, 'n01440764', 200)
    """
    return tuple((package_folder("timm") / f"data/_info/{subset}_synsets.txt").read_text().split())


@cache
def names() -> tuple[str, ...]:
    """Return one name per class, in the same order; two of them occur twice."""
    return tuple(zero_shot_metadata()["IMAGENET_CLASSNAMES"])


def is_imagenet(class_names: Sequence[str]) -> bool:
    """Whether these are ImageNet's classes in their order: WordNet ids, or open_clip's names.

    Names that occur twice in open_clip's list may be made distinct in any way.

    >>> is_imagenet(names()), is_imagenet(names()[:200])
    (True, False)
    """
    if len(class_names) != len(synsets()):
        return False
    pairs = zip(class_names, names(), strict=True)
    return tuple(class_names) == synsets() or all(
        given == name for given, name in pairs if names().count(name) == 1
    )
