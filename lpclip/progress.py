"""Progress of long work: a bar with a rate on a terminal, lines with a rate in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts units of work; see ``progress``."""

    def __init__(self, total: int, unit: str, label: str, initial: int) -> None:
        self._bar: tqdm[Any] = tqdm(
            total=total,
            initial=initial,
            unit=unit,
            desc=label,
            file=sys.stderr,
            leave=False,
            dynamic_ncols=True,
            unit_scale=True,
            disable=not sys.stderr.isatty(),
        )
        self._total, self._unit, self._label = total, unit, label
        self._done, self._initial = initial, initial
        self._written = -1  # how much was done when the last line was written
        self._start = self._last = time.monotonic()

    def add(self, count: int) -> None:
        """Count units as done."""
        self._done += count
        self._bar.update(count)
        if time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._write()

    def close(self) -> None:
        """End the bar and log the rate of the whole, unless the last line said it."""
        self._bar.close()
        if self._written != self._done:
            self._write()

    def _write(self) -> None:
        seconds = max(time.monotonic() - self._start, 1e-9)
        rate = (self._done - self._initial) / seconds
        self._written = self._done
        log.info(
            "%s: %d of %d %s, %s %s/s, %.1f s",
            self._label,
            self._done,
            self._total,
            self._unit,
            _three_digits(rate),
            self._unit,
            seconds,
        )


def _three_digits(rate: float) -> str:
    """At least three significant digits, never an exponent for what is fast.

    >>> _three_digits(0.12345), _three_digits(45.678), _three_digits(12345.6)
    ('0.123', '45.7', '12346')
    """
    return f"{rate:.3g}" if rate < 999.5 else f"{rate:.0f}"


@contextmanager
def progress(*, total: int, unit: str, label: str, initial: int = 0) -> Iterator[Progress]:
    """Show how far a loop is, how fast it goes and how long it will take.

    Args:
        total: units of work in all.
        unit: what is counted, in the plural.
        label: what is being done.
        initial: units that an earlier, interrupted run had finished.
    """
    shown = Progress(total, unit, label, initial)
    try:
        yield shown
    finally:
        shown.close()
