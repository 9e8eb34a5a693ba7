"""CIFAR-10-C and CIFAR-100-C as published: ``{corruption}.npy`` of 5 x N images, ``labels.npy``."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL.Image import Image

from lpclip.corruption_names import EXTRA, SEVERITIES, STANDARD
from lpclip.data.base import Sample
from lpclip.data.read_image import from_array
from lpclip.errors import LpclipError
from lpclip.storage.arrays.base import AnyArray
from lpclip.types import IntArray


class Source:
    """The N images of a corrupted set, each listed once; ``corrupted`` gives paths of versions.

    Row (s - 1) x N + i of every file is image i at severity s, in the order of the test set.

    Args:
        root: the folder of the files, which are memory-mapped.
        class_names: names of the labels; by default their numbers.

    Raises:
        LpclipError: no such files, files without all five severities, or labels that differ between
            severities.
    """

    def __init__(self, *, root: str, class_names: Sequence[str] | None = None) -> None:
        self._root, self._given_names = Path(root), class_names
        self._open: dict[str, AnyArray] = {}
        self.corruptions = [
            name for name in (*STANDARD, *EXTRA) if (self._root / f"{name}.npy").is_file()
        ]
        if not self.corruptions:
            raise LpclipError(
                f"{root} has none of CIFAR-10-C's files ({STANDARD[0]}.npy, …). Give as root the "
                "folder that they lie in; they come from https://zenodo.org/records/2535967, "
                "CIFAR-100-C from https://zenodo.org/records/3555552."
            )
        n = len(self._labels) * len(SEVERITIES)
        for name in self.corruptions:
            images = self._load(name)
            if images.ndim != 4 or images.dtype != np.uint8 or len(images) != n:
                raise LpclipError(
                    f"{self._root / f'{name}.npy'} has {images.dtype.name} of shape "
                    f"{list(images.shape)}, but the labels are of {n} images of uint8, "
                    f"{n // len(SEVERITIES)} at each of 5 severities. Download it again."
                )

    @cached_property
    def class_names(self) -> Sequence[str]:
        """The given names, one per label, or the numbers of the labels."""
        n_classes = int(self._labels.max()) + 1
        if self._given_names is None:
            return [str(number) for number in range(n_classes)]
        if len(self._given_names) < n_classes:
            raise LpclipError(
                f"{self._root / 'labels.npy'} has the label {n_classes - 1}, but there are "
                f"{len(self._given_names)} class_names."
            )
        return list(self._given_names)

    def files(self) -> list[Path]:
        """Return the files of the set."""
        return [self._root / f"{name}.npy" for name in ("labels", *self.corruptions)]

    def samples(self) -> list[Sample]:
        """Return every image; its path is its row."""
        return [Sample(f"row-{i:06d}", str(i), int(y)) for i, y in enumerate(self._labels)]

    def corrupted(self, path: str, corruption: str, severity: int) -> str:
        """Return the path of a version of an image."""
        return f"{corruption}[{(severity - 1) * len(self._labels) + int(path)}]"

    def read(self, path: str) -> Image:
        """Read a version of an image, RGB; LpclipError if it is not the path of one."""
        found = re.fullmatch(r"(\w+)\[([0-9]+)\]", path)
        if not found or found[1] not in self.corruptions:
            raise LpclipError(f"{self._root} has no image '{path}'; a path is corruption[row].")
        return from_array(self._load(found[1])[int(found[2])])

    @cached_property
    def _labels(self) -> IntArray:
        """Labels ``[N]`` of one severity."""
        labels = self._load("labels")
        if labels.shape[1:] == (1,):
            labels = labels.reshape(-1)
        parts = labels.reshape(len(SEVERITIES), -1) if len(labels) % len(SEVERITIES) == 0 else None
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
            raise LpclipError(f"{self._root / 'labels.npy'} holds no whole numbers, one per image.")
        if parts is None or (parts != parts[0]).any():
            raise LpclipError(
                f"{self._root / 'labels.npy'} has not the same labels for each of 5 severities, "
                "one after the other. Download it again."
            )
        return np.asarray(parts[0], np.int64)

    def _load(self, name: str) -> AnyArray:
        path = self._root / f"{name}.npy"
        if name not in self._open:
            try:
                self._open[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except FileNotFoundError as error:
                raise LpclipError(f"{path} does not exist. Download it, too.") from error
            except (OSError, ValueError, EOFError) as error:
                raise LpclipError(f"{path} cannot be read as an array ({error}).") from error
        return self._open[name]
