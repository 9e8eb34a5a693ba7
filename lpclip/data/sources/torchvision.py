"""Classification sets of torchvision, by the name of their class.

lpclip itself unpickles nothing; torchvision's CIFAR10 and CIFAR100 unpickle the published files
after checking their MD5 sums.

Image files are always opened by lpclip's decoder, so that a file has the same pixels in every kind
of source.
"""

import contextlib
import inspect
import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import PIL
from PIL import Image

from lpclip.data.base import Sample, size_of_file
from lpclip.data.label_values import label_index, named_classes
from lpclip.data.read_image import decode, read_file, to_rgb
from lpclip.errors import BadImageError, LpclipError, check_known
from lpclip.storage.arrays.base import AnyArray

# Settings of torchvision that `arguments` may not hold: settings of this source, and functions.
_NOT_ARGUMENTS = frozenset(
    {"self", "root", "download", "transform", "target_transform", "transforms", "loader"}
    | {"is_valid_file", "args", "kwargs"}
)
# Attributes with the labels of all images; iterating would decode every image.
_LABELS = ("targets", "labels", "_labels", "y")
# ImageNet and Imagenette have several names per class, but one id.
_NAMES = ("wnids", "classes", "categories")
# These unpickle a file without checking it.
_UNPICKLING = ("LSUN", "LSUNClass")
_PAIRS = ("_samples", "samples")


