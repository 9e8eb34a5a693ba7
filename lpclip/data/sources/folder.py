"""A tree of image files: ``{root}/{class}/…``; the first level of folders names the classes.

What counts as an image:

- A file whose name ends as images' do (``ENDINGS``), whatever is in it: one that cannot be read is
  an error, or skipped and recorded, but never left out in silence. So is a link to nothing.
- Any other file that begins as an image does, since names may have no ending or a wrong one.
- Nothing whose name begins with a dot, folders among them, as file managers and notebooks leave.
- Nothing in folders of thumbnails, archives and recycle bins that systems make
  (``LEFT_BY_SYSTEMS``).

Links are followed. Every folder is read once, by its real path before any link, so that links that
go round in circles come to an end.
"""

import heapq
import os
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from PIL import Image

from lpclip.data.base import UNLABELLED, Sample, size_of_file
from lpclip.data.read_image import is_image, read_bytes, read_file
from lpclip.data.repeated import refuse_same_file
from lpclip.errors import LpclipError, did_you_mean

# Some of these cannot be read here, which is better said than passed over.
ENDINGS = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".pnm", ".ppm", ".svg", ".tif", ".tiff", ".webp"}
)
# Folders of thumbnails, of what macOS adds to archives, and of deleted files.
LEFT_BY_SYSTEMS = frozenset(
    {"@eaDir", "__MACOSX", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found"}
)


class Source:
    """Images below a folder, by path in the order of code points, whatever the locale.

    Args:
        root: the folder.
        labelled: whether the folders of the first level are classes; otherwise every image below
            the root counts and none has a label.
        exclude: folders of the first level that are left out, classes among them.

    Raises:
        LpclipError: there is no such folder.
    """

    lists_quickly = True

    def __init__(self, *, root: str, labelled: bool = True, exclude: Sequence[str] = ()) -> None:
        self._root, self._labelled, self._exclude = Path(root), labelled, frozenset(exclude)
        if not self._root.is_dir():
            hint = "Write the home folder out" if root.startswith("~") else "Check 'root'"
            raise LpclipError(f"the folder '{root}' does not exist. {hint}.")

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the folders of the first level, sorted; one without images is a class too.

        Raises:
            LpclipError: there is none, or an excluded folder is not there.
        """
        folders = self._folders()
        if not self._labelled:
            return None
        if not folders:
            left = " but those that are excluded" if self._exclude else ""
            raise LpclipError(
                f"{self._root} has no class folders{left}. Sort the images into a folder for each "
                "class, list them with their labels in a table (kind: table), or set labelled: "
                "false if they have none."
            )
        return folders

    def samples(self) -> list[Sample]:
        """Every image file; its path below the root is its id.

        Raises:
            LpclipError: a folder that cannot be listed, an image outside every class folder, or
                one that is there twice.
        """
        classes = {name: label for label, name in enumerate(self.class_names or ())}
        # As text: over a million paths as objects take a minute.
        root = str(self._root).rstrip("/") + "/"
        excluded = {f"{root}{name}" for name in self._exclude}
        found = []
        with_links = False
        inside = []
        for path, is_link in _files(root, excluded):
            if _counts(path):
                inside.append(path[len(root) :].split("/"))
                with_links |= is_link
        for parts in sorted(inside):
            name = "/".join(parts)
            if self._labelled and len(parts) < 2:
                raise LpclipError(
                    f"{root}{name} lies in no class folder. Move it into one, or set "
                    "labelled: false."
                )
            label = classes[parts[0]] if self._labelled else UNLABELLED
            found.append(Sample(name, root + name, label))
        if with_links:  # else no file can be there twice
            refuse_same_file([s.path for s in found], [s.id for s in found], where=root)
        return found

    def _folders(self) -> list[str]:
        """Names of the folders of the first level that are not excluded, sorted."""
        names = sorted(entry.name for entry in _entries(self._root) if _is_folder(entry))
        for name in sorted(self._exclude):
            if name not in names:
                raise LpclipError(
                    f"{self._root} has no folder '{name}' to exclude. {did_you_mean(name, names)}"
                )
        return [name for name in names if name not in self._exclude]

    def read(self, path: str) -> Image.Image:
        """The image, RGB, see ``lpclip.data.read_image``."""
        return read_file(path)

    def encoded(self, path: str) -> bytes:
        """What is in a file."""
        return read_bytes(path)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return size_of_file(path)


def _files(root: str, excluded: Set[str]) -> Iterator[tuple[str, bool]]:
    """Paths of all files below a folder, and of links that lead to no folder; whether it is one."""
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
            if not _is_folder(entry):
                yield entry.path, entry.is_symlink()
            elif entry.path in excluded:
                continue
            elif entry.is_symlink():
                heapq.heappush(links, (entry.path.count("/"), entry.path))
            else:
                folders.append(entry.path)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, but for what people do not see or did not put there."""
    try:
        with os.scandir(folder) as entries:
            return [e for e in entries if e.name[0] != "." and e.name not in LEFT_BY_SYSTEMS]
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
