"""Class names for datasets whose folders have other names: WordNet ids, numbers, synonyms."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeAlias

from annotated_types import MinLen
from PIL.Image import Image

from lpclip.data import imagenet
from lpclip.data.base import UNLABELLED, Sample, Source, problems_of, size_of
from lpclip.data.listing import Listing
from lpclip.data.official import official_corruptions
from lpclip.errors import LpclipError, check_known, did_you_mean
from lpclip.storage.json_text import parse_json
from lpclip.storage.text_tables import position, read_columns, read_header, read_text

# YAML reads the names of some folders as numbers.
ClassMap: TypeAlias = str | Mapping[str | int, Annotated[str, MinLen(1)]]
IMAGENET = "imagenet"
_COLUMNS = ("folder", "name")


class MappedSource:
    """A source with renamed classes; classes with the same new name are merged.

    Classes keep their order; a merged class takes the position of its first one. Those of
    ``imagenet`` are never merged, since two pairs of its classes share a name. The map, and its
    errors, are those of ``read_class_map``.
    """

    def __init__(self, source: Source, class_map: ClassMap) -> None:
        self._source, self._apart = source, class_map == IMAGENET
        self._map, self._place = read_class_map(class_map), _place(class_map)

    @cached_property
    def class_names(self) -> Sequence[str] | None:
        """The new names; LpclipError without classes, or for one that the map lacks."""
        return self._new_names if self._apart else list(dict.fromkeys(self._new_names))

    def samples(self) -> Sequence[Sample]:
        """Return every image with the label of its renamed class."""
        names = self.class_names or ()
        first = {name: label for label, name in reversed(list(enumerate(names)))}
        table = [old if self._apart else first[name] for old, name in enumerate(self._new_names)]
        return Listing(
            sample if sample.label == UNLABELLED else sample._replace(label=table[sample.label])
            for sample in self._source.samples()
        )

    @property
    def corruptions(self) -> Sequence[str]:
        """See ``lpclip.data.official``."""
        return official_corruptions(self._source)

    def problems(self) -> Mapping[str, str]:
        """See ``lpclip.data.base.problems_of``."""
        return problems_of(self._source)

    def read(self, path: str) -> Image:
        """Read the image from the source."""
        return self._source.read(path)

    def size(self, path: str) -> int:
        """See ``lpclip.data.base.size_of``."""
        return size_of(self._source, path)

    @cached_property
    def _new_names(self) -> list[str]:
        """Return the new name of every class of the source."""
        names = self._source.class_names
        if names is None:
            raise LpclipError("class_map renames classes, but there are none. Remove it.")
        for name in names:
            check_known(name, self._map, f"the class '{name}' is not in {self._place}.")
        return [self._map[name] for name in names]


def read_class_map(class_map: ClassMap) -> dict[str, str]:
    """Read a map from folder names to class names.

    Args:
        class_map: a mapping; ``imagenet`` (timm's WordNet ids to open_clip's names); or the path of
            a file: a JSON object, a CSV file with the columns ``folder`` and ``name``, or text with
            lines ``folder name``.

    Raises:
        LpclipError: no such file, or not a map.
    """
    if not isinstance(class_map, str):
        return {str(folder): _name(name, "class_map") for folder, name in class_map.items()}
    if class_map == IMAGENET:
        return dict(zip(imagenet.synsets(), imagenet.names(), strict=True))
    path, place = Path(class_map), _place(class_map)
    if not path.is_file():
        raise LpclipError(
            f"class_map is '{class_map}', which is no file. {did_you_mean(class_map, [IMAGENET])}"
        )
    try:
        if path.suffix == ".csv":
            rows = _csv_rows(path)
        elif path.suffix == ".json":
            rows = _json_rows(read_text(path), place)
        else:
            lines = read_text(path).splitlines()
            rows = [line.split(maxsplit=1) for line in lines if line.strip()]
    except (ValueError, RecursionError) as error:
        raise LpclipError(f"{place} cannot be read ({error}).") from error
    found: dict[str, str] = {}
    for row in rows:
        if len(row) != 2:
            raise LpclipError(f"{place}: the line '{row[0]}' has no name next to the folder.")
        if found.setdefault(row[0], _name(row[1], place)) != row[1].strip():
            raise LpclipError(f"{place} has the folder '{row[0]}' twice, with different names.")
    return found


def _json_rows(text: str, place: str) -> list[list[str]]:
    # As pairs, to find repeated folders: a dictionary keeps only the last.
    found: list[list[str]] = parse_json(text, pairs=lambda pairs: [list(pair) for pair in pairs])
    if not text.lstrip().startswith("{"):
        raise LpclipError(f"{place} must be an object of folders and names.")
    return found


def _csv_rows(path: Path) -> list[list[str]]:
    # As text: a folder "007" is not a number, and "null" is not a missing value.
    header = read_header(path, _COLUMNS)
    for column in _COLUMNS:
        position(path, header.names, column)
    columns = read_columns(path, header, _COLUMNS)
    return [list(row) for row in zip(*(columns[name] for name in _COLUMNS), strict=True)]


def _name(name: object, place: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise LpclipError(f"{place}: a class name must be text, not {name!r}.")
    return name.strip()


def _place(class_map: ClassMap) -> str:
    return f"class_map {class_map}" if isinstance(class_map, str) else "class_map"
