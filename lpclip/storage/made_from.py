"""Records of what a file was made from, so that no file is trusted by its name.

A record holds the stage, its settings and, for every file that the stage read, the hash of that
file's own record. So the hash of a record covers everything upstream: changing the class names at
the start of a run changes the hash at its end. HDF5 files hold their record as attributes; CSV,
JSON and HTML files have a file next to them, ``{name}.made_from.json``.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import h5py

from lpclip.errors import LpclipError
from lpclip.storage.attributes import LONGEST_ATTRIBUTE
from lpclip.storage.json_text import parse_json
from lpclip.utils.atomic import atomic_path
from lpclip.utils.differences import differences

Record: TypeAlias = dict[str, Any]

ENDING = ".made_from.json"
# Attributes of HDF5 files: the record, and its hash.
ATTRIBUTES = ("made_from", "made_from_hash")
# Settings of a rule that are not recorded: code and versions are compared by Snakemake itself.
NOT_RECORDED = ("code", "versions")
# A longer value, such as a thousand prompts, is recorded as its first entries and its hash.
_LONGEST_VALUE = 8_000
_SHOWN = 3
# Parts of a record that all outputs of a job share.
_OF_JOB = ("stage", "settings", "inputs")

_current: ContextVar[Record | None] = ContextVar("made_from", default=None)


def record_of(
    stage: str, settings: Mapping[str, Any], inputs: Iterable[Path], *, output: Path
) -> Record:
    """Return the record of a file that is about to be made.

    Args:
        stage: name of the stage.
        settings: of the stage, as JSON values; those in ``NOT_RECORDED`` are left out.
        inputs: files that the stage reads; their paths are recorded relative to the output, so that
            a project can be moved.
        output: the stage's main output.

    Raises:
        LpclipError: one input was made from another version of another input.
    """
    paths = sorted(set(inputs))
    _check_together(paths)
    return {
        "stage": stage,
        "settings": recorded_settings(settings),
        "inputs": {os.path.relpath(path, output.parent): hash_in(path) for path in paths},
    }


def recorded_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as recorded: without code and versions, long values shortened."""
    return {key: _shortened(value) for key, value in settings.items() if key not in NOT_RECORDED}


def hash_of(record: Mapping[str, Any]) -> str:
    """Return the hash of a record, 16 hexadecimal digits."""
    return sha256(_text(record).encode()).hexdigest()[:16]


@contextlib.contextmanager
def recording(record: Record) -> Iterator[None]:
    """Give HDF5 files that are created inside the block this record."""
    token = _current.set(record)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Record | None:
    """Return the record of the enclosing ``recording`` block, if any."""
    return _current.get()


def stamp(file: h5py.File, *, content: str | float | None = None) -> None:
    """Store the record of the enclosing ``recording`` block, if any, in a new file.

    ``content``, such as the fingerprint of images outside the workflow, distinguishes files with
    the same settings and inputs.
    """
    record = _current.get()
    if record is None:
        return
    if content is not None:
        record = {**record, "content": content}
    text = _text(record)
    file.attrs["made_from_hash"] = hash_of(record)
    if len(text) <= LONGEST_ATTRIBUTE:
        file.attrs["made_from"] = text
    else:  # such as that of the predictions of hundreds of experiments
        file["made_from"] = text


def record_path(output: Path) -> Path:
    """Return the path of the record of a file that is not HDF5."""
    return output.with_name(output.name + ENDING)


def write_record(output: Path, record: Record, files: Iterable[Path] = ()) -> None:
    """Write the record of files that are not HDF5 next to the main file, which may be none of them.

    The hashes of the files, tables and JSON, are recorded, so that an edited one is noticed.
    """
    contents = {os.path.relpath(path, output.parent): _hash_of_file(path) for path in files}
    with atomic_path(record_path(output)) as temporary:
        whole = {**record, "files": contents} if contents else record
        temporary.write_text(json.dumps(whole, sort_keys=True, indent=1) + "\n")


def read_record(path: Path) -> Record | None:
    """Read the record of a file, from its attributes or from the file next to it; None without one.

    An unreadable file has none either: the error is raised where its contents are read.
    """
    place = str(path) if path.suffix == ".h5" else f"{path}{ENDING}"  # text: hashed sooner
    try:
        status = os.stat(place)  # noqa: PTH116
    except OSError:
        return None
    return _read(place, status.st_mtime_ns, status.st_size, status.st_ino)


def hash_in(path: Path) -> str:
    """Return the hash of a file's record; "" for a file without one."""
    record = read_record(path)
    return "" if record is None else hash_of(record)


