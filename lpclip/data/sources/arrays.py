"""Images in one NumPy array, ``.npy`` or ``.npz``, such as CIFAR-10-C and CIFAR-10.1."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL.Image import Image

from lpclip.data.base import Sample
from lpclip.data.columns import Columns, Reference
from lpclip.data.read_image import from_array
from lpclip.errors import LpclipError
from lpclip.storage.arrays.base import AnyArray
from lpclip.storage.arrays.registry import open_arrays

ENDINGS = (".npy", ".npz")
_CHANNELS = (1, 3, 4)


class Source:
    """Rows of an array of images, uint8 ``[N, H, W, C]`` or ``[N, H, W]``.

    The array is memory-mapped; one in a compressed ``.npz`` file is loaded completely, once per
    process. CIFAR-10-C, the fog of severity 3::

        {kind: arrays, path: CIFAR-10-C/fog.npy, labels: CIFAR-10-C/labels.npy,
         slice: [20000, 30000]}

    Args:
        path: the file.
        key: name of the array in a ``.npz`` file; optional if only one has 4 axes.
        labels: whole numbers (-1: none), or text, one per row of the file: a key of the same file,
            a ``.npy`` file, or ``{path: …, key: …}``; none for an unlabelled set.
        class_names: a list, or a column like labels. Whole numbers index it, and text is numbered
            in its order; derived from the labels by default.
        ids: of the rows, a column like labels; by default ``row-000000``, …, counted from the start
            of the file.
        slice: ``[start, stop]``, rows to take, without stop.

    Raises:
        LpclipError: no such file or array, another shape or type, columns that do not fit, or rows
            that do not exist.
    """

    def __init__(
        self,
        path: str,
        key: str | None = None,
        labels: Reference | None = None,
        class_names: Reference | Sequence[str] | None = None,
        ids: Reference | None = None,
        slice: Sequence[int] | None = None,
    ) -> None:
        if Path(path).is_file() and Path(path).suffix not in ENDINGS:
            raise LpclipError(f"{path} is no {' or '.join(ENDINGS)} file of images. Check 'path'.")
        self._arrays = open_arrays(path)
        if key is None:
            shapes = self._arrays.shapes()
            fitting = [name for name, shape in shapes.items() if _is_images(shape)]
            candidates = fitting or list(shapes)
            key = candidates[0] if len(candidates) == 1 else None
        self._key = self._arrays.pick(key, ndim=4) if key is None else key
        self._shape = self._arrays.shape(self._key)
        if not _is_images(self._shape):
            hint = " Move the channels to the end." if self._shape[1:2] in ((1,), (3,)) else ""
            raise LpclipError(
                f"{path}: '{self._key}' has shape {list(self._shape)}, but images are [N, H, W, C] "
                f"with 1, 3 or 4 channels, or [N, H, W].{hint}"
            )
        self._columns = Columns(
            self._arrays, self._key, ids=ids, labels=labels, class_names=class_names
        )
        self._rows = self._chosen(slice)

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """Names as given, or derived from the labels; None without labels."""
        return self._columns.class_names()

    def files(self) -> list[Path]:
        """Return the files of the dataset."""
        return list(dict.fromkeys([*self._arrays.files(), *self._columns.files()]))

    def samples(self) -> list[Sample]:
        """Return the chosen rows; a path is ``file[row]``.

        Raises:
            LpclipError: pixels of another type than uint8, or a label that is not a class.
        """
        self._images  # noqa: B018  # refuses before hours of embedding what read would refuse
        ids, labels = self._columns.row_ids(), self._columns.row_labels()
        return [
            Sample(ids[row], f"{self._arrays.path}[{row}]", int(labels[row])) for row in self._rows
        ]

    def read(self, path: str) -> Image:
        """Read one image, RGB; LpclipError if the path names no row."""
        found = re.search(r"\[([0-9]+)\]$", path)
        if not found or int(found[1]) >= self._shape[0]:
            raise LpclipError(
                f"There is no image '{path}'; a path is file[row] with rows 0 to "
                f"{self._shape[0] - 1}."
            )
        return from_array(self._images[int(found[1])])

    @cached_property
    def _images(self) -> AnyArray:
        values = self._arrays.read(self._key)
        if values.dtype != np.uint8:
            raise LpclipError(
                f"{self._arrays.path}: '{self._key}' is {values.dtype.name}, but images are uint8, "
                "0 to 255. Save it as such."
            )
        return values

    def _chosen(self, wanted: Sequence[int] | None) -> range:
        if wanted is None:
            return range(self._shape[0])
        if len(wanted) != 2 or not 0 <= wanted[0] < wanted[1] <= self._shape[0]:
            raise LpclipError(
                f"slice is {wanted}, but it must be [start, stop] with 0 <= start < stop <= "
                f"{self._shape[0]}, the rows of '{self._key}' in {self._arrays.path}."
            )
        return range(*wanted)


def _is_images(shape: Sequence[int]) -> bool:
    channels = shape[3:] or (1,)
    return len(shape) in (3, 4) and 0 not in shape and channels[0] in _CHANNELS
