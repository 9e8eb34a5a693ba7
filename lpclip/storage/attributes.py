"""Attributes of a file, with a clear error for one that is missing or malformed."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lpclip.errors import LpclipError
from lpclip.storage.json_text import parse_json
from lpclip.storage.opening import damaged, make_again

# An attribute of an HDF5 file holds 64 KB at most.
LONGEST_ATTRIBUTE = 60_000


class Attributes(dict[str, Any]):
    """Attributes by name, as plain Python values."""

    def __init__(self, path: Path, values: h5py.AttributeManager) -> None:
        # A name that is not UTF-8 comes as bytes.
        super().__init__(
            (key.decode(errors="backslashreplace") if isinstance(key, bytes) else key, plain(value))
            for key, value in values.items()
        )
        self.path = path  # for errors

    def __missing__(self, key: str) -> Any:
        raise LpclipError(f"{self.path} lacks the attribute '{key}'.{make_again(self.path)}")

    def number(self, key: str) -> float:
        """Return an attribute that must be a number.

        Raises:
            LpclipError: it is missing or of another type.
        """
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "no number")
        return float(value)

    def json(self, key: str) -> Any:
        """Return the value of an attribute that holds JSON text.

        Raises:
            LpclipError: it is missing or not JSON text.
        """
        text = self[key]
        if not isinstance(text, str):
            raise self._wrong(key, "no text")
        try:
            return parse_json(text)
        except ValueError as error:
            raise self._wrong(key, f"no JSON text ({error})") from error

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the value of an attribute that holds a JSON list of strings.

        Raises:
            LpclipError: it is missing or of another type.
        """
        found = self.json(key)
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self._wrong(key, "no list of texts")
        return tuple(found)

    def _wrong(self, key: str, what: str) -> LpclipError:
        return damaged(self.path, f"its attribute '{key}' holds {what}")


def plain(value: Any) -> Any:
    """Convert a NumPy scalar to a Python value."""
    return value.item() if isinstance(value, np.generic) else value