class Known:
    """What is known of files, so that each is looked at once in a run: for ``changed_input``."""

    def __init__(self) -> None:
        self.hashes: dict[str, str | None] = {}  # of records; None for a file that is not there
        self.changed: dict[str, str | None] = {}  # by path, see ``changed_input``


def made_from_something_else(
    path: Path,
    settings: Mapping[str, Any],
    *,
    siblings: Iterable[Path] = (),
    known: Known | None = None,
) -> str | None:
    """Describe what a file was made from that has changed since; None if nothing has.

    Args:
        path: an existing file; an unreadable one gives None, since its reader raises the error.
        settings: those that its stage would get now.
        siblings: HDF5 files that the same job wrote.
        known: of the other files of this run, which is extended.
    """
    record = read_record(path)
    if record is None:
        return None if _is_unreadable(path) else "something that it does not name"
    if changes := changed_settings(record, settings):
        more = f" (and {len(changes) - _SHOWN} more)" if len(changes) > _SHOWN else ""
        return f"other settings: {'; '.join(changes[:_SHOWN])}{more}"
    if (changed := changed_input(path, known)) is not None:
        return f"another version of {changed}"
    for name, expected in record.get("files", {}).items():
        place = path.parent / name
        if place.is_file() and _hash_of_file(place) != expected:
            return f"the same settings, but {place} was changed since"
    for sibling in siblings:
        other = read_record(sibling)
        if other is not None and any(other.get(key) != record.get(key) for key in _OF_JOB):
            return f"something else than {sibling}, which is of the same job"
    return None


def changed_input(path: Path, known: Known | None = None) -> Path | None:
    """Return the first input of a file, or of its inputs, that changed since the file was made.

    Missing inputs are ignored: they were removed to save space, or the file was copied elsewhere.
    ``known`` holds results for other files and is extended.
    """
    found = _changed_input(str(path), Known() if known is None else known)
    return None if found is None else Path(found)


def _changed_input(path: str, known: Known) -> str | None:
    if path not in known.changed:
        known.changed[path] = None
        for place, expected in _inputs(path).items():
            if place not in known.hashes:
                known.hashes[place] = hash_in(Path(place)) if os.path.isfile(place) else None  # noqa: PTH113
            if (found := known.hashes[place]) is None:
                continue
            known.changed[path] = place if found != expected else _changed_input(place, known)
            if known.changed[path] is not None:
                break
    return known.changed[path]


def changed_settings(found: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """List the differences between a record's settings and others, as ``key: 0.5, not 0.7``."""
    before, now = found.get("settings", {}), recorded_settings(settings)
    if before == now:  # most often, and found sooner than through JSON
        return []
    return list(differences(before, json.loads(_text(now))))


def _inputs(path: str) -> dict[str, str]:
    """Return the hashes of the inputs of a file, by their paths."""
    inputs = (read_record(Path(path)) or {}).get("inputs", {})
    folder = os.path.dirname(path)  # noqa: PTH120  (thousands of path objects would take longer)
    return {os.path.normpath(os.path.join(folder, one)): inputs[one] for one in inputs}  # noqa: PTH118


def _check_together(paths: Sequence[Path]) -> None:
    """Refuse files of which one was made from another version of another.

    Only the files that a stage is given are opened: their records name others that the stage must
    not read, such as an index with labels.
    """
    given = {path.resolve(): path for path in paths}
    for path in paths:
        for place, expected in _inputs(str(path)).items():
            other = given.get(Path(place).resolve())
            if other is not None and hash_in(other) != expected:
                raise LpclipError(
                    f"{path} was made from another version of {other}. "
                    "Run Snakemake, which makes it again."
                )


def _shortened(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = _text(value)
    if len(text) <= _LONGEST_VALUE:
        return value
    short: dict[str, Any] = {"entries": len(value), "hash": sha256(text.encode()).hexdigest()[:16]}
    if isinstance(value, list):
        first = value[:_SHOWN]
        short["first"] = first if len(_text(first)) <= _LONGEST_VALUE else []
    return short


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _is_unreadable(path: Path) -> bool:
    if path.suffix != ".h5":
        return False
    try:
        h5py.File(path, "r", locking=False).close()
    except OSError:
        return True
    return False


def _hash_of_file(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:16]


@lru_cache(maxsize=100_000)
def _read(place: str, *_state: int) -> Record | None:
    """Read a record; ``_state`` of the file is in the cache's key, so that a new file is read."""
    try:
        if place.endswith(".h5"):
            with h5py.File(place, "r", locking=False) as file:
                text = file.attrs.get("made_from")
                if text is None and "made_from" in file:
                    text = file["made_from"].asstr()[()]
        else:
            text = Path(place).read_text()
        record = None if text is None else parse_json(text)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
