"""What an image source is, and how one image of it is read."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL.Image import Image

from lpclip.errors import BadImageError

UNLABELLED = -1


# A class of a dataset may be several of a benchmark's: "analog clock | digital clock".
ALTERNATIVES = " | "


class Sample(NamedTuple):
    """One image of a dataset.

    Attributes:
        id: unique in the dataset, never changes, no more than a few dozen characters; the seed of
            everything random that happens to the image.
        path: what ``Source.read`` needs to find the pixels; a file path where there is a file.
        label: index into ``Source.class_names``, or ``UNLABELLED``.
    """

    id: str
    path: str
    label: int


class Source(Protocol):
    """What every kind of dataset offers. Making one is cheap: no image is read."""

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes that labels index, None for an unlabelled set."""

    def samples(self) -> list[Sample]:
        """Every image, in an order that depends on the settings alone."""

    def read(self, path: str) -> Image:
        """The image at a sample's path, RGB, 8 bits per channel; several threads may call it."""


def read_encoded(source: Source, path: str) -> bytes | None:
    """The file of an image as it is stored, from sources that offer it by a method ``encoded``.

    It is the image that ``read`` gives; None from other sources, and where one has no file of it.

    Raises:
        BadImageError, LpclipError: as of ``read_image``.
    """
    encoded: Callable[[str], bytes | None] | None = getattr(source, "encoded", None)
    with _named(path):
        return encoded(path) if encoded else None


def size_of(source: Source, path: str) -> int:
    """Bytes of the file of an image, as it lies there now, from sources with a method ``size``.

    It is cheap, and found without opening the image; 0 from other sources, and where there is no
    file.
    """
    size: Callable[[str], int] | None = getattr(source, "size", None)
    return size(path) if size else 0


def size_of_file(path: str | Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  (a path object would take longer)
    except OSError:
        return 0


def read_image(source: Source, path: str) -> Image:
    """The image at a sample's path.

    Raises:
        BadImageError: it cannot be read, whatever the source raised.
        LpclipError: a mistake that is not the image's.
    """
    with _named(path):
        return source.read(path)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Turn what a source raises for an image into one error that names it."""
    try:
        yield
    except (OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(path, reason) from error
