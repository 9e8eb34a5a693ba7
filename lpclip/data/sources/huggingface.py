"""Image sets of Hugging Face's ``datasets`` library, from a local folder or file or from the hub.

The library is an extra: ``pip install 'lpclip[huggingface]'``. Since version 4 it runs no code of
data sets.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lpclip.data.base import UNLABELLED, Sample
from lpclip.data.label_values import label_index, named_classes, numbers_or_text
from lpclip.data.read_image import decode, read_bytes
from lpclip.errors import BadImageError, LpclipError, check_known, did_you_mean
from lpclip.storage.arrays.base import AnyArray

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
# Suffixes of files that hold rows, or list the files that do.
_TABLES = (".arrow", ".csv", ".json", ".jsonl", ".parquet")


class Source:
    """The rows of one split, in its order.

    Args:
        path: a folder that ``save_to_disk`` wrote; a folder of images or of Parquet files, as
            ``load_dataset`` takes them; a ``.parquet`` file; or the name of a set on the hub.
        split: name of the split; optional if there is only one.
        name: configuration of the set, if it has several.
        revision: branch, tag or commit on the hub; the latest by default.
        image_column: column of the images.
        label_column: column of the labels, class labels, whole numbers or text; none for an
            unlabelled set.
        class_names: in the order of the labels; by default the set's own, or derived from the
            labels.

    Raises:
        LpclipError: the library is not installed, or there is no such folder or file.
    """

    def __init__(
        self,
        path: str,
        split: str | None = None,
        name: str | None = None,
        revision: str | None = None,
        image_column: str = "image",
        label_column: str | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self._path, self._split, self._name, self._revision = path, split, name, revision
        self._image, self._label, self._given_names = image_column, label_column, class_names
        self._is_local = Path(path).exists()
        if not self._is_local and not _HUB_NAME.fullmatch(path):
            raise LpclipError(f"the folder or file '{path}' does not exist. Check 'path'.")
        self._library = _library()

    def files(self) -> list[Path]:
        """Return the tables of a local set; not the files of its images."""
        path = Path(self._path)
        if not path.is_dir():
            return [path] if self._is_local else []
        return sorted(found for found in path.rglob("*") if found.suffix in _TABLES)

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """The given names, the set's own, or derived from the labels; None without labels."""
        if self._label is None:
            return None
        names = self._given_names
        if names is None:
            names = getattr(self._column(self._label), "names", None)
        values = self._labels if names is None else np.array([])
        return named_classes(values, names, where=self._where)

    def samples(self) -> list[Sample]:
        """Return all rows; a path is ``path[row]``.

        Raises:
            LpclipError: a set that cannot be loaded, a missing column or one of another type, or a
                label that is not a class.
        """
        labels = np.full(len(self._images), UNLABELLED)
        if self._label is not None:
            labels = label_index(self._labels, self.class_names or (), where=self._where)
        return [Sample(f"row-{i:06d}", f"{self._path}[{i}]", int(y)) for i, y in enumerate(labels)]

    def read(self, path: str) -> Image.Image:
        """Read the image of a row, RGB, see ``lpclip.data.read_image``."""
        return decode(self.encoded(path), path)

    def encoded(self, path: str) -> bytes:
        """Read the file of a row's image."""
        found = re.fullmatch(re.escape(self._path) + r"\[([0-9]+)\]", path)
        if not found or int(found[1]) >= len(self._images):
            raise LpclipError(f"There is no image '{path}'; a path is {self._path}[row].")
        stored = self._images[int(found[1])][self._image]
        if stored is not None and stored["bytes"] is not None:
            return bytes(stored["bytes"])
        if stored is None or not stored["path"]:
            raise BadImageError(path, "the row has no image")
        return read_bytes(stored["path"])

    @cached_property
    def _rows(self) -> Any:
        """The split, as a ``datasets.Dataset`` of plain values."""
        try:
            loaded = self._load()
        except Exception as error:  # of many types: network, files, formats
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            hint = "Is it a whole set of images?"
            if not self._is_local:
                hint = (
                    "It is no folder or file here, so it was looked for on the hub. Without a "
                    "network, give the path of a folder or .parquet file."
                )
            raise LpclipError(f"'{self._path}' cannot be loaded ({reason}). {hint}") from error
        if isinstance(loaded, Mapping):
            if self._split is None and len(loaded) > 1:
                raise LpclipError(
                    f"'{self._path}' has several splits. Name one as 'split'. "
                    f"{did_you_mean('', loaded)}"
                )
            split = next(iter(loaded)) if self._split is None else self._split
            check_known(split, loaded, f"'{self._path}' has no split '{split}'.")
            loaded = loaded[split]
        elif self._split not in (None, str(loaded.split)):
            raise LpclipError(
                f"'{self._path}' is one split ({loaded.split}), not '{self._split}'. "
                "Remove 'split'."
            )
        return loaded.with_format(None)

    def _load(self) -> Any:
        path = Path(self._path)
        if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            return self._library.load_from_disk(self._path)
        if path.is_file():
            if path.suffix != ".parquet":
                raise LpclipError("a file must be .parquet")
            return self._library.load_dataset("parquet", data_files=self._path)
        return self._library.load_dataset(self._path, name=self._name, revision=self._revision)

    @cached_property
    def _images(self) -> Any:
        """The column of images, whose rows are the bytes or the path of a file."""
        feature = self._column(self._image)
        is_struct = isinstance(feature, Mapping) and set(feature) == {"bytes", "path"}
        is_binary = getattr(feature, "dtype", None) in ("binary", "large_binary")
        if not isinstance(feature, self._library.Image) and not is_struct and not is_binary:
            raise LpclipError(
                f"'{self._path}': column '{self._image}' holds no images, but {feature}. "
                "Name another as image_column."
            )
        images = self._rows.select_columns([self._image])
        return images.cast_column(self._image, self._library.Image(decode=False))

    @cached_property
    def _labels(self) -> AnyArray:
        """Labels of all rows ``[N]``, numbers or text."""
        assert self._label is not None
        self._column(self._label)
        values = self._rows.select_columns([self._label])[:][self._label]
        if any(isinstance(value, str) for value in values):
            return numbers_or_text(values, self._given_names)
        for value in values:
            if not isinstance(value, int | None):
                raise LpclipError(
                    f"{self._where} holds {str(value)[:50]}, but labels are whole numbers or text."
                )
        return np.array([UNLABELLED if value is None else int(value) for value in values])

    def _column(self, name: str) -> Any:
        """Return the type of a column, a feature of the library."""
        features = self._rows.features
        check_known(name, features, f"'{self._path}' has no column '{name}'.")
        return features[name]

    @property
    def _where(self) -> str:
        return f"'{self._path}': column '{self._label}'"


def _library() -> Any:
    try:
        import datasets  # an extra; slow to import

        datasets.load_dataset  # noqa: B018  # a folder of this name here is no library
    except (ImportError, AttributeError) as error:
        raise LpclipError(
            "Image source 'huggingface' needs the library datasets. Install it: "
            "pip install 'lpclip[huggingface]'."
        ) from error
    return datasets
