"""Messages of commands reach the one who watches; without one, commands print by themselves."""

import io
import logging
import os
import sys
from pathlib import Path

import pytest

from lpclip.cli import command
from lpclip.cli.log_files import WARNINGS, show_error
from lpclip.utils import progress as progress_module
from lpclip.utils import watching
from lpclip.utils.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def messages(monkeypatch):
    monkeypatch.setattr(watching, "_log", "logs/one.log")
    opened = watching.Messages()
    yield opened
    opened.close()


def warn(text):
    WARNINGS.handle(logging.LogRecord("lpclip", logging.WARNING, "", 0, text, (), None))


def test_a_warning_is_sent_and_not_printed(messages, capsys):
    warn("a\x1b[2Jb")
    assert messages.next(0) == {
        "log": "logs/one.log",
        "warning": "lpclip: warning: a\\x1b[2Jb",
    }
    assert messages.next(0) is None
    assert capsys.readouterr().err == ""


def test_without_a_watcher_a_warning_is_printed(capsys):
    warn("a")
    assert capsys.readouterr().err == "lpclip: warning: a\n"


def test_with_a_watcher_that_was_killed_a_warning_is_printed(messages, capsys):
    messages._socket.close()  # its path is still there
    assert watching.is_watched()
    warn("a")
    assert capsys.readouterr().err == "lpclip: warning: a\n"


def test_the_error_of_a_job_is_sent_and_that_of_a_tool_printed(messages, capsys, monkeypatch):
    show_error("a\x1b[2Jb")
    assert messages.next(0) == {"log": "logs/one.log", "error": "a\\x1b[2Jb"}
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(watching, "_log", "")
    show_error("b")
    assert messages.next(0) is None
    assert capsys.readouterr().err == "lpclip: b\n"


def test_an_unexpected_error_is_sent_with_its_traceback_or_raised(messages, monkeypatch, capsys):
    def fail(_arguments):
        raise ZeroDivisionError("no reason")

    monkeypatch.setattr(command, "_run", fail)
    with pytest.raises(SystemExit):
        command.main(["embed-text"])
    sent = messages.next(0)["error"]
    assert sent.startswith("stopped by an error that lpclip did not expect\nTraceback (most recent")
    assert sent.endswith("\nZeroDivisionError: no reason")
    assert capsys.readouterr().err == ""
    messages.close()
    with pytest.raises(ZeroDivisionError):
        command.main(["embed-text"])


def test_a_closed_watcher_leaves_nothing(messages):
    folder = Path(os.environ[watching.WATCHER]).parent
    messages.close()
    assert watching.WATCHER not in os.environ
    assert not folder.exists()


def test_progress_is_sent_in_place_of_a_bar(messages, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_MESSAGES", 0)
    with progress(total=4, unit="images", label="embed") as shown:
        shown.add(1)
    message = messages.next(0)
    assert float(message.pop("rate")) > 0
    assert message == {"log": "logs/one.log", "progress": 1, "of": 4, "unit": "images"}
    assert terminal.getvalue() == ""


def test_without_a_watcher_there_is_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress(total=4, unit="images", label="embed") as shown:
        shown.add(1)
    assert "embed" in terminal.getvalue()
