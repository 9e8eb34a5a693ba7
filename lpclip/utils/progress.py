"""Progress of long tasks: a bar on a terminal, lines in a log, both with a rate.

In a workflow that somebody watches (``lpclip.utils.watching``) there is no bar per task: the
progress is sent there.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from lpclip.utils import watching

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_MESSAGES = 1.0


class Progress:
    """Counter of units of work, see ``progress``."""

    def __init__(self, total: int, unit: str, label: str, initial: int, device: str) -> None:
        self._bar: tqdm[Any] = tqdm(
            total=total,
            initial=initial,
            unit=unit,
            desc=label,
            file=sys.stderr,
            leave=False,
            dynamic_ncols=True,
            unit_scale=True,
            disable=watching.is_watched() or not sys.stderr.isatty(),
        )
        self._total, self._unit, self._label = total, unit, label
        self._done, self._initial, self._device = initial, initial, device
        self._spent: dict[str, float] = {}
        self._written = -1  # count at the last line
        self._start = self._last = self._sent = time.monotonic()

    def add(self, count: int) -> None:
        """Count units as done."""
        self._done += count
        if self._spent:
            self._bar.set_postfix_str(self._shares(), refresh=False)
        self._bar.update(count)
        now = time.monotonic()
        if now - self._sent >= SECONDS_BETWEEN_MESSAGES:
            self._sent = now
            self._send(now)
        if now - self._last > SECONDS_BETWEEN_LINES:
            self._last = now
            self._write(now)

    @contextmanager
    def spending(self, on: str) -> Iterator[None]:
        """Add the duration of the block to the time spent on something."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[on] = self._spent.get(on, 0.0) + time.perf_counter() - start

    def close(self) -> None:
        """Close the bar and log the overall rate, unless the last line was complete."""
        self._bar.close()
        if self._written != self._done or self._spent:
            self._write(time.monotonic())

    def figures(self) -> dict[str, int | float | str]:
        """Return the count so far, the rate, the device, and the seconds spent on each thing."""
        seconds = time.monotonic() - self._start
        done = self._done - self._initial
        return {
            self._unit: done,
            "seconds": round(seconds, 3),
            f"{self._unit}_per_second": float(f"{done / max(seconds, 1e-9):.4g}"),
            "device": self._device,
            **{f"{on}_seconds": round(spent, 3) for on, spent in self._spent.items()},
        }

    def _shares(self) -> str:
        """Describe the device and the shares of time, the largest first."""
        if not self._spent:
            return ""
        seconds = max(time.monotonic() - self._start, 1e-9)
        largest = sorted(self._spent.items(), key=lambda each: -each[1])
        shares = ", ".join(f"{on} {100 * spent / seconds:.0f} %" for on, spent in largest)
        return f"{self._device}: {shares}"

    def _rate(self, now: float) -> float:
        return (self._done - self._initial) / max(now - self._start, 1e-9)

    def _send(self, now: float) -> None:
        rate = _three_digits(self._rate(now))
        watching.send(progress=self._done, of=self._total, unit=self._unit, rate=rate)

    def _write(self, now: float) -> None:
        seconds, rate = now - self._start, self._rate(now)
        self._written = self._done
        left = (self._total - self._done) / rate if rate else 0.0
        shares = self._shares()
        log.info(
            f"{self._label}: {self._done} of {self._total} {self._unit}, "
            f"{_three_digits(rate)} {self._unit}/s, {seconds:.1f} s"
            f"{f', {left:.0f} s left' if left else ''}{f'; on {shares}' if shares else ''}"
        )


def _three_digits(rate: float) -> str:
    """Format with at least three significant digits and no exponent.

    >>> _three_digits(0.12345), _three_digits(45.678), _three_digits(12345.6)
    ('0.123', '45.7', '12346')
    """
    return f"{rate:.3g}" if rate < 999.5 else f"{rate:.0f}"


@contextmanager
def progress(
    *, total: int, unit: str, label: str, initial: int = 0, device: str = ""
) -> Iterator[Progress]:
    """Show the progress of a loop (the ``label``), its rate and the remaining time.

    The name of the units is in the plural; an interrupted run had finished ``initial`` of them.
    """
    shown = Progress(total, unit, label, initial, device)
    try:
        yield shown
    finally:
        shown.close()
