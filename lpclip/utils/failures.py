"""Find in the logs why jobs of a run failed."""

import re
from pathlib import Path

_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?P<level>[A-Z]+) ")


def failures(logs: Path, *, since: float) -> dict[Path, str]:
    """Return the last error of each log that was written since a run began, by path.

    Args:
        logs: folder of logs as ``lpclip --log`` writes them.
        since: seconds since the epoch; older logs belong to other runs.
    """
    recent = [path for path in sorted(logs.rglob("*.log")) if path.stat().st_mtime >= since]
    errors = {path: _last_error(path.read_text(errors="replace").splitlines()) for path in recent}
    return {path: error for path, error in errors.items() if error}


def _last_error(lines: list[str]) -> str:
    """Return the text of the last message if it is an error, else ""."""
    starts = [number for number, line in enumerate(lines) if _LINE.match(line)]
    if not starts or _LINE.match(lines[starts[-1]])["level"] != "ERROR":  # type: ignore[index]
        return ""
    first, *rest = lines[starts[-1] :]
    # Of a traceback, the last line states the error.
    if "Traceback (most recent call last):" in rest:
        rest = [rest[-1]]
    return "\n".join([_LINE.sub("", first), *rest])
