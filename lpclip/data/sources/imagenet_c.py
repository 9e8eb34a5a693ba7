"""ImageNet-C as published: ``{corruption}/{severity}/{WordNet id}/*.JPEG``."""

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from pathlib import Path

from PIL.Image import Image

from lpclip.corruption_names import EXTRA, SEVERITIES, STANDARD
from lpclip.data.base import Sample, size_of_file
from lpclip.data.read_image import read_bytes, read_file
from lpclip.data.sources.folder import Source as Folder
from lpclip.errors import LpclipError


class Source:
    """The images of a corrupted set, each listed once; ``corrupted`` gives paths of versions.

    The files have 224 x 224 pixels, cropped before the corruption. Models of this size get them
    unchanged; for other sizes they are resized, without cropping, since they are square.

    Args:
        root: the folder with one folder per corruption.

    Raises:
        LpclipError: no such folder, no corruption in it, or one without all five severities.
    """

    def __init__(self, *, root: str) -> None:
        self._root = Path(root)
        if not self._root.is_dir():
            raise LpclipError(
                f"the folder '{root}' does not exist. Check 'root'; ImageNet-C comes from "
                "https://zenodo.org/records/2235448."
            )
        self.corruptions = [name for name in (*STANDARD, *EXTRA) if (self._root / name).is_dir()]
        if not self.corruptions:
            raise LpclipError(
                f"{root} has none of ImageNet-C's folders ({', '.join(STANDARD[:3])}, …). "
                "Give as root the folder that they lie in."
            )
        for name in self.corruptions:
            missing = [str(s) for s in SEVERITIES if not (self._root / name / str(s)).is_dir()]
            if missing:
                raise LpclipError(
                    f"{self._root / name} lacks the severities {', '.join(missing)} of 1 to 5. "
                    "Unpack the archive again, or remove the folder."
                )

    @cached_property
    def class_names(self) -> Sequence[str]:
        """Names of the class folders."""
        return self._folder(self.corruptions[0], SEVERITIES[0]).class_names or ()

    def samples(self) -> list[Sample]:
        """Return every image, by its path inside a severity's folder; all must have the same."""
        samples = self._inside(self.corruptions[0], SEVERITIES[0])
        wanted = {sample.path for sample in samples}
        for name, severity in product(self.corruptions, SEVERITIES):
            found = {sample.path for sample in self._inside(name, severity)}
            if found != wanted:
                only = min(found ^ wanted)
                lacks = "lacks" if only in wanted else "has, unlike others,"
                raise LpclipError(
                    f"{self._root / name / str(severity)} {lacks} the image '{only}'. "
                    "Unpack the archive again."
                )
        return samples

    def corrupted(self, path: str, corruption: str, severity: int) -> str:
        """Return the path of a version of an image."""
        return f"{corruption}/{severity}/{path}"

    def read(self, path: str) -> Image:
        """Read a version of an image, RGB."""
        return read_file(self._root / path)

    def encoded(self, path: str) -> bytes:
        """Read the file of a version of an image."""
        return read_bytes(self._root / path)

    def size(self, path: str) -> int:
        """Return the size of an image's first version in bytes."""
        return size_of_file(self._root / self.corrupted(path, self.corruptions[0], SEVERITIES[0]))

    def _inside(self, corruption: str, severity: int) -> list[Sample]:
        found = self._folder(corruption, severity).samples()
        return [sample._replace(path=sample.id) for sample in found]

    def _folder(self, corruption: str, severity: int) -> Folder:
        return Folder(root=str(self._root / corruption / str(severity)))
