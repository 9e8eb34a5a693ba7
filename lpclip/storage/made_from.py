"""What a file was made from, recorded in it, so that no file is believed by its name.

A record holds the stage, its settings and, for every file that the stage read, the hash of that
file's own record. So the hash of a record covers everything upstream: other class names at the
beginning of a run are another hash at its end. HDF5 files hold their record as attributes; CSV,
JSON and HTML files have one file next to them, ``{name}.made_from.json``.
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

Record: TypeAlias = dict[str, Any]

ENDING = ".made_from.json"
# Of HDF5 files: the record, and its hash.
ATTRIBUTES = ("made_from", "made_from_hash")
# Settings of a rule that are no part of what a file was made from: code and versions change
# without changing what was asked for; Snakemake compares them by itself.
NOT_RECORDED = ("code", "versions")
# A longer value is recorded as its first entries and its hash: nobody reads a thousand prompts.
_LONGEST_VALUE = 8_000
_SHOWN = 3
# Parts of a record that all files of a job share.
_OF_JOB = ("stage", "settings", "inputs")

_current: ContextVar[Record | None] = ContextVar("made_from", default=None)


def record_of(
    stage: str, settings: Mapping[str, Any], inputs: Iterable[Path], *, output: Path
) -> Record:
    """Record of a file that is about to be made.

    Args:
        stage: name of the stage.
        settings: of the stage, as JSON values; those of ``NOT_RECORDED`` are left out.
        inputs: files that the stage reads; they are noted by their paths relative to the output,
            so that a moved project is the same project.
        output: the stage's main output.

    Raises:
        LpclipError: one of the inputs was made from another version of another one.
    """
    paths = sorted(set(inputs))
    _check_together(paths)
    return {
        "stage": stage,
        "settings": recorded_settings(settings),
        "inputs": {os.path.relpath(path, output.parent): hash_in(path) for path in paths},
    }


def recorded_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a record holds them: without code and versions, long values shortened."""
    return {key: _shortened(value) for key, value in settings.items() if key not in NOT_RECORDED}


def hash_of(record: Mapping[str, Any]) -> str:
    """Hash of a record, 16 hexadecimal digits."""
    return sha256(_text(record).encode()).hexdigest()[:16]


@contextlib.contextmanager
def recording(record: Record) -> Iterator[None]:
    """HDF5 files that are created inside the block get this record."""
    token = _current.set(record)
    try:
        yield
    finally:
        _current.reset(token)


def stamp(file: h5py.File, *, content: str | float | None = None) -> None:
    """Give a file that is being created the record of the block it is created in, if any.

    Outside ``recording`` there is none: a function that is called by hand has no settings to
    record.

    Args:
        file: open for writing.
        content: what tells apart files with the same settings and inputs, such as the fingerprint
            of images that lie outside the workflow.
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
    """Where the record of a file that is not HDF5 lies."""
    return output.with_name(output.name + ENDING)


def write_record(output: Path, record: Record, files: Iterable[Path] = ()) -> None:
    """Write the record of files that are not HDF5 next to the main one.

    Args:
        output: the main file; it need not be one of the files.
        record: of the stage.
        files: tables and JSON files that it wrote; the hashes of what is in them are noted, so that
            one that was exchanged or edited is found.
    """
    contents = {os.path.relpath(path, output.parent): _hash_of_file(path) for path in files}
    with atomic_path(record_path(output)) as temporary:
        whole = {**record, "files": contents} if contents else record
        temporary.write_text(json.dumps(whole, sort_keys=True, indent=1) + "\n")


def read_record(path: Path) -> Record | None:
    """Record of a file, from its attributes or from the file next to it; None where it has none.

    A file that cannot be read has none either: whoever reads it for its contents says why.
    """
    place = path if path.suffix == ".h5" else record_path(path)
    try:
        status = place.stat()
    except OSError:
        return None
    return _read(place, status.st_mtime_ns, status.st_size, status.st_ino)


def hash_in(path: Path) -> str:
    """Hash of a file's record; "" for a file without one."""
    record = read_record(path)
    return "" if record is None else hash_of(record)


def made_from_something_else(
    path: Path,
    settings: Mapping[str, Any],
    *,
    siblings: Iterable[Path] = (),
    known: dict[Path, Path | None] | None = None,
) -> str | None:
    """What a file was made from that is no longer so, in words; None where all is the same.

    Args:
        path: a file that is there; one that cannot be read is left to whoever reads it.
        settings: what its stage would be given now.
        siblings: HDF5 files that the same job wrote.
        known: what ``changed_input`` found for other files; it is added to.
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


def changed_input(path: Path, known: dict[Path, Path | None] | None = None) -> Path | None:
    """The first input of a file, or of its inputs, that is not what the file was made from.

    Inputs that are not there are passed over: they were removed to save space, or the file was
    copied to another place.

    Args:
        path: the file.
        known: what was found for other files; it is added to.
    """
    known = {} if known is None else known
    if path not in known:
        known[path] = None
        for place, expected in _inputs(path).items():
            if not place.is_file():
                continue
            if hash_in(place) != expected:
                known[path] = place
            else:
                known[path] = changed_input(place, known)
            if known[path] is not None:
                break
    return known[path]


def changed_settings(found: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What differs between a record's settings and others, as ``key: 0.5, not 0.7``."""
    before, now = found.get("settings", {}), json.loads(_text(recorded_settings(settings)))
    return list(_differences(before, now, ""))


def _inputs(path: Path) -> dict[Path, str]:
    """Hashes of what a file was made from, by the places where that was then."""
    inputs = (read_record(path) or {}).get("inputs", {})
    return {Path(os.path.normpath(path.parent / name)): inputs[name] for name in inputs}


def _check_together(paths: Sequence[Path]) -> None:
    """Refuse files of which one was made from another version of another one.

    Only the files that a stage is given are opened: their records name others, such as an index
    with its labels, that the stage has no right to read.
    """
    given = {path.resolve(): path for path in paths}
    for path in paths:
        for place, expected in _inputs(path).items():
            other = given.get(place.resolve())
            if other is not None and hash_in(other) != expected:
                raise LpclipError(
                    f"{path} was made from another version of {other}. "
                    "Run Snakemake, which makes it again."
                )


def _differences(before: Any, now: Any, where: str) -> Iterator[str]:
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            place = f"{where}.{key}" if where else key
            yield from _differences(before.get(key), now.get(key), place)
    else:
        yield f"{where}: {_brief(before)}, not {_brief(now)}"


def _brief(value: Any) -> str:
    text = "unset" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _shortened(value: Any) -> Any:
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
def _read(place: Path, *_state: int) -> Record | None:
    """``_state``: of the file, so that one that is made again is read again."""
    try:
        if place.suffix == ".h5":
            with h5py.File(place, "r", locking=False) as file:
                text = file.attrs.get("made_from")
                if text is None and "made_from" in file:
                    text = file["made_from"].asstr()[()]
        else:
            text = place.read_text()
        record = None if text is None else parse_json(text)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
