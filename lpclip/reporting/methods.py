"""The methods of a report, in the order in which it lists them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lpclip.columns.table import METHOD_NAMES
from lpclip.data.imagenet import is_imagenet
from lpclip.errors import LpclipError
from lpclip.storage.hdf5 import read_provenance


class Method(NamedTuple):
    """One method of one benchmark with one model, as configured."""

    model: str
    benchmark: str
    method: str
    kind: str
    n_labels: int
    student_view: str
    strong_policy: str
    imagenet: bool
    predicts: str  # "images", or "pool": only the unlabelled images that it was given


class Methods:
    """All methods in the order of the configuration, which every report follows."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep the rows' fields that `Method` names.

        Raises:
            LpclipError: there is no row, or two rows for one method.
        """
        complete = ({"predicts": "images", **row} for row in rows)
        self.all = [Method(**{name: row[name] for name in Method._fields}) for row in complete]
        if not self.all:
            raise LpclipError("There is no method to report on.")
        self._ranks = {
            field: {name: rank for rank, name in enumerate(self._names(field))}
            for field in METHOD_NAMES[:2]
        }
        in_order = _merged([row.method for row in self.of(*pair)] for pair in self.pairs())
        self._ranks["method"] = {name: rank for rank, name in enumerate(in_order)}
        keys = [method[:3] for method in self.all]
        if len(set(keys)) < len(keys):
            raise LpclipError("Two methods of one benchmark and model have the same name.")
        self.all.sort(
            key=lambda row: [self.rank(field, getattr(row, field)) for field in METHOD_NAMES]
        )

    def rank(self, field: str, name: str) -> int:
        """Return the position of a model, benchmark or method among the names of its kind."""
        return self._ranks[field][name]

    def pairs(self) -> list[tuple[str, str]]:
        """Return every (model, benchmark), once."""
        return list(dict.fromkeys((row.model, row.benchmark) for row in self.all))

    def of(self, model: str, benchmark: str) -> list[Method]:
        """Return the methods of one benchmark with one model."""
        return [row for row in self.all if (row.model, row.benchmark) == (model, benchmark)]

    def _names(self, field: str) -> list[str]:
        return list(dict.fromkeys(getattr(row, field) for row in self.all))


def _merged(lists: Iterable[Sequence[str]]) -> list[str]:
    """Return all names in one order that every list keeps: some benchmarks have fewer methods.

    >>> _merged([["a", "b", "d"], ["a", "b", "c", "d"]])
    ['a', 'b', 'c', 'd']
    """
    order: list[str] = []
    for names in lists:
        place = 0
        for name in names:
            if name not in order:
                order.insert(place, name)
            place = order.index(name) + 1
    return order


def methods_of(probes: Iterable[Path]) -> Methods:
    """Return the methods whose probes these are, in the order of the files."""
    same = (*METHOD_NAMES, "n_labels", "student_view", "strong_policy")
    rows = []
    for path in probes:
        found = read_provenance(path, kind="probes")
        rows.append(
            {
                **{key: found[key] for key in same},
                "kind": found["method_kind"],
                "imagenet": is_imagenet(found.texts("class_names")),
                "predicts": found.get("predicts", "images"),
            }
        )
    return Methods(rows)
