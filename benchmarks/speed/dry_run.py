"""Processor time of ``snakemake -n`` by the number of jobs, before a run and after it.

    python benchmarks/speed/dry_run.py --before OTHER_CHECKOUT --methods 1 911

Runs the default with one method more, in a folder of its own, and copies what that method made,
with all records of what it was made from, under the names of others: nothing but the reports, which
read the files of all methods, is left to do. Checkouts take turns. Writes ``dry_run.csv`` to
``results/``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any

import h5py
import yaml
from default_run import REPOSITORY, TARGETS, copy_workflow
from measure import machine, write

from lpclip.storage.made_from import ENDING, hash_of, read_record

PREFIX = "copy_"
FIRST = f"{PREFIX}0000"
METADATA = Path(".snakemake/metadata")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--before", type=Path, help="checkout to compare with")
    parser.add_argument("--methods", type=int, nargs="+", default=[1, 911], help="more methods")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    checkouts = {"after": REPOSITORY}
    if options.before is not None:
        checkouts = {"before": options.before.resolve(), **checkouts}
    rows = []
    for count in options.methods:
        with tempfile.TemporaryDirectory() as work:
            folders = {name: Path(work, name) for name in checkouts}
            for name, checkout in checkouts.items():
                prepare(folders[name], checkout, count)
            rows += measured("nothing is made", folders, checkouts, options.repeats)
            for name, checkout in checkouts.items():
                finish(folders[name], checkout, count)
            rows += measured("all is made", folders, checkouts, options.repeats)
    write(rows, "dry_run", key=["version", "state", "to_do", "machine"])


def prepare(folder: Path, checkout: Path, count: int) -> None:
    """Copy the workflow of a checkout with so many methods more."""
    copy_workflow(folder, checkout)
    configure(folder, count)


def configure(folder: Path, count: int) -> None:
    """Set the number of methods that the default has not."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    methods = config["methods"]
    methods = {name: one for name, one in methods.items() if not name.startswith(PREFIX)}
    more = {name_of(number): {"kind": "supervised"} for number in range(count)}
    config["methods"] = {**methods, **more}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def name_of(number: int) -> str:
    """Return the name of an additional method; all are of one length."""
    return f"{PREFIX}{number:04d}"


def finish(folder: Path, checkout: Path, count: int) -> None:
    """Run with one method more, and copy what it made for the others."""
    configure(folder, 1)
    snakemake(folder, checkout, "--cores", "all")
    configure(folder, count)
    made = [path for path in files_of(folder) if FIRST in str(path)]
    notes = {
        note: about
        for note in (folder / METADATA).rglob("*")
        if note.is_file() and FIRST in (about := path_of(note, folder))
    }
    for number in range(1, count):
        name = name_of(number)
        for path in made:
            place = folder / str(path.relative_to(folder)).replace(FIRST, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        for path in made:
            rename(folder / str(path.relative_to(folder)).replace(FIRST, name), name)
        for note, about in notes.items():
            place = note_of(about.replace(FIRST, name), folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(note.read_text().replace(FIRST, name))


def files_of(folder: Path) -> list[Path]:
    """Return results and logs, each after what it was made from."""
    found = [path for one in ("results", "logs") for path in (folder / one).rglob("*")]
    return sorted(filter(Path.is_file, found), key=lambda path: path.stat().st_mtime_ns)


def path_of(note: Path, folder: Path) -> str:
    """Return the output that a note of Snakemake is about."""
    parts = note.relative_to(folder / METADATA).parts
    return urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()


def note_of(output: str, folder: Path) -> Path:
    """Return the path of Snakemake's note about an output."""
    return folder / METADATA / urlsafe_b64encode(output.encode()).decode()


def rename(path: Path, name: str) -> None:
    """Give a copied file the record that it would have under another name, and its time."""
    output = Path(str(path).removesuffix(ENDING))
    times = path.stat()
    if path.name.endswith(ENDING):
        path.write_text(json.dumps(renamed(json.loads(path.read_text()), output, name)))
    elif path.suffix == ".h5":
        record = read_record(path)
        assert record is not None
        with h5py.File(path, "r+") as file:
            file.attrs["made_from"] = json.dumps(renamed(record, output, name), sort_keys=True)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def renamed(record: dict[str, Any], output: Path, name: str) -> dict[str, Any]:
    """Return a record with another method's name and the hashes of that method's files."""
    record = json.loads(json.dumps(record).replace(FIRST, name))
    for place in record["inputs"]:
        found = read_record(output.parent / place)
        record["inputs"][place] = "" if found is None else hash_of(found)
    return record


def measured(
    state: str, folders: dict[str, Path], checkouts: dict[str, Path], repeats: int
) -> list[dict[str, Any]]:
    """Time dry runs of all checkouts in turn."""
    taken: dict[str, list[float]] = {name: [] for name in folders}
    jobs: dict[str, int] = {}
    for _ in range(repeats):
        for name, folder in folders.items():
            seconds, text = snakemake(folder, checkouts[name], "--dry-run", "--quiet", "rules")
            taken[name].append(seconds)
            total = [line for line in text.splitlines() if line.startswith("total ")]
            jobs[name] = int(total[0].split()[1]) if total else 0
    return [
        {
            "version": name,
            "state": state,
            "to_do": jobs[name],
            "processor_s": median(taken[name]),
            "machine": machine(),
        }
        for name in folders
    ]


def snakemake(folder: Path, checkout: Path, *arguments: str) -> tuple[float, str]:
    """Run Snakemake; return processor seconds and what it printed."""
    before = getrusage(RUSAGE_CHILDREN)
    command: Sequence[str] = [sys.executable, "-m", "snakemake", *arguments, "--", *TARGETS]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout[-5000:])
    after = getrusage(RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return busy, done.stdout


if __name__ == "__main__":
    main()
