"""A tree of image files: ``{root}/{class}/…``; the first level of folders names the classes."""

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from lpclip.data import UNLABELLED, Sample
from lpclip.errors import LpclipError

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class Source:
    """Images below a folder, by path in the order of the alphabet.

    Args:
        root: the folder.
        labelled: whether the folders of the first level are classes; otherwise every image below
            the root counts and none has a label.

    Raises:
        LpclipError: there is no such folder.
    """

    def __init__(self, *, root: str, labelled: bool = True) -> None:
        self._root, self._labelled = Path(root), labelled
        if not self._root.is_dir():
            raise LpclipError(f"the folder '{root}' does not exist. Check 'root'.")

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the folders of the first level, sorted."""
        if not self._labelled:
            return None
        return sorted(path.name for path in self._root.iterdir() if path.is_dir())

    def samples(self) -> list[Sample]:
        """Every image file; its path below the root is its id."""
        classes = {name: label for label, name in enumerate(self.class_names or ())}
        found = []
        # Links are followed: a selection of classes is often a folder of links.
        tree = os.walk(self._root, followlinks=True)
        for path in sorted(Path(folder, name) for folder, _, names in tree for name in names):
            if path.suffix.lower() in ENDINGS and path.is_file():
                inside = path.relative_to(self._root)
                if self._labelled and len(inside.parts) < 2:
                    raise LpclipError(
                        f"{path} lies in no class folder. Move it into one, or set labelled: false."
                    )
                label = classes[inside.parts[0]] if self._labelled else UNLABELLED
                found.append(Sample(inside.as_posix(), str(path), label))
        return found

    def read(self, path: str) -> Image.Image:
        """The image, RGB."""
        with Image.open(path) as image:
            return image.convert("RGB")
