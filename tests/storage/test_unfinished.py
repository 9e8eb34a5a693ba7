"""Joining the parts of a cache: a crash changes no byte, and the disk holds the cache once."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lpclip.storage import chunks, unfinished
from lpclip.storage.chunks import Parts
from lpclip.storage.features import write_features
from lpclip.storage.made_from import recording
from lpclip.storage.unfinished import Piece, Unfinished
from lpclip.utils import atomic
from lpclip.utils.atomic import resumable_folder
from tests.helpers.kills import before_changes, bytes_on_disk, killed_at, killed_when

ROWS, N, DIM = 8, 61, 16
LENGTHS = [8] * 7 + [5]
VERSIONS = {"clean": 0, "contrast": 2}
PROVENANCE = {
    "weights": "aaaa",
    "model": "tiny",
    "views": json.dumps({"contrast": {"severities": [1, 5]}}),
}
SAMPLES = pd.DataFrame({"id": [f"s{row}" for row in range(N)], "path": "somewhere"})
VALUES = np.random.default_rng(0).normal(size=(3, N, DIM)).astype(np.float16)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """A piece is two parts. What is only slow is left out: waiting for the disk, the heartbeat."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(atomic, "heartbeat", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(chunks, "PIECE_BYTES", 2 * ROWS * 3 * DIM * 2)


def begin(folder):
    """Resume, or start to write parts."""
    return Parts(folder, rows=LENGTHS, identity=PROVENANCE, batch_size=8)


def extract(output, *, record=None, made=None):
    """Write the parts that are missing, and join them; ``made`` collects their numbers."""
    with recording(record), resumable_folder(output) as folder, begin(folder) as parts:
        for number in list(parts.missing):
            part = VALUES[:, number * ROWS : (number + 1) * ROWS]
            parts.add(part, batch_size=8)
            if made is not None:
                made.append(number)
        parts.join(output, samples=SAMPLES, versions=VERSIONS, provenance=PROVENANCE)


def written_at_once(path, *, record=None):
    with recording(record):
        write_features(
            path, samples=SAMPLES, versions=VERSIONS, parts=[VALUES], provenance=PROVENANCE
        )
    return path.read_bytes()


def test_a_cache_joined_from_parts_is_the_cache_written_at_once(tmp_path):
    extract(tmp_path / "f.h5")
    assert (tmp_path / "f.h5").read_bytes() == written_at_once(tmp_path / "other.h5")


def test_an_extraction_killed_at_any_step_ends_with_the_same_bytes(tmp_path, monkeypatch):
    expected, step = written_at_once(tmp_path / "whole.h5"), 0
    output = tmp_path / "run/f.h5"
    while killed_at(step, lambda: extract(output), monkeypatch):
        extract(output)
        assert output.read_bytes() == expected, step
        assert [path.name for path in output.parent.iterdir()] == ["f.h5"], step
        output.unlink()
        step += 1
    assert output.read_bytes() == expected
    assert step > 60


def test_two_kills_one_after_the_other_end_with_the_same_bytes(tmp_path, monkeypatch):
    expected, output = written_at_once(tmp_path / "whole.h5"), tmp_path / "run/f.h5"
    for first in range(20, 80, 7):
        assert killed_at(first, lambda: extract(output), monkeypatch)
        for second in range(0, 30, 4):
            killed_at(second, lambda: extract(output), monkeypatch)
        extract(output)
        assert output.read_bytes() == expected, first
        output.unlink()


def killed_in_the_join(output, monkeypatch):
    """Kill an extraction when half of its parts are joined and gone."""

    def is_half():
        notes = list(output.parent.glob(".*.parts/rows.json"))
        return notes and json.loads(notes[0].read_text())["rows"] >= N // 2

    assert killed_when(is_half, lambda: extract(output), monkeypatch)
    (folder,) = output.parent.glob(".*.parts")
    return folder


def test_parts_that_were_joined_are_not_made_again(tmp_path, monkeypatch):
    folder = killed_in_the_join(tmp_path / "run/f.h5", monkeypatch)
    assert 0 < len(list(folder.glob("*.npy"))) < len(LENGTHS)
    made = []
    extract(tmp_path / "run/f.h5", made=made)
    assert made == []
    assert (tmp_path / "run/f.h5").read_bytes() == written_at_once(tmp_path / "whole.h5")


def flip(path):
    data = bytearray(path.read_bytes())
    with_values = data.find(VALUES[0, 0].tobytes())
    data[with_values] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_a_damaged_unfinished_file_means_that_its_rows_are_made_again(
    tmp_path, monkeypatch, caplog, damage
):
    folder = killed_in_the_join(tmp_path / "run/f.h5", monkeypatch)
    left = {int(path.stem) for path in folder.glob("*.npy")}
    damage(folder / "features.h5")
    made = []
    extract(tmp_path / "run/f.h5", made=made)
    assert made == [number for number in range(len(LENGTHS)) if number not in left]
    assert "does not hold the rows that" in caplog.text
    assert (tmp_path / "run/f.h5").read_bytes() == written_at_once(tmp_path / "whole.h5")


def test_a_resumed_run_stores_its_own_record(tmp_path, monkeypatch):
    """A source that moved has other settings, and the same images."""
    killed_in_the_join(tmp_path / "run/f.h5", monkeypatch)
    extract(tmp_path / "run/f.h5", record={"settings": {"source": "here"}})
    expected = written_at_once(tmp_path / "w.h5", record={"settings": {"source": "here"}})
    assert (tmp_path / "run/f.h5").read_bytes() == expected


def test_the_disk_holds_the_cache_once_and_a_few_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(__name__ + ".VALUES", np.repeat(VALUES, 512, axis=2))
    piece = 2 * VALUES[:, :ROWS].nbytes
    monkeypatch.setattr(chunks, "PIECE_BYTES", piece)
    output, held = tmp_path / "run/f.h5", []
    with monkeypatch.context() as patch:
        before_changes(patch, lambda *_: held.append(bytes_on_disk(tmp_path)))
        extract(output)
    size = output.stat().st_size
    assert size > 8 * piece / 2.5
    assert max(held) < size + 2.1 * piece
    assert max(held) < 1.6 * size


def test_rows_that_do_not_fit_the_samples_are_refused(tmp_path):
    with resumable_folder(tmp_path / "f.h5") as folder, pytest.raises(RuntimeError, match="8 rows"):
        Unfinished(folder, identity={}).fill(
            [Piece([VALUES[:, :8]], lambda: None)],
            samples=SAMPLES, versions=VERSIONS, provenance=PROVENANCE, freed=0,
        )  # fmt: skip
    assert unfinished.NAMES[0] == "features.h5"
    assert not (tmp_path / "f.h5").exists()
