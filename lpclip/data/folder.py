"""A tree of image files: ``{root}/{class}/…``; the first level of folders names the classes.

What counts as an image:

- A file whose name ends as images' do (``ENDINGS``), whatever is in it: one that cannot be read is
  an error, or skipped and recorded, but never left out in silence. So is a link to nothing.
- Any other file that begins as an image does, since names may have no ending or a wrong one.
- Nothing whose name begins with a dot, folders among them, as file managers and notebooks leave.

Links are followed. Every folder is read once, by its real path before any link, so that links that
go round in circles come to an end.
"""

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from lpclip.data import UNLABELLED, Sample, size_of_file
from lpclip.data._images import is_image, read_bytes, read_file
from lpclip.errors import LpclipError

# Some of these cannot be read here, which is better said than passed over.
ENDINGS = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".pnm", ".ppm", ".svg", ".tif", ".tiff", ".webp"}
)


class Source:
    """Images below a folder, by path in the order of code points, whatever the locale.

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
            hint = "Write the home folder out" if root.startswith("~") else "Check 'root'"
            raise LpclipError(f"the folder '{root}' does not exist. {hint}.")

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the folders of the first level, sorted; one without images is a class too."""
        if not self._labelled:
            return None
        return sorted(
            entry.name
            for entry in _entries(self._root)
            if not entry.name.startswith(".") and _is_folder(entry)
        )

    def samples(self) -> list[Sample]:
        """Every image file; its path below the root is its id.

        Raises:
            LpclipError: a folder that cannot be listed, or an image outside every class folder.
        """
        classes = {name: label for label, name in enumerate(self.class_names or ())}
        # As text: over a million paths as objects take a minute.
        root = str(self._root).rstrip("/") + "/"
        inside = (path[len(root) :].split("/") for path in _files(root) if _counts(path))
        found = []
        for parts in sorted(inside):
            name = "/".join(parts)
            if self._labelled and len(parts) < 2:
                raise LpclipError(
                    f"{root}{name} lies in no class folder. Move it into one, or set "
                    "labelled: false."
                )
            label = classes[parts[0]] if self._labelled else UNLABELLED
            found.append(Sample(name, root + name, label))
        return found

    def read(self, path: str) -> Image.Image:
        """The image, RGB, see ``lpclip.data._images``."""
        return read_file(path)

    def encoded(self, path: str) -> bytes:
        """What is in a file."""
        return read_bytes(path)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return size_of_file(path)


def _files(root: str) -> Iterator[str]:
    """Paths of all files below a folder, and of links that lead to no folder."""
    seen: set[tuple[int, int]] = set()
    folders, links = [root], list[tuple[int, str]]()
    while folders or links:
        # Links near the root first: they are classes more often than what lies deep below.
        folder = folders.pop() if folders else heapq.heappop(links)[1]
        entries = _entries(folder)
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                yield entry.path
            elif entry.is_symlink():
                heapq.heappush(links, (entry.path.count("/"), entry.path))
            else:
                folders.append(entry.path)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise LpclipError(
            f"the folder {folder} cannot be listed ({error.strerror}). Check its permissions."
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Asking the entry itself fails for a link to itself.
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _counts(path: str) -> bool:
    """Whether a file is an image, or ought to be one."""
    if "." + path.rpartition(".")[2].lower() in ENDINGS:
        return True
    if not Path(path).is_file():
        return Path(path).is_symlink()
    try:
        return is_image(path)
    except OSError:  # nobody knows what is in it, so that reading it is to say why
        return True
