import os

import pytest

from lpclip.storage import marks
from lpclip.storage.marks import marks_of


@pytest.mark.parametrize("small", [10, 16_000_000])
def test_marks_follow_contents_and_not_dates(tmp_path, monkeypatch, small):
    monkeypatch.setattr(marks, "_SMALL", small)
    path = tmp_path / "table.csv"
    rows = [f"{number}.png,{number % 7}\n" for number in range(60_000)]
    path.write_text("".join(rows))
    before = marks_of([path, tmp_path / "none"])
    assert list(before) == [str(path)]
    os.utime(path, (1, 1))
    assert marks_of([path]) == before
    labels = [row.split(",")[1] for row in rows]
    path.write_text("".join(f"{n}.png,{y}" for n, y in enumerate(labels[1:] + labels[:1])))
    assert marks_of([path]) != before  # same size


def test_marks_are_remembered_as_long_as_a_file_is_the_same(tmp_path, monkeypatch):
    path, known = tmp_path / "a.npy", tmp_path / "known.json"
    path.write_bytes(b"one")
    first = marks_of([path], known=known)
    with monkeypatch.context() as patched:
        patched.setattr(marks, "_mark_of", None)
        assert marks_of([path], known=known) == first
    path.write_bytes(b"other")
    assert marks_of([path], known=known) == marks_of([path]) != first
    known.write_text("[")
    assert marks_of([path], known=known) == marks_of([path])
