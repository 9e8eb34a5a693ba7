"""Snakemake's logger plugin of lpclip: a line per finished stage, a bar, and what needs attention.

The profiles switch it on (``logger: lpclip``); docs/terminal.md describes what it prints. Snakemake
imports every logger plugin at its start, so this module imports little.
"""

import contextlib
import sys
import threading
from dataclasses import dataclass, field
from logging import LogRecord
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

if TYPE_CHECKING:
    from lpclip.utils.watching import Messages

_SECONDS = 1.0  # between two looks at the clock


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of Snakemake's command line: ``--logger-lpclip-…``."""

    full: bool = field(
        default=False, metadata={"help": "Print everything that Snakemake prints by itself."}
    )


class LogHandler(LogHandlerBase):
    """Shows a run in few lines; leaves the terminal to Snakemake where all is wanted."""

    def __post_init__(self) -> None:
        """Open the socket to which commands send their warnings and progress."""
        common = self.common_settings
        wanted = common.dryrun, common.verbose, common.printshellcmds, common.debug_dag
        self._shows = not (any(wanted) or (self.settings and self.settings.full))  # type: ignore[attr-defined]
        self._ended = threading.Event()
        self._clock: threading.Thread | None = None
        self._messages: Messages | None = None
        if not self._shows:
            return
        from snakemake.settings.enums import Quietness

        from snakemake_logger_plugin_lpclip.display import Display

        self._display = Display(common, sys.stderr)
        if not {Quietness.ALL, Quietness.PROGRESS}.isdisjoint(common.quiet or ()):
            return  # commands print their warnings by themselves
        from lpclip.utils import watching

        with contextlib.suppress(OSError):  # commands print by themselves
            self._messages = watching.Messages()

    def emit(self, record: LogRecord) -> None:
        """Print what a message means for the one who watches; the caller holds the lock."""
        if not self._shows:
            return
        try:
            self._show_sent()
            self._display.take(record)
            if self._clock is None and self._display.is_running:
                self._clock = threading.Thread(target=self._watch, daemon=True)
                self._clock.start()
        except BrokenPipeError:  # nobody reads it any more
            self._shows = False
        except Exception:  # printed with its traceback; a display must not end a run
            self.handleError(record)

    def _show_sent(self) -> None:
        """Show what commands have sent; a job's warnings come before its end."""
        if self._messages is not None:
            while message := self._messages.next(0):
                self._display.look(message)

    def _watch(self) -> None:
        """Show what commands send, and the time."""
        while not self._ended.is_set():
            message: dict[str, Any] | None = None
            if self._messages is None:
                self._ended.wait(_SECONDS)
            else:
                message = self._messages.next(_SECONDS)
            self.acquire()
            try:
                if self._shows and (message or not self._ended.is_set()):
                    self._display.look(message)
            except (OSError, ValueError):  # the terminal is gone
                self._shows = False
            finally:
                self.release()

    def close(self) -> None:
        """Show what is left to show, and end."""
        self._ended.set()
        if self._messages is not None:
            if self._clock is not None:
                self._messages.wake()
                self._clock.join(2 * _SECONDS)
            if self._shows:
                with contextlib.suppress(OSError, ValueError):
                    self._show_sent()
            self._messages.close()
            self._messages = None
        if self._shows:
            with contextlib.suppress(OSError, ValueError):
                self._display.end()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Whether Snakemake leaves the terminal to this plugin; else it prints as without it."""
        return self._shows

    @property
    def writes_to_file(self) -> bool:
        """Whether it writes a file: Snakemake does, in .snakemake/log."""
        return False

    @property
    def has_filter(self) -> bool:
        """Whether it filters by itself: Snakemake's filter is for --quiet."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Whether it formats by itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Whether it needs the graph of rules."""
        return False
