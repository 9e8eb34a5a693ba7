import logging
import os

import pytest

from lpclip.cli.command import main
from lpclip.utils.failures import failures


@pytest.fixture(autouse=True)
def _close_logs():
    yield
    for handler in logging.getLogger("lpclip").handlers[:]:
        logging.getLogger("lpclip").removeHandler(handler)
        handler.close()


def failed(path, *arguments):
    with pytest.raises(SystemExit):
        main(["pseudo-labels", *arguments, "--output", "labels.h5", "--log", str(path)])


def test_the_sentence_of_a_failed_command_is_found_in_its_log(tmp_path, capsys):
    files = ["--text", str(tmp_path / "text.h5"), "--features", str(tmp_path / "f.h5")]
    failed(tmp_path / "logs/rule/a.log", *files, "--settings", '{"labelling": {}}')
    shown = capsys.readouterr().err.removeprefix("lpclip: ").strip()
    assert failures(tmp_path / "logs", since=0) == {tmp_path / "logs/rule/a.log": shown}
    assert "--settings" not in shown
    os.utime(tmp_path / "logs/rule/a.log", (1, 1))
    assert failures(tmp_path / "logs", since=2) == {}


def test_an_error_has_all_its_lines_and_a_traceback_only_its_last(tmp_path):
    line = "2026-01-02 03:04:05,678 "
    (tmp_path / "lines.log").write_text(
        f"lpclip x\n{line}INFO a\n{line}ERROR two images:\n  b\n  c\n"
    )
    (tmp_path / "trace.log").write_text(
        f"lpclip x\n{line}ERROR stopped\nTraceback (most recent call last):\n  a\nKeyError: 'b'\n"
    )
    (tmp_path / "went_on.log").write_text(f"lpclip x\n{line}ERROR a\n{line}INFO done\n")
    (tmp_path / "empty.log").write_text("")
    assert failures(tmp_path, since=0) == {
        tmp_path / "lines.log": "two images:\n  b\n  c",
        tmp_path / "trace.log": "stopped\nKeyError: 'b'",
    }
