"""The interface of every format: the names and shapes of its arrays, and the arrays themselves."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from lpclip.errors import LpclipError, did_you_mean

AnyArray: TypeAlias = npt.NDArray[Any]

_FLOATS = ("float16", "float32", "float64")


class Arrays(ABC):
    """The arrays of one file or folder."""

    ids: str | None = None  # name of the array that identifies the rows, if the format has one
    typed = True  # whether the format stores types; otherwise every column is text

    def __init__(self, path: Path) -> None:
        self.path = path
        self.provenance: Mapping[str, Any] = {}  # of a file that lpclip wrote

    def refused(self) -> dict[str, str]:
        """Return arrays that cannot be read: name -> reason, as the end of a sentence."""
        return {}

    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every array by name."""

    @abstractmethod
    def read(self, name: str) -> AnyArray:
        """Read one array; text has NumPy's type ``U``."""

    def files(self) -> list[Path]:
        """Return the files that hold the arrays."""
        return [self.path]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one array.

        Raises:
            LpclipError: there is none of that name; suggests the nearest.
        """
        shapes = self.shapes()
        if name not in shapes:
            if reason := self.refused().get(name):
                raise LpclipError(f"{self.path}: '{name}' {reason}")
            raise LpclipError(f"{self.path} has no array '{name}'. {did_you_mean(name, shapes)}")
        return shapes[name]

    def column(self, name: str) -> AnyArray:
        """Read an array ``[N]`` that may be stored as ``[N, 1]``."""
        return self.read(name).reshape(-1)

    def pick(self, key: str | None, *, ndim: int, prefer: Sequence[str] = ()) -> str:
        """Return the name of the array that a key, or a missing key, refers to.

        Args:
            key: a name, or None for the only array of ``ndim`` axes.
            ndim: 2 for features; 1 for ids and labels, which may also be ``[N, 1]``, see
                ``column``.
            prefer: names to prefer without a key.

        Raises:
            LpclipError: no such array, no unique candidate, another number of axes, or no rows.
        """
        shapes = self.shapes()
        fitting = _of_axes(shapes, ndim)
        if key is None:
            preferred = [name for name in prefer if name in fitting]
            candidates = preferred[:1] or fitting
            if len(candidates) != 1:
                raise LpclipError(
                    f"{self.path} has {len(fitting) or 'no'} arrays of {ndim} axes; name one as "
                    f"'key'. Available: {', '.join(shapes) or 'none'}."
                )
            key = candidates[0]
        shape = self.shape(key)
        if len(shape) != ndim and not (ndim == 1 and _is_column(shape)):
            raise LpclipError(
                f"{self.path}: '{key}' has shape {list(shape)}, but {ndim} axes are needed. "
                f"Arrays that have them: {', '.join(fitting) or 'none'}."
            )
        if shape[0] == 0:
            raise LpclipError(f"{self.path}: '{key}' has no rows.")
        return key

    def features(self, name: str) -> AnyArray:
        """Read features ``[N, D]`` as stored: float16, float32 or float64.

        Raises:
            LpclipError: they have another type.
        """
        values = self.read(name)
        if values.dtype.name not in _FLOATS:
            raise LpclipError(
                f"{self.path}: '{name}' is {values.dtype.name}, but features are "
                f"{', '.join(_FLOATS[:-1])} or {_FLOATS[-1]}."
            )
        return values


def _of_axes(shapes: Mapping[str, tuple[int, ...]], ndim: int) -> list[str]:
    """Return the arrays with so many axes; ``[N, 1]`` counts as one axis if possible."""
    plain = [name for name, shape in shapes.items() if len(shape) == ndim]
    columns = [name for name, shape in shapes.items() if _is_column(shape)]
    if ndim == 1:
        return plain or columns
    return [name for name in plain if name not in columns] or plain


def _is_column(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[1] == 1


@contextlib.contextmanager
def readable(path: Path, name: str | None = None) -> Iterator[None]:
    """Turn errors that libraries raise for a broken file into a sentence."""
    what = f"{path}: '{name}'" if name else str(path)
    try:
        yield
    except LpclipError:
        raise
    except Exception as error:
        # Every library raises its own types; all mean that the file is broken.
        text = " ".join(str(error).split())
        if "pickle" in text or "Python objects in dtype" in text:
            raise LpclipError(
                f"{what} holds Python objects, which lpclip never unpickles. Save numbers as "
                "float32 and text as an array of NumPy's type U: array.astype(str)."
            ) from error
        raise LpclipError(f"{what} cannot be read ({text[:200]}). Is it whole?") from error
