"""A display of the logger plugin that is fed with events as Snakemake makes them."""

import io
import logging

from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings

from snakemake_logger_plugin_lpclip.display import Display


class Shown:
    """A display with a clock of its own, and what it has printed."""

    def __init__(self, stream=None, quiet=None, *, logs=False):
        self.now = 0.0
        self.stream = stream or io.StringIO()
        common = MockOutputSettings()
        common.quiet, common.show_failed_logs = quiet, logs
        self.display = Display(common, self.stream, clock=lambda: self.now)
        self.started = self.done = 0

    def take(self, event=None, msg=None, level=logging.INFO, **fields):
        record = logging.LogRecord("snakemake", level, "", 0, msg, (), None)
        if event is not None:
            fields["event"] = event
        record.__dict__.update(fields)
        self.display.take(record)

    def plan(self, **counts):
        self.total = sum(counts.values())
        self.take(LogEvent.RUN_INFO, "Job stats:", stats={**counts, "total": self.total})

    def start(self, rule, *, logs=(), inputs=(), reason="", command=None, **wildcards):
        self.started += 1
        self.take(
            LogEvent.JOB_INFO, jobid=self.started, rule_name=rule, wildcards=wildcards,
            input=list(inputs), output=["out"], log=list(logs), reason=reason,
            shellcmd=command,
        )  # fmt: skip
        return self.started

    def finish(self, job):
        self.done += 1
        self.take(LogEvent.JOB_FINISHED, job_id=job)
        self.take(LogEvent.PROGRESS, done=self.done, total=self.total)

    def run(self, rule, seconds, **how):
        job = self.start(rule, **how)
        self.now += seconds
        self.finish(job)

    @property
    def lines(self):
        return self.stream.getvalue().splitlines()
