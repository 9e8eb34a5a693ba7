"""The log of a command: a file that its first line names the command in, and warnings to see."""

import contextlib
import logging
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from lpclip.utils import watching
from lpclip.utils.printing import Formatter, visible


class _Warnings(logging.Handler):
    """Shows warnings, which a log alone would hide; errors are shown when the command ends."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            text = f"lpclip: warning: {visible(record.getMessage())}"
            if not watching.send(warning=text):
                print(text, file=sys.stderr)


WARNINGS = _Warnings()


def show_error(text: str) -> None:
    """Show the error that ends a command: sent to whoever shows the run, else printed."""
    if not watching.send_error(visible(text)):
        print(f"lpclip: {visible(text)}", file=sys.stderr)


def show_unexpected() -> bool:
    """Log the exception that ends a command; return whether somebody shows it."""
    text = "stopped by an error that lpclip did not expect"
    logging.getLogger(__name__).exception(text)
    return watching.send_error(visible(f"{text}\n{traceback.format_exc().rstrip()}"))


def start_log(path: Path | None, arguments: Sequence[str]) -> None:
    """Write what the package logs to a file, the command first; nothing without a path."""
    if path is None:
        return
    from lpclip.utils.atomic import disk_errors

    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{visible(shlex.join(['lpclip', *arguments]))}\n")
    watching.set_log(path)
    handler = _LogFile(path)
    handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("lpclip")
    root.addHandler(handler)
    root.setLevel(logging.INFO)


class _LogFile(logging.FileHandler):
    """A log that ends with one sentence on the terminal where it cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        logging.getLogger("lpclip").removeHandler(self)
        if self.stream is not None:
            with contextlib.suppress(OSError):
                self.stream.close()
        print(f"lpclip: {self.baseFilename}: {error.strerror}. The log ends.", file=sys.stderr)