class Source:
    """A set of ``torchvision.datasets``, in its order.

    For instance the test set of CIFAR-10::

        {kind: torchvision, name: CIFAR10, root: data, arguments: {train: false}}

    Labels and class names are torchvision's own. A set whose labels are in no known attribute is
    iterated once for the index, without reading image files.

    Args:
        name: the class: CIFAR10, Food101, ImageFolder, ….
        root: folder of its files, in torchvision's layout.
        arguments: further keyword arguments of the class, such as ``train`` or ``split``.
        download: whether torchvision may download missing files when the set is first needed.
        class_names: in the order of torchvision's labels; by default torchvision's own, for
            ImageNet and Imagenette WordNet ids.

    Raises:
        LpclipError: no such set or argument, or no such folder without download.
    """

    size_takes_long = True  # the set must be loaded

    def __init__(
        self,
        name: str,
        root: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        download: bool = False,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self._name, self._root, self._given_names = name, root, class_names
        self._files_unread = False
        self._size = 0
        self._class = _class(name)
        self._arguments = dict(arguments or {})
        known = _parameters(self._class)
        for key in self._arguments:
            problem = f"arguments: torchvision's {name} has no '{key}'."
            check_known(key, known - _NOT_ARGUMENTS, problem)
        if download and "download" not in known:
            raise LpclipError(f"download: torchvision cannot download {name}. {self._how}")
        if "root" in known:
            if root is None:
                raise LpclipError(f"Image source 'torchvision' lacks the setting 'root' of {name}.")
            if not download and not Path(root).is_dir():
                raise LpclipError(f"the folder '{root}' does not exist. {self._how}")
            self._arguments["root"] = root
        if download:
            self._arguments["download"] = True

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """The given names, WordNet ids, torchvision's own names, or else the label numbers."""
        names = self._given_names
        if names is None:
            found = (getattr(self._dataset, key, None) for key in _NAMES)
            names = next((value for value in found if value), None)
        if names is not None:
            return [name if isinstance(name, str) else ", ".join(name) for name in names]
        return named_classes(self._labels, None, where=f"torchvision's {self._name}")

    def samples(self) -> list[Sample]:
        """Return all rows; a path is ``name[row]``."""
        where = f"torchvision's {self._name}"
        labels = label_index(self._labels, self.class_names or (), where=where)
        return [Sample(f"row-{i:06d}", f"{self._name}[{i}]", int(y)) for i, y in enumerate(labels)]

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens the set itself: it may be large, and its class may be defined here.
        return {key: value for key, value in vars(self).items() if key != "_dataset"}

    def read(self, path: str) -> Image.Image:
        """Read the image of a row, RGB, see ``lpclip.data.read_image``."""
        found = re.fullmatch(rf"{self._name}\[([0-9]+)\]", path)
        if not found or int(found[1]) >= len(self._dataset):
            raise LpclipError(f"There is no image '{path}'; a path is {self._name}[row].")
        return to_rgb(self._item(int(found[1]))[0], path)

    def size(self, path: str) -> int:
        """Return the size of a row's image file in bytes; 0 for sets of arrays."""
        self._size = 0
        with self._leaving_files_unread():
            self._item(int(path.removeprefix(f"{self._name}[").removesuffix("]")))
        return self._size

    @contextlib.contextmanager
    def _leaving_files_unread(self) -> Iterator[None]:
        self._files_unread = True
        try:
            yield
        finally:
            self._files_unread = False

    @cached_property
    def _dataset(self) -> Any:
        arguments, cls = dict(self._arguments), self._class
        if "loader" in _parameters(cls):
            arguments["loader"] = self._open
        else:
            cls = _opening_with(self._open, cls)
        try:
            return cls(**arguments)
        except Exception as error:  # every set raises its own types for missing files
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise LpclipError(
                f"torchvision's {self._name} cannot be read from '{self._root}' ({reason}). "
                f"{self._how}"
            ) from error

    def _open(self, file: Any, *_mode: Any) -> Image.Image:
        """Replacement for the set's image loader: takes a path or an open file."""
        if self._files_unread:
            self._size = size_of_file(os.fspath(file)) if isinstance(file, str | os.PathLike) else 0
            return Image.new("RGB", (1, 1))
        if isinstance(file, str | os.PathLike):
            return read_file(Path(file))
        return decode(file, "its bytes")

    def _item(self, row: int) -> Sequence[Any]:
        """Return image and label of a row."""
        where = f"{self._name}[{row}]"
        try:
            item = self._dataset[row]
        except BadImageError as error:
            raise BadImageError(f"{where} ({error.path})", error.reason) from error
        except Exception as error:  # raised by the set's own code
            raise BadImageError(where, " ".join(str(error).split())) from error
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[0], Image.Image):
            raise LpclipError(
                f"torchvision's {self._name} is no set of single images with a label each."
            )
        return item

    @cached_property
    def _labels(self) -> AnyArray:
        """Return the label of every row, int64 ``[N]``; -1 for none."""
        kept = self._kept_labels()
        if kept is None:
            with self._leaving_files_unread():
                kept = [self._item(row)[1] for row in range(len(self._dataset))]
        for value in kept:
            if not _is_label(value):
                raise LpclipError(
                    f"torchvision's {self._name} has the label {str(value)[:50]!r}; only sets "
                    "whose label is a class can be used."
                )
        return np.array([-1 if value is None else int(value) for value in kept], dtype=np.int64)

    def _kept_labels(self) -> Sequence[Any] | None:
        """Return the labels that the set stores next to its images, if they match its rows."""
        n = len(self._dataset)
        candidates = [getattr(self._dataset, key, None) for key in _LABELS]
        for key in _PAIRS:
            pairs = getattr(self._dataset, key, None)
            if pairs and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
                candidates.append([label for _, label in pairs])
        for values in candidates:
            if values is not None and len(values) == n:
                values = values.tolist() if hasattr(values, "tolist") else list(values)
                if all(self._agrees(row, values[row]) for row in {0, n // 2, n - 1} if n):
                    return values
        return None

    def _agrees(self, row: int, label: Any) -> bool:
        try:
            found = self._item(row)[1]
        except BadImageError:  # the error is handled where images are embedded
            return True
        return _is_label(label) and _is_label(found) and bool(label == found)

    @property
    def _how(self) -> str:
        """Advise how to get the data."""
        page = f"https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.{self._name}"
        if "download" not in _parameters(self._class):
            return f"Put its files there, see {page}.html."
        urls = (getattr(self._class, key, None) for key in ("url", "_URL"))
        url = next((f" ({value})" for value in urls if isinstance(value, str)), "")
        return (
            "Set download: true once, where there is a network, or put the files that torchvision "
            f"downloads there{url}; see {page}.html."
        )


def _class(name: str) -> Any:
    # Slow to import, and only this kind needs it.
    from torchvision import datasets

    base = datasets.VisionDataset
    found = {key: getattr(datasets, key) for key in datasets.__all__}
    known = {k: v for k, v in found.items() if inspect.isclass(v) and base in v.__mro__[1:]}
    check_known(name, known, f"torchvision has no dataset '{name}'.")
    if name in _UNPICKLING:
        raise LpclipError(
            f"torchvision's {name} unpickles a list of its keys from the folder in which it runs, "
            "which could run code. Export its images into a folder for each class, and set "
            "kind: folder."
        )
    return known[name]


def _opening_with(open_image: Callable[..., Image.Image], cls: Any) -> Any:
    """Return a subclass in whose ``__getitem__`` ``PIL.Image.open`` is another function.

    For sets without a ``loader`` argument. torchvision's class itself is unchanged.
    """
    pillow = SimpleNamespace(**{**vars(Image), "open": open_image})
    changed = {id(Image): pillow, id(PIL): SimpleNamespace(**{**vars(PIL), "Image": pillow})}
    method = cls.__getitem__
    names = {key: changed.get(id(value), value) for key, value in method.__globals__.items()}
    own = FunctionType(method.__code__, names, None, method.__defaults__, method.__closure__)
    return type(cls.__name__, (cls,), {"__getitem__": own})


def _parameters(cls: Any) -> set[str]:
    """Return the names of the keyword arguments, including those of base classes."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters
            names |= set(parameters)
            if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
                break
    return names


def _is_label(value: Any) -> bool:
    """Whether a value is a class index, or None for sets without labels."""
    try:
        return value is None or operator.index(value) == value
    except (TypeError, ValueError):
        return False
