"""Shards are joined into the bytes of one job, whatever happens on the way, and freed."""

import contextlib
import json
import os
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.storage import shards as joining
from lpclip.storage.features import write_features
from lpclip.storage.made_from import recording
from lpclip.storage.shards import is_freed, join_shards, range_of
from lpclip.utils import atomic
from tests.helpers.kills import before_changes, bytes_on_disk, killed_at, killed_when

N, DIM = 61, 16
VERSIONS = {"weak": 2, "clean": 0}
PROVENANCE = {"model": "tiny", "weights": "aaaa", "index": "1234", "seed": 0}
RECORD = {"stage": "embed-images", "settings": {"seed": 0}, "inputs": {}}
SAMPLES = pd.DataFrame({"id": [f"s{row}" for row in range(N)], "path": "somewhere"})
VALUES = np.random.default_rng(0).normal(size=(3, N, DIM)).astype(np.float16)
CUTS = [0, 16, 32, 48, N]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Copy few rows at once. What is only slow is left out: waiting for the disk, the heartbeat."""
    monkeypatch.setattr(joining, "_COPY_BYTES", 5 * 3 * DIM * 2)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(atomic, "heartbeat", lambda *_, **__: contextlib.nullcontext())


def write(path, rows=None, *, record=RECORD, **more):
    """Write a shard of rows, or what one job writes."""
    start, stop = (rows.start, rows.stop) if rows else (0, N)
    with recording(record):
        write_features(
            path,
            samples=SAMPLES[start:stop],
            versions=VERSIONS,
            parts=[VALUES[:, start:stop]],
            provenance=PROVENANCE | (range_of(rows) if rows else {}) | more,
        )
    return path


def write_shards(folder, cuts=CUTS, **more):
    return [
        write(folder / f"f.shards/{start}-{stop}.h5", range(start, stop), **more)
        for start, stop in pairwise(cuts)
    ]


def join(output, shards, *, record=RECORD, **more):
    with recording(record):
        join_shards(
            output, shards, samples=SAMPLES, views=list(VERSIONS), expected={"index": "1234"} | more
        )


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return write(tmp_path_factory.mktemp("one") / "f.h5").read_bytes()


@pytest.mark.parametrize("cuts", [[0, N], [0, 32, N], CUTS, [*range(0, N, 8), N], [0, 8, 56, N]])
def test_joined_shards_are_the_file_of_one_job(tmp_path, expected, cuts):
    shards = write_shards(tmp_path, cuts)
    counted = []
    with recording(RECORD):
        join_shards(
            tmp_path / "f.h5", shards, samples=SAMPLES, views=list(VERSIONS), expected={},
            count=counted.append,
        )  # fmt: skip
    assert (tmp_path / "f.h5").read_bytes() == expected
    assert sum(counted) == N


def test_a_join_killed_at_any_step_ends_with_the_same_bytes_and_its_own_files(
    tmp_path, expected, monkeypatch
):
    step, killed = 0, True
    while killed:
        folder = tmp_path / str(step)
        shards = write_shards(folder)
        killed = killed_at(
            step, lambda to=folder, all_=shards: join(to / "f.h5", all_), monkeypatch
        )
        # Snakemake removes the output of a job that it does not know to have ended.
        (folder / "f.h5").unlink(missing_ok=killed)
        if killed:
            join(folder / "f.h5", shards)
            assert (folder / "f.h5").read_bytes() == expected, step
        assert {path.name for path in folder.iterdir()} - {"f.h5"} == {"f.shards"}, step
        names = {path.name for path in folder.glob("f.shards/*")}
        assert names == {path.name for path in shards}, step
        step += 1
    assert step > 80


def test_a_finished_cache_that_was_removed_is_there_in_the_first_shard(tmp_path, expected):
    shards = write_shards(tmp_path)
    join(tmp_path / "f.h5", shards)
    assert shards[0].samefile(tmp_path / "f.h5")
    for _ in range(2):
        (tmp_path / "f.h5").unlink()
        join(tmp_path / "f.h5", shards)
        assert (tmp_path / "f.h5").read_bytes() == expected
    (tmp_path / "f.h5").unlink()
    with pytest.raises(LpclipError, match=r"made with other settings: seed: 0, not 1"):
        join(tmp_path / "f.h5", shards, record=RECORD | {"settings": {"seed": 1}})


def test_without_hard_links_all_shards_but_the_last_are_notes(tmp_path, expected, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    shards = write_shards(tmp_path)
    times = [path.stat().st_mtime_ns for path in shards]
    join(tmp_path / "f.h5", shards)
    assert (tmp_path / "f.h5").read_bytes() == expected
    assert [is_freed(path) for path in shards] == [True, True, True, False]
    assert [path.stat().st_mtime_ns for path in shards] == times


def half_joined(folder, monkeypatch):
    """Kill a join when one shard is left; return the shards."""
    shards = write_shards(folder)
    assert killed_when(
        lambda: is_freed(shards[2]), lambda: join(folder / "f.h5", shards), monkeypatch
    )
    assert [is_freed(path) for path in shards] == [True, True, True, False]
    return shards


def test_shards_that_were_joined_are_needed_no_more(tmp_path, expected, monkeypatch):
    shards = half_joined(tmp_path, monkeypatch)
    join(tmp_path / "f.h5", shards)
    assert (tmp_path / "f.h5").read_bytes() == expected


def test_shards_that_are_all_there_are_joined_from_the_first(tmp_path, expected, monkeypatch):
    """They may be of another division, or made again by other code."""
    with monkeypatch.context() as patch:
        patch.setattr(__name__ + ".VALUES", VALUES + 1)
        half_joined(tmp_path, patch)
    others = write_shards(tmp_path / "other", [0, 24, 40, N])
    join(tmp_path / "f.h5", others)
    assert (tmp_path / "f.h5").read_bytes() == expected


def test_a_lost_unfinished_file_is_a_sentence_with_the_way_out(tmp_path, monkeypatch):
    shards = half_joined(tmp_path, monkeypatch)
    (unfinished,) = tmp_path.glob(".f.h5.*.parts/features.h5")
    unfinished.unlink()
    with pytest.raises(LpclipError) as error:
        join(tmp_path / "f.h5", shards)
    assert "as 3 shards were" in str(error.value)
    assert f"--forcerun {tmp_path}/f.shards/*.h5" in str(error.value)
    write_shards(tmp_path)
    join(tmp_path / "f.h5", shards)


def remove(shards):
    shards[1].unlink()
    return shards


def leave_out(shards):
    return [shards[0], *shards[2:]]


def leave_out_the_last(shards):
    return shards[:-1]


def swap(shards):
    return [shards[1], shards[0], *shards[2:]]


def repeat(shards):
    return [shards[0], *shards]


def of_another_model(shards):
    write(shards[1], range(16, 32), weights="bbbb")
    return shards


def of_another_index(shards):
    return write_shards(shards[0].parents[1], index="5678")


def with_more_provenance(shards):
    write(shards[2], range(32, 48), extra=1)
    return shards


def of_other_settings(shards):
    write(shards[1], range(16, 32), record=RECORD | {"settings": {"seed": 5}})
    return shards


def an_ordinary_cache(shards):
    write_features(
        shards[1], samples=SAMPLES[16:32], versions=VERSIONS, parts=[VALUES[:, 16:32]],
        provenance=PROVENANCE,
    )  # fmt: skip
    return shards


def with_a_flipped_bit(shards):
    data = bytearray(shards[1].read_bytes())
    data[data.find(VALUES[2, 20].tobytes())] ^= 1
    shards[1].write_bytes(data)
    return shards


def cut_short(shards):
    os.truncate(shards[1], 3000)
    return shards


@pytest.mark.parametrize(
    ("change", "named", "text"),
    [
        (remove, 1, "does not exist"),
        (leave_out, 2, "holds the rows from 32 on, but those from 16 on come next"),
        (leave_out_the_last, 2, "at row 48, but the dataset has 61 rows"),
        (swap, 1, "holds the rows from 16 on, but those from 0 on come next"),
        (repeat, 0, "holds the rows from 0 on, but those from 16 on come next"),
        (of_another_model, 1, "was made with weights 'bbbb', not 'aaaa'"),
        (of_another_index, 0, "was made with index '5678', not '1234'"),
        (with_more_provenance, 0, "was made with extra 'unknown', not 1"),
        (of_other_settings, 1, "was made with other settings: seed: 5, not 0"),
        (an_ordinary_cache, 1, "is no shard"),
        (with_a_flipped_bit, 1, "is not as written: its checksum differs"),
        (cut_short, 1, "is truncated."),
    ],
)
def test_shards_that_do_not_make_up_the_cache_are_refused_by_name(
    tmp_path, expected, change, named, text
):
    shards = write_shards(tmp_path)
    given = change(list(shards))
    with pytest.raises(LpclipError) as error:
        join(tmp_path / "f.h5", given)
    assert text in str(error.value)
    assert str(shards[named]) in str(error.value)
    assert not (tmp_path / "f.h5").exists()
    # What was wrong is made again, and the same command goes on.
    for path, (start, stop) in zip(shards, pairwise(CUTS), strict=True):
        if not is_freed(path):
            write(path, range(start, stop))
    join(tmp_path / "f.h5", shards)
    assert (tmp_path / "f.h5").read_bytes() == expected


def test_the_disk_holds_the_cache_once_and_one_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(__name__ + ".VALUES", np.repeat(VALUES, 2048, axis=2))
    monkeypatch.setattr(joining, "_COPY_BYTES", 1 << 20)
    shards = write_shards(tmp_path, [*range(0, N, 4), N])
    largest, held = max(path.stat().st_size for path in shards), []
    with monkeypatch.context() as patch:
        before_changes(patch, lambda *_: held.append(bytes_on_disk(tmp_path)))
        join(tmp_path / "f.h5", shards)
    size = (tmp_path / "f.h5").stat().st_size
    assert len(shards) == 16
    assert max(held) < held[0] + 1.2 * largest
    assert bytes_on_disk(tmp_path) < size + 1.2 * largest


def test_a_note_names_what_the_shard_was(tmp_path, monkeypatch):
    shards = half_joined(tmp_path, monkeypatch)
    note = json.loads(shards[1].read_text())
    assert note == {"provenance": PROVENANCE | {"rows_start": 16, "rows_stop": 32}}
