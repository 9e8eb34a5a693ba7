"""A few labels to check a head by: which images to label first, and what the labels show.

Only images on which the head and zero-shot disagree matter, and of these any first part of the list
is a simple random sample. Nothing here is read by training: labels of an audit are for the audit.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpclip.cli.predict import clean_features
from lpclip.errors import LpclipError, did_you_mean, listed
from lpclip.metrics.audit import Labelled
from lpclip.storage.features import read_rows
from lpclip.storage.file_kinds import type_of
from lpclip.storage.made_from import hash_in
from lpclip.storage.probes import place, read_probes
from lpclip.storage.text_tables import read_columns, read_header
from lpclip.storage.untrusted import check_untrusted
from lpclip.utils.atomic import atomic_path
from lpclip.utils.rng import sample_key
from lpclip.utils.writable import check_output_file

COLUMNS = ("order", "id", "path", "zero_shot", "head", "label", "audit")
# What to write for an image of neither class; the first that is not the name of a class.
_NEITHER = ("other", "neither", "(neither of the two)")
_AUDIT = re.compile(
    r"probes (?P<probes>\w+), round (?P<round>\d{1,20}), seed (?P<seed>\d{1,20}), "
    r"order (?P<order>\d{1,20}): (?P<n>\d{1,20}) of (?P<images>\d{1,20}) images"
)


@dataclass(frozen=True)
class Audit:
    """Images on which a head and zero-shot disagree, in the order in which they are to be labelled.

    Attributes:
        method: of the head.
        class_names: C names.
        images: N, all images of the pool.
        rows: one per disagreement: order, id, path, zero_shot, head (classes), as text.
        made_from: what the order and the classes depend on, as one line.
    """

    method: str
    class_names: tuple[str, ...]
    images: int
    rows: Sequence[Mapping[str, str]]
    made_from: str

    @property
    def neither(self) -> str:
        """The word for an image of neither of the two classes."""
        return next(word for word in _NEITHER if word not in self.class_names)


def disagreements(
    *, probes: Path, features: Path, round: int = -1, seed: int | None = None, order: int = 0
) -> Audit:
    """Find the images on which a head and zero-shot predict different classes.

    Their order depends on ``order`` and their ids alone, so that it is unrelated to how sure the
    heads are, and the first n are a simple random sample for every n.

    Args:
        probes: a ``probes.h5``.
        features: feature cache of the pool, its clean view.
        round: of the head, counted from 0; -1 is the last, the one that is shipped.
        seed: of the head; None for the first seed of the method.
        order: seed of the order.

    Raises:
        LpclipError: no such round or seed; features of another model; damaged files.
    """
    for path in (probes, features):
        check_untrusted(path)
    heads, provenance = read_probes(probes)
    round, seed_index = place(probes, heads, round=round, seed=seed)
    unit, rows = clean_features(features, provenance), read_rows(features)
    before, after = (heads.logits(unit, number, seed_index).argmax(axis=1) for number in (0, round))
    found = [
        (sample_key(order, str(rows["id"][row]), "audit"), row)
        for row in (before != after).nonzero()[0]
    ]
    names = heads.class_names
    table = [
        {
            "order": str(number),
            "id": str(rows["id"][row]),
            "path": str(rows["path"][row]),
            "zero_shot": names[before[row]],
            "head": names[after[row]],
        }
        for number, (_, row) in enumerate(sorted(found), start=1)
    ]
    made_from = (
        f"probes {_record(probes)}, round {round}, seed {heads.seeds[seed_index]}, "
        f"order {order}: {len(table)} of {len(rows)} images"
    )
    return Audit(str(provenance["method"]), names, len(rows), table, made_from)


def write_list(audit: Audit, output: Path, *, n: int) -> int:
    """Write the first n images as CSV with an empty column ``label``; return their number.

    Raises:
        LpclipError: an output that cannot be written or is not called .csv; n below 1.
    """
    rows = first_rows(audit, n)
    if output.suffix.lower() != ".csv":
        raise LpclipError(f"{output} does not end in .csv.")
    check_output_file(output)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "label": "", "audit": audit.made_from} for row in rows)
    with atomic_path(output) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return len(rows)


def first_rows(audit: Audit, n: int) -> Sequence[Mapping[str, str]]:
    """Return the first n images of the list.

    Raises:
        LpclipError: n below 1.
    """
    if n < 1:
        raise LpclipError(f"--n takes a positive whole number, not {n}.")
    return audit.rows[:n]


def audit_of(labels: Path, *, probes: Path, features: Path) -> Audit:
    """Find the disagreements again that a list was made from, with its round, seed and order.

    Raises:
        LpclipError: not such a list, or one of other probes; otherwise as ``disagreements``.
    """
    notes = set(_columns(labels)["audit"])
    found = _AUDIT.fullmatch(next(iter(notes))) if len(notes) == 1 else None
    if found is None:
        raise LpclipError(
            f"{labels}: the column 'audit' does not hold one text of lpclip in all of its rows. "
            "Copy it from the list that lpclip audit wrote, or write a new list with --output."
        )
    if found["probes"] != (record := _record(probes)):
        raise LpclipError(
            f"{labels} is a list for the probes {found['probes']}, but {probes} has the record "
            f"{record}. {_WAY_OUT}"
        )
    numbers = {name: int(found[name]) for name in ("round", "seed", "order")}
    return disagreements(probes=probes, features=features, **numbers)


_WAY_OUT = (
    "Name the files that it was written with, or write a new list with --output: labels of images "
    "that are in both can be copied."
)


def read_labels(audit: Audit, labels: Path) -> Labelled:
    """Count wins, losses and neither in a list that has been filled in.

    The labelled images must be the first of the list: those that are easy to label are no random
    sample of all.

    Raises:
        LpclipError: a list of other images or classes; a label that is no class; labels that are
            not those of the first images.
    """
    cells = _columns(labels)
    counts = {"wins": 0, "losses": 0, "neither": 0}
    labelled = dict[int, str]()
    for line, row in enumerate(zip(*(cells[name] for name in COLUMNS), strict=True), start=2):
        given = dict(zip(COLUMNS, row, strict=True))
        number = _number(given["order"], labels, line)
        _check_same(audit, given, number, labels, line)
        if not (label := given["label"].strip()):
            continue
        if number in labelled:
            raise LpclipError(f"{labels}, line {line}: image {number} of the list is there twice.")
        labelled[number] = label
        if label not in (audit.neither, *audit.class_names):
            raise LpclipError(
                f"{labels}, line {line}: the label '{label}' is no class. "
                f"{did_you_mean(label, audit.class_names)} For an image of none of them write "
                f"{audit.neither}."
            )
        kinds = {given["head"]: "wins", given["zero_shot"]: "losses"}
        counts[kinds.get(label, "neither")] += 1
    missing = sorted(set(range(1, max(labelled, default=0) + 1)) - set(labelled))
    if missing:
        later = sum(number > missing[0] for number in labelled)
        raise LpclipError(
            f"{labels}: no label for image {listed(list(map(str, missing)))} of the list, but for "
            f"{later} after it. Images that were easy to label would not speak for the others. "
            f"Label what is missing ({audit.neither} where none of the classes fits or you cannot "
            "tell), or remove the labels after it."
        )
    return Labelled(**counts, disagreements=len(audit.rows), images=audit.images)


def _record(probes: Path) -> str:
    """Return the hash of what the probes were made from."""
    return hash_in(probes) or "unrecorded"


def _columns(labels: Path) -> dict[str, list[str]]:
    if not labels.exists():
        raise LpclipError(f"{labels} does not exist.")
    if not labels.is_file():
        raise LpclipError(f"{labels} is {type_of(labels)}, not a text file.")
    header = read_header(labels, COLUMNS)
    if missing := [name for name in COLUMNS if name not in header.names]:
        raise LpclipError(
            f"{labels} is {type_of(labels)}, but no list of lpclip audit: it lacks the columns "
            f"{', '.join(missing)}. Name the file that --output wrote, with your labels in it."
        )
    return read_columns(labels, header, COLUMNS)


def _number(text: str, labels: Path, line: int) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", text.strip()):
        raise LpclipError(f"{labels}, line {line}: the order is '{text}', not a whole number.")
    return int(text)


def _check_same(
    audit: Audit, given: Mapping[str, str], number: int, labels: Path, line: int
) -> None:
    """Refuse a row that is not what the probes and features give for its place in the list."""
    expected = audit.rows[number - 1] if 0 < number <= len(audit.rows) else {}
    for name in ("id", "zero_shot", "head"):
        if given[name] != expected.get(name):
            raise LpclipError(
                f"{labels}, line {line}: {name} is '{given[name]}', but for image {number} of the "
                f"list it is '{expected.get(name, 'nothing')}' with these probes and features. "
                f"{_WAY_OUT}"
            )
