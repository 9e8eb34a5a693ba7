"""ObjectNet as published: the images of the classes that it shares with ImageNet.

The shared classes are read from the files that come with the images.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL.Image import Image

from lpclip.data.base import ALTERNATIVES, Sample, size_of_file
from lpclip.data.imagenet import synsets
from lpclip.data.read_image import read_file
from lpclip.data.sources.folder import Source as Folder
from lpclip.errors import BadImageError, LpclipError
from lpclip.storage.json_text import parse_json

# Folder -> ObjectNet's class; class -> ImageNet's labels; ImageNet's labels in the order of the
# challenge of 2012; the position in that order of each of the 1000 classes in their usual order.
FILES = (
    "folder_to_objectnet_label.json",
    "objectnet_to_imagenet_1k.json",
    "imagenet_to_label_2012_v2",
    "pytorch_to_imagenet_2012_id.json",
)


class Source:
    """Images of the folders whose class maps to one or several of ImageNet's.

    Args:
        root: the unpacked folder with ``images`` and ``mappings``.
        border: pixels to crop on each side: the images have a red frame that marks them as test
            images, and the published protocol crops 2.

    Raises:
        LpclipError: a file or folder is missing.
    """

    def __init__(self, *, root: str, border: int = 2) -> None:
        self._root, self._border = Path(root), border
        if border < 0:
            raise LpclipError(f"border is {border}; it must be at least 0.")
        for path in self.files():
            if not path.is_file():
                raise LpclipError(f"{path} does not exist; it comes with ObjectNet. Check 'root'.")
        self._folder = Folder(root=str(self._root / "images"))

    @cached_property
    def class_names(self) -> Sequence[str]:
        """WordNet ids of ImageNet's classes; those of one ObjectNet class are joined by a bar."""
        return [self._names[folder] for folder in self._folders]

    def files(self) -> list[Path]:
        """Return the files that map the classes."""
        return [self._root / "mappings" / name for name in FILES]

    def samples(self) -> list[Sample]:
        """Return every image of a class that ImageNet has."""
        labels = {folder: label for label, folder in enumerate(self._folders)}
        folders = self._folder.class_names or ()
        return [
            sample._replace(label=labels[folders[sample.label]])
            for sample in self._folder.samples()
            if folders[sample.label] in labels
        ]

    def read(self, path: str) -> Image:
        """Read an image without its frame, RGB; BadImageError if nothing is left inside it."""
        image = read_file(path)
        width, height = image.size
        if min(width, height) <= 2 * self._border:
            reason = f"{width} x {height} has nothing inside a border of {self._border} pixels"
            raise BadImageError(path, reason)
        return image.crop((self._border, self._border, width - self._border, height - self._border))

    size = staticmethod(size_of_file)

    @cached_property
    def _folders(self) -> list[str]:
        """Folders of classes that ImageNet has."""
        found = [name for name in self._folder.class_names or () if name in self._names]
        if not found:
            raise LpclipError(f"{self._root}/images has no folder of a class that ImageNet has.")
        return found

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """Folder -> WordNet ids."""
        folders, classes, labels, places = (self._read(path) for path in self.files())
        order = [synsets()[int(i)] for i in sorted(places, key=lambda index: int(places[index]))]
        wordnet = dict(zip(labels, order, strict=False))
        names = {}
        for folder, objectnet in folders.items():
            found = [label.strip() for label in classes.get(objectnet, "").split(";")]
            for label in filter(None, found):
                if label not in wordnet:
                    raise LpclipError(
                        f"{self._root / 'mappings'}: {FILES[1]} names '{label}', which is not in "
                        f"{FILES[2]}."
                    )
            if any(found):
                names[folder] = ALTERNATIVES.join(wordnet[label] for label in found)
        return names

    def _read(self, path: Path) -> Any:
        try:
            text = path.read_text(encoding="utf-8")
            return parse_json(text) if path.suffix == ".json" else text.splitlines()
        except (OSError, ValueError) as error:
            raise LpclipError(f"{path} cannot be read ({error}).") from error
