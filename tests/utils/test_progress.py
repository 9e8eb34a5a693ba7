"""Progress lines in a log: a readable rate, each state once."""

import logging

import pytest

from lpclip.utils import progress as module
from lpclip.utils.progress import progress


@pytest.fixture
def lines(caplog, monkeypatch):
    """Lines logged so far, with a clock that advances 20 seconds on every reading."""
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    caplog.set_level(logging.INFO, logger="lpclip")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_slow_rate_has_digits_and_the_last_line_comes_once(lines):
    with progress(total=2, unit="rounds", label="train") as shown:
        shown.add(1)
        shown.add(1)
    assert [line.split(", ")[0] for line in lines()] == [
        "train: 1 of 2 rounds",
        "train: 2 of 2 rounds",
    ]
    assert lines()[0].endswith(", 0.05 rounds/s, 20.0 s, 20 s left")


def test_what_was_done_since_the_last_line_is_logged_at_the_end(lines, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 1e9)
    with progress(total=3, unit="images", label="embed", initial=1) as shown:
        shown.add(1)
        assert lines() == []
    assert [line.split(", ")[0] for line in lines()] == ["embed: 2 of 3 images"]
