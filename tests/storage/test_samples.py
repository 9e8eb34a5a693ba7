"""Part of an index is read like the whole."""

from hashlib import sha256

import numpy as np
import pandas as pd
import pytest

from lpclip.errors import LpclipError
from lpclip.storage import samples, tables
from lpclip.storage.samples import count_rows, fingerprint, read_part, read_samples, write_samples

N = 25
SAMPLES = pd.DataFrame(
    {
        "id": [f"é{row}" for row in range(N)],
        "path": [f"images/{row}.png" for row in range(N)],
        "label": np.int32(3),
        "size": np.arange(N) * 1000,
    }
)


@pytest.fixture
def index(tmp_path, monkeypatch):
    monkeypatch.setattr(tables.read_blocks, "__kwdefaults__", {"rows": 7})
    write_samples(tmp_path / "samples.h5", SAMPLES, {"dataset": "d"})
    return tmp_path / "samples.h5"


@pytest.mark.parametrize("rows", [(0, 25), (0, 3), (6, 8), (7, 14), (20, 25), (3, 22)])
def test_some_rows_are_those_of_the_whole_index_and_have_its_fingerprint(index, rows):
    found, whole = read_part(index, range(*rows))
    expected = read_samples(index, labels=False)
    pd.testing.assert_frame_equal(found, expected[slice(*rows)].reset_index(drop=True))
    assert whole == fingerprint(expected)
    assert list(found.columns) == ["id", "path", "size"]


def test_an_older_index_without_sizes_has_none(tmp_path):
    write_samples(tmp_path / "samples.h5", SAMPLES.drop(columns="size"), {"dataset": "d"})
    found, whole = read_part(tmp_path / "samples.h5", range(2, 4))
    assert list(found.columns) == ["id", "path"]
    assert whole == fingerprint(SAMPLES[["id", "path"]])


def test_damage_outside_of_the_rows_is_found(index):
    data = bytearray(index.read_bytes())
    data[data.find(b"images/24.png")] ^= 1
    index.write_bytes(data)
    with pytest.raises(LpclipError, match="its checksum differs"):
        read_part(index, range(2))


def test_the_rows_of_an_index_are_counted(index):
    assert count_rows(index) == N


@pytest.mark.parametrize("columns", [["id", "path", "label", "size"], ["label", "path", "id"]])
def test_the_fingerprint_is_the_hash_of_the_rows_without_labels(monkeypatch, columns):
    monkeypatch.setattr(samples, "_TOGETHER", 4)
    table = SAMPLES[columns]
    rows = ["\0".join([f"é{row}", f"images/{row}.png", f"{row * 1000}"]) for row in range(N)]
    if "size" not in columns:
        rows = [row.rpartition("\0")[0] for row in rows]
    expected = sha256("".join(f"{row}\n" for row in rows).encode()).hexdigest()[:16]
    assert fingerprint(table) == fingerprint([table[:10], table[10:]]) == expected
