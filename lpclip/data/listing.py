"""Lists of millions of samples in little memory: their texts as UTF-8, end to end."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from lpclip.data.base import Sample

# Names of old files may hold what is not valid UTF-8.
_ERRORS = "surrogatepass"


class Listing(Sequence[Sample]):
    """Samples that take the bytes of their texts and 20 each, instead of some 300 in a list."""

    def __init__(self, samples: Iterable[Sample], *, prefix: str | None = None) -> None:
        """List samples; with a prefix, every path is the prefix and the id."""
        self._prefix, self._labels = prefix, array("q")
        self._ids, self._paths = _Texts(), _Texts()
        for sample in samples:
            self._labels.append(sample.label)
            self._ids.append(sample.id)
            if prefix is None:
                self._paths.append(sample.path)

    @overload
    def __getitem__(self, row: int) -> Sample: ...
    @overload
    def __getitem__(self, row: slice) -> list[Sample]: ...
    def __getitem__(self, row: int | slice) -> Sample | list[Sample]:
        """Return a sample, or a list of some."""
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        place = range(len(self))[row]
        identifier = self._ids[place]
        path = self._paths[place] if self._prefix is None else self._prefix + identifier
        return Sample(identifier, path, self._labels[place])

    def __iter__(self) -> Iterator[Sample]:
        return map(self.__getitem__, range(len(self)))

    def __len__(self) -> int:
        return len(self._labels)

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence holds the same samples."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Listing({list(self)})"


class _Texts:
    def __init__(self) -> None:
        self._bytes, self._ends = bytearray(), array("q", [0])

    def append(self, text: str) -> None:
        self._bytes += text.encode("utf-8", _ERRORS)
        self._ends.append(len(self._bytes))

    def __getitem__(self, row: int) -> str:
        return self._bytes[self._ends[row] : self._ends[row + 1]].decode("utf-8", _ERRORS)
