"""Prints a run: lines, and on a terminal a bar below them."""

import os
import shlex
import shutil
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Mapping
from logging import ERROR, WARNING, LogRecord, makeLogRecord
from typing import Any, TextIO

from snakemake.logging import ColorizingTextHandler, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import OutputSettingsLoggerInterface

from lpclip.utils import watching
from snakemake_logger_plugin_lpclip.messages import is_left_out
from snakemake_logger_plugin_lpclip.run import Run, started

# A pipe gets a line on the progress after this many seconds, and at this growth of the time since;
# a day has some sixty of them.
FIRST_STATE = 60.0
GROWTH = 1.2
LONGEST_PAUSE = 1800.0
WIDTH = 100
_INTERRUPTED = "Terminating processes on user request"
# What Snakemake reports before it ends a run that did not succeed.
_LAST = (
    "Exiting because a job execution failed",
    "Shutting down, this might take some time",
    _INTERRUPTED,
)
# How a command ends that the user interrupted.
_BY_USER = ("returned non-zero exit status 130.", "died with <Signals.SIGINT: 2>.")


class Display:
    """Takes Snakemake's records and the messages of commands; not safe for threads."""

    def __init__(
        self,
        common: OutputSettingsLoggerInterface,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream, self._clock = stream, clock
        self._plain = ColorizingTextHandler(nocolor=common.nocolor, stream=stream)
        quiet = set(common.quiet or ())
        self._gives_reasons = Quietness.REASON not in quiet
        self._plain.setFormatter(DefaultFormatter(quiet, common.show_failed_logs))
        self._shows_logs = common.show_failed_logs
        self._run = Run(clock())
        self._warnings = Counter[str]()
        self._errors = dict[str, str]()  # log of a failed job -> its error, printed
        self._sent = set[str]()  # logs of jobs that sent an error since they last started
        self._progress = dict[str, str]()  # log of a job -> how far it is
        self._bar: Any = None
        self._next_state = FIRST_STATE
        self._interrupted = False
        self.is_running = False

    def take(self, record: LogRecord) -> None:
        """Print what one of Snakemake's messages means."""
        event, now = getattr(record, "event", None), self._clock()
        fields = record.__dict__
        if event is LogEvent.RUN_INFO and "stats" in fields:
            self.is_running = True
            line = self._run.plan(fields["stats"], now)
            # A number stays with its rule.
            line = line.replace(" ", "\xa0").replace(",\xa0", ", ")
            lines = textwrap.wrap(line, WIDTH, subsequent_indent="  ")
            self._print(*(one.replace("\xa0", " ") for one in lines))
        elif event is LogEvent.JOB_INFO:
            self.is_running = self._run.total > 0  # a checkpoint may have added jobs
            job = started(fields, now)
            self._sent -= set(self._logs_in(fields.get("shellcmd")))
            self._run.begin(
                fields["jobid"], job if self._gives_reasons else job._replace(reason="")
            )
        elif event is LogEvent.JOB_FINISHED:
            self._print(*self._run.finish(fields["job_id"], now))
        elif event is LogEvent.PROGRESS:
            self._run.done, self._run.total = fields["done"], fields["total"]
            if self._run.done == self._run.total:
                self.end()
        elif event is LogEvent.JOB_ERROR and self._interrupted:
            self._print(self._run.interrupt(fields["jobid"], fields["rule_name"], now))
        elif self._is_printed(record):
            if event is LogEvent.JOB_ERROR:
                self._run.fail(fields["jobid"])
        elif not (is_left_out(record) or (self._interrupted and _ended_by_user(record))):
            self._pass_on(record)
            if event is LogEvent.JOB_ERROR:
                self._run.fail(fields["jobid"])
        self._show_bar()

    def look(self, message: Mapping[str, Any] | None) -> None:
        """Print what a command sent, and now and then how far the run is."""
        if message and "warning" in message:
            self._warn(str(message["warning"]))
        elif message and "error" in message:
            self._print_error(message["log"], str(message["error"]))
        elif message and "progress" in message:
            share = f"{100 * message['progress'] // max(message['of'], 1)} %"
            rate = f", {message['rate']} images/s" if message["unit"] == "images" else ""
            self._progress[message["log"]] = f"{share}{rate}"
        since = self._clock() - self._run.start
        if self.is_running and since >= self._next_state and not self._is_terminal():
            self._next_state = since + min(max(FIRST_STATE, since * (GROWTH - 1)), LONGEST_PAUSE)
            self._print(self._state())
        self._show_bar()

    def end(self) -> None:
        """Remove the bar; print what finished of unfinished stages, and counts of warnings."""
        if not self.is_running:
            return
        self.is_running = False
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        now = self._clock()
        self._print(*self._run.unfinished(now))
        for text, count in self._warnings.items():
            if count > 1:
                self._print(textwrap.shorten(f"{count} times: {text}", WIDTH, placeholder=" …"))
        self._warnings = Counter(dict.fromkeys(self._warnings, 1))

    def _pass_on(self, record: LogRecord) -> None:
        """Print a message as Snakemake does; a warning once."""
        text = self._plain.format(record)
        if text in ("", "None"):
            return
        if str(record.msg).startswith(_LAST):
            self._interrupted |= str(record.msg).startswith(_INTERRUPTED)
            self.end()
        if record.levelno == WARNING and not hasattr(record, "event"):
            self._warn(text, self._plain.decorate(record, text))
        else:
            self._print(self._plain.decorate(record, text))

    def _warn(self, text: str, shown: str = "") -> None:
        self._warnings[text] += 1
        if self._warnings[text] == 1:
            self._print(shown or text)

    def _print_error(self, log: str, text: str) -> None:
        """Print the error of a job: once, however often Snakemake tries that job."""
        name = self._run.name_of(log) or "a job"
        if self._errors.get(log) == text:
            lines = [self._run.after(f"{name} failed again, with the same error", self._clock())]
        else:
            lines = [self._run.after(f"{name} failed:", self._clock()), text, f"(log: {log})"]
        self._errors[log] = text
        self._sent.add(log)
        watching.note_shown(log)
        error = makeLogRecord({"levelno": ERROR, "levelname": "ERROR"})
        self._print(self._plain.decorate(error, "\n".join(lines)))

    def _is_printed(self, record: LogRecord) -> bool:
        """Whether it reports a failed job that has sent its error, which is printed."""
        event, text = getattr(record, "event", None), str(record.msg)
        if event is LogEvent.JOB_ERROR:
            return not self._shows_logs and bool(self._logs_in(record.__dict__.get("shellcmd")))
        is_of_command = event is LogEvent.ERROR and "CalledProcessError" in text
        return is_of_command and bool(self._logs_in(text))

    def _logs_in(self, command: str | None) -> list[str]:
        """Return the logs of a command among those of jobs that have sent an error.

        By the command, since Snakemake names logs in remote storage by other paths.
        """
        return [log for log in self._sent if f"--log {shlex.quote(log)} " in f"{command} "]

    def _print(self, *lines: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()

    def _state(self) -> str:
        return self._run.state(self._clock(), self._progress)

    def _show_bar(self) -> None:
        if not self.is_running or not self._is_terminal():
            return
        if self._bar is None:
            from tqdm import tqdm

            form = "{percentage:3.0f}%|{bar:10}| {desc}"
            self._bar = tqdm(file=self._stream, leave=False, bar_format=form)
        # What the keyboard writes, such as ^C, then does not break the line.
        self._bar.ncols = shutil.get_terminal_size().columns - 3
        self._bar.n, self._bar.total = self._run.done, self._run.total
        self._bar.set_description_str(self._state().strip(), refresh=False)
        self._bar.refresh()

    def _is_terminal(self) -> bool:
        return self._plain.is_tty and os.environ.get("TERM") != "dumb"


def _ended_by_user(record: LogRecord) -> bool:
    """Whether it reports that a command failed since it was interrupted."""
    is_error = getattr(record, "event", None) is LogEvent.ERROR
    return is_error and str(record.msg).rstrip().endswith(_BY_USER)
