"""What has run and what is left: from Snakemake's events to lines and the time left."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lpclip.utils.printing import duration, visible
from snakemake_logger_plugin_lpclip.messages import made_again, of_wildcards

# An extraction has a line of its own unless its stage has more jobs than this.
LINES_PER_STAGE = 20
TIMINGS = ".timings.tsv"


class Job(NamedTuple):
    """A job that was started."""

    rule: str
    about: str
    reason: str
    logs: Sequence[str]
    has_output: bool
    joins: bool  # whether it joins shards: its rate is that of copying
    start: float


@dataclass
class Stage:
    """The jobs of a rule."""

    planned: int = 0
    printed: int = 0  # jobs that its lines have counted
    finished: int = 0
    seconds: float = 0.0  # of the finished ones
    images: int = 0
    encoding: float = 0.0  # seconds of extraction
    reasons: Counter[str] = field(default_factory=Counter)


class Run:
    """The jobs of a run; the caller passes the time, in seconds, with every event."""

    def __init__(self, now: float) -> None:
        self.start = now
        self.stages: dict[str, Stage] = {}
        self.jobs: dict[int, Job] = {}  # running
        self.done = self.total = 0

    def plan(self, stats: Mapping[str, int], now: float) -> str:
        """Take the number of jobs of every rule; return a line that names them."""
        self.start = now
        self.total = stats["total"]
        counts = {rule: count for rule, count in stats.items() if rule != "total"}
        for rule, count in counts.items():
            self._stage(rule).planned = count
        listed = ", ".join(f"{rule} {count:,}" for rule, count in counts.items() if rule != "all")
        return f"{_count(self.total)}: {listed or 'all'}"

    def begin(self, number: int, job: Job) -> None:
        """Take a job that starts, or starts once more after it failed."""
        self.jobs[number] = job

    def fail(self, number: int) -> None:
        """Take a job that failed."""
        self.jobs.pop(number, None)

    def name_of(self, log: str) -> str:
        """Return the rule and wildcards of a running job by its log; "" if there is none."""
        found = (job for job in self.jobs.values() if log in job.logs)
        return next((f"{job.rule} {job.about}".rstrip() for job in found), "")

    def interrupt(self, number: int, rule: str, now: float) -> str:
        """Return a line on a job that the user ended."""
        job = self.jobs.pop(number, None)
        name = f"{rule} {job.about}".rstrip() if job else rule
        return self.after(f"{name}: interrupted", now)

    def finish(self, number: int, now: float) -> list[str]:
        """Take a job that finished; return lines on it and on its stage, if that has finished."""
        self.done += 1
        job = self.jobs.pop(number, None)
        if job is None:  # --quiet rules
            return []
        stage = self._stage(job.rule)
        stage.finished += 1
        stage.seconds += now - job.start
        if why := made_again(job.reason):
            stage.reasons[why] += 1
        if not job.has_output:
            stage.printed += 1
            return []
        lines = []
        images, seconds = _extracted(job)
        stage.images += images
        stage.encoding += seconds
        if images and 1 < stage.planned <= LINES_PER_STAGE:
            lines.append(f"{job.rule} {job.about}: {_rate(images, seconds)}")
        if stage.finished == stage.planned:
            lines.append(self._line(job.rule, job.about))
        return [self.after(line, now) for line in lines]

    def unfinished(self, now: float) -> list[str]:
        """Return lines on what has finished of stages that have no line yet."""
        return [
            self.after(self._line(rule), now)
            for rule, stage in self.stages.items()
            if stage.finished > stage.printed
        ]

    def state(self, now: float, progress: Mapping[str, str]) -> str:
        """Return a line on how far the run is, and on jobs that run, the longest first.

        Args:
            now: seconds, as everywhere.
            progress: how far jobs are, by their logs.
        """
        parts = [self.time_left(now)]
        found = [
            (next((progress[log] for log in job.logs if log in progress), ""), job)
            for job in sorted(self.jobs.values(), key=lambda job: job.start)
        ]
        for known, job in sorted(found, key=lambda one: not one[0])[:2]:
            parts.append(" ".join(filter(None, (job.rule, job.about, known))))
        return self.after("; ".join(filter(None, parts)), now)

    def time_left(self, now: float) -> str:
        """Return roughly how long the rest will take, or "" while nothing is known of it.

        Jobs take as long as those of the same rule did on average, or of all rules where none has
        finished; as many run at once as did so far.
        """
        stages = self.stages.values()
        finished = sum(stage.finished for stage in stages)
        if not finished or now <= self.start:
            return ""
        seconds = sum(stage.seconds for stage in stages)
        mean = seconds / finished
        means = {
            rule: stage.seconds / stage.finished if stage.finished else mean
            for rule, stage in self.stages.items()
        }
        left = sum(
            max(stage.planned - stage.finished, 0) * means[rule]
            for rule, stage in self.stages.items()
        )
        counted = sum(max(stage.planned, stage.finished) for stage in stages)
        left += max(self.total - counted, 0) * mean  # jobs that a checkpoint added
        spent = sum(now - job.start for job in self.jobs.values())
        for job in self.jobs.values():
            left -= min(now - job.start, means.get(job.rule, mean))
        at_once = max((seconds + spent) / (now - self.start), 1.0)
        return f"about {duration(left / at_once)} left" if left > 0 else ""

    def _stage(self, rule: str) -> Stage:
        return self.stages.setdefault(rule, Stage())

    def _line(self, rule: str, about: str = "") -> str:
        stage = self.stages[rule]
        n = stage.finished
        stage.printed = n
        if n == 1 >= stage.planned:
            parts = [_seconds(stage.seconds)]
        else:
            jobs = f"{n:,} of {_count(stage.planned)}" if n < stage.planned else _count(n)
            parts = [jobs, f"{_seconds(stage.seconds / n)} each"]
        if stage.images:
            parts.append(_rate(stage.images, stage.encoding))
        name = f"{rule} {about}".rstrip() if stage.planned == 1 else rule
        why = ", ".join(stage.reasons)
        again = f" (made again: {why})" if why else ""
        return f"{name}: {', '.join(parts)}{again}"

    def after(self, line: str, now: float) -> str:
        """Return a line with the time since the start and the number of jobs that are done."""
        minutes, seconds = divmod(int(now - self.start), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        done = f"{self.done:>{len(str(self.total))}}/{self.total}"
        return visible(f"{clock:>7} {done}  {line}")


def started(event: Mapping[str, object], now: float) -> Job:
    """Return the job of one of Snakemake's events."""
    inputs, output, logs = (list(event.get(name) or ()) for name in ("input", "output", "log"))  # type: ignore[call-overload]
    return Job(
        rule=str(event["rule_name"]),
        about=of_wildcards(event.get("wildcards") or {}),  # type: ignore[arg-type]
        reason=str(event.get("reason") or ""),
        logs=logs,
        has_output=bool(output),
        joins=any(".shards/" in path for path in inputs),
        start=now,
    )


def _extracted(job: Job) -> tuple[int, float]:
    """Return the number of images that a job embedded, and the seconds; 0 for other jobs."""
    if job.joins:
        return 0, 0.0
    for log in job.logs:
        if log.endswith(TIMINGS):
            try:
                with Path(log).open(newline="") as file:
                    row = next(csv.DictReader(file, delimiter="\t"))
                return int(row["images"]), float(row["seconds"])
            except (OSError, KeyError, ValueError, StopIteration):  # in remote storage
                return 0, 0.0
    return 0, 0.0


def _rate(images: int, seconds: float) -> str:
    per_second = images / max(seconds, 1e-3)
    shown = f"{per_second:.3g}" if per_second < 999.5 else f"{per_second:,.0f}"
    return f"{images:,} images in {_seconds(seconds)}, {shown} images/s"


def _seconds(seconds: float) -> str:
    """Return a duration: exact where it is short.

    >>> _seconds(0.04), _seconds(7.25), _seconds(600)
    ('0.0 s', '7.2 s', '10 minutes')
    """
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def _count(n: int) -> str:
    return f"{n:,} job{'s' * (n != 1)}"
