"""The interface of image sources, and functions that read one image of a source."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL.Image import Image

from lpclip.errors import BadImageError

UNLABELLED = -1
# Separates benchmark classes that one class of a dataset maps to: "analog clock | digital clock".
ALTERNATIVES = " | "


class Sample(NamedTuple):
    """One image of a dataset.

    Attributes:
        id: unique in the dataset and stable, at most a few dozen characters; it seeds everything
            random about the image.
        path: argument of ``Source.read``; a file path if the image is a file.
        label: index into ``Source.class_names``, or ``UNLABELLED``.
    """

    id: str
    path: str
    label: int


class Source(Protocol):
    """Interface of every kind of dataset. Opening a source is cheap: no image is read.

    Where the settings alone show it, ``at_most`` is a number that the images do not exceed.
    """

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes that labels index; None for an unlabelled set."""

    def samples(self) -> Sequence[Sample]:
        """Return all images, in an order that depends on the settings alone."""

    def read(self, path: str) -> Image:
        """Read the image at a sample's path, RGB, 8 bits per channel; must be thread-safe."""


def read_encoded(source: Source, path: str) -> bytes | None:
    """Read the encoded file of an image, from sources with a method ``encoded``; else None.

    None also for images without a file; errors as in ``read_image``.
    """
    encoded: Callable[[str], bytes | None] | None = getattr(source, "encoded", None)
    with _named(path):
        return encoded(path) if encoded else None


def problems_of(source: Source) -> Mapping[str, str]:
    """Return the problem of every sample without image or label, by path.

    They come from the method ``problems`` of sources that may have such samples; the policy
    ``on_bad_image`` decides whether they stop the run or are left out.
    """
    problems: Callable[[], Mapping[str, str]] | None = getattr(source, "problems", None)
    return problems() if problems else {}


def size_of(source: Source, path: str) -> int:
    """Return the size of an image's file in bytes, without opening it; 0 if there is none."""
    size: Callable[[str], int] | None = getattr(source, "size", None)
    return size(path) if size else 0


def size_of_file(path: str | Path) -> int:
    """Return the size of a file in bytes; 0 if there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  (a path object would take longer)
    except OSError:
        return 0


def read_image(source: Source, path: str) -> Image:
    """Read the image at a path; BadImageError if it cannot be read, else another LpclipError."""
    with _named(path):
        return source.read(path)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Turn the errors that sources raise for an image into one that names it."""
    try:
        yield
    except (OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImageError(path, reason) from error
