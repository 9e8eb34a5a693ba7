"""A tree of image files: ``{root}/{class}/…``; the first level of folders names the classes.

What counts as an image:

- A file with an image suffix (``ENDINGS``), whatever its content: an unreadable one is an error, or
  skipped and recorded, but never ignored silently. So is a dangling link.
- Any other file that starts like an image, since names may have no suffix or a wrong one.
- No file or folder whose name starts with a dot, as file managers and notebooks create them.
- Nothing in folders of thumbnails, archives and recycle bins that systems create
  (``LEFT_BY_SYSTEMS``).

Links are followed. Every folder is read once, by its real path before any link, so that circular
links terminate.
"""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

from lpclip.data.base import UNLABELLED, Sample, size_of_file
from lpclip.data.listing import Listing
from lpclip.data.read_image import is_image, read_bytes, read_file
from lpclip.data.repeated import refuse_same_file
from lpclip.errors import LpclipError, check_known

# Includes formats that cannot be read here: an error is better than ignoring them.
ENDINGS = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"}
    | {".pgm", ".png", ".pnm", ".ppm", ".svg", ".tif", ".tiff", ".webp"}
)
# Folders of thumbnails, of metadata that macOS adds to archives, and of deleted files.
LEFT_BY_SYSTEMS = frozenset(
    {"@eaDir", "__MACOSX", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found"}
)


class Source:
    """Images below a folder, sorted by the code points of their paths, whatever the locale.

    Args:
        root: the folder.
        labelled: whether the folders of the first level are classes; otherwise all images below the
            root are taken without a label.
        exclude: folders of the first level to leave out.

    Raises:
        LpclipError: no such folder.
    """

    lists_quickly = True

    def __init__(self, *, root: str, labelled: bool = True, exclude: Sequence[str] = ()) -> None:
        self._root, self._labelled, self._exclude = Path(root), labelled, frozenset(exclude)
        if not self._root.is_dir():
            hint = "Write the home folder out" if root.startswith("~") else "Check 'root'"
            raise LpclipError(f"the folder '{root}' does not exist. {hint}.")

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the folders of the first level, sorted, including those without images.

        Raises:
            LpclipError: there is none, or an excluded folder does not exist.
        """
        folders = sorted(entry.name for entry in _entries(self._root) if _is_folder(entry))
        for name in sorted(self._exclude):
            check_known(name, folders, f"{self._root} has no folder '{name}' to exclude.")
        folders = [name for name in folders if name not in self._exclude]
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

    def samples(self) -> Sequence[Sample]:
        """Return every image file; its path below the root is its id.

        Raises:
            LpclipError: a folder that cannot be listed, an image outside the class folders, or a
                repeated image.
        """
        classes = {name: label for label, name in enumerate(self.class_names or ())}
        # As text: a million path objects take a minute.
        root = str(self._root).rstrip("/") + "/"
        excluded = {f"{root}{name}" for name in self._exclude}

        def listed(paths: Iterable[str]) -> Iterator[Sample]:
            for path in paths:
                name = path[len(root) :]
                folder, is_inside, _ = name.partition("/")
                if self._labelled and not is_inside:
                    raise LpclipError(
                        f"{path} lies in no class folder. Move it into one, or set labelled: false."
                    )
                yield Sample(name, path, classes[folder] if self._labelled else UNLABELLED)

        try:
            return Listing(listed(_sorted_files(root, excluded)), prefix=root)
        except _LinkError:  # then every folder has to be read before any link
            paths = (path for path in _files(root, excluded) if _counts(path))
            found = Listing(listed(sorted(paths, key=lambda path: path.split("/"))), prefix=root)
            refuse_same_file([s.path for s in found], [s.id for s in found], where=root)
            return found

    read = staticmethod(read_file)
    encoded = staticmethod(read_bytes)
    size = staticmethod(size_of_file)


class _LinkError(Exception):
    """There is a link below the folder."""


def _sorted_files(folder: str, excluded: Set[str]) -> Iterator[str]:
    """Iterate over all images below a folder, sorted by the parts of their paths.

    Raises:
        _LinkError: one of them, or of the folders, is a link.
    """
    waiting = [iter([folder])]
    while waiting:
        path = next(waiting[-1], None)
        if path is None:
            waiting.pop()
        elif path.endswith("/"):
            waiting.append(_inside(path, excluded))
        elif _counts(path):
            yield path


def _inside(folder: str, excluded: Set[str]) -> Iterator[str]:
    """Iterate over the paths in a folder, sorted; those of folders end with a slash."""
    entries = sorted(_entries(folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_symlink():
            raise _LinkError
        if not entry.is_dir():
            yield entry.path
        elif entry.path not in excluded:
            yield f"{entry.path}/"


def _files(root: str, excluded: Set[str]) -> Iterator[str]:
    """Iterate over all files below a folder, and links to no folder."""
    seen: set[tuple[int, int]] = set()
    folders, links = [root], list[tuple[int, str]]()
    while folders or links:
        # Links near the root first: they are more likely to be classes.
        folder = folders.pop() if folders else heapq.heappop(links)[1]
        entries = _entries(folder)
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if not _is_folder(entry):
                yield entry.path
            elif entry.path in excluded:
                continue
            elif entry.is_symlink():
                heapq.heappush(links, (entry.path.count("/"), entry.path))
            else:
                folders.append(entry.path)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, without hidden ones and those that systems create."""
    try:
        with os.scandir(folder) as entries:
            return [e for e in entries if e.name[0] != "." and e.name not in LEFT_BY_SYSTEMS]
    except OSError as error:
        raise LpclipError(
            f"the folder {folder} cannot be listed ({error.strerror}). Check its permissions."
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # entry.is_dir() fails for a link to itself.
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def _counts(path: str) -> bool:
    """Whether a file is an image, or claims to be one."""
    if "." + path.rpartition(".")[2].lower() in ENDINGS:
        return True
    if not Path(path).is_file():
        return Path(path).is_symlink()
    try:
        return is_image(path)
    except OSError:  # unknown content: the error is raised where it is read
        return True
