"""What Snakemake's logger plugin prints: from events to lines on a pipe or a terminal."""

import io
import logging
import sys
from pathlib import Path

import pytest
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from lpclip.utils import watching
from snakemake_logger_plugin_lpclip import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_lpclip.display import Display
from tests.helpers.shown import Shown

PIPE_LINES = 150


class TestSnakemakesContract(TestLogHandlerBase):
    """The interface's own tests."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def _opened(self):
        self.opened = []
        yield
        for handler in self.opened:
            handler.close()

    def get_log_handler_cls(self):
        return LogHandler

    def get_log_handler_settings(self):
        return LogHandlerSettings()

    def _create_handler(self):
        common = MockOutputSettings()
        common.printshellcmds = False
        self.opened.append(LogHandler(common_settings=common, settings=LogHandlerSettings()))
        return self.opened[-1]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def shown():
    return Shown()


def test_a_stage_has_one_line_when_its_last_job_has_finished(shown):
    shown.plan(index_samples=2, report=1)
    assert shown.lines == ["3 jobs: index_samples 2, report 1"]
    shown.run("index_samples", 2, dataset="one")
    assert len(shown.lines) == 1
    shown.run("index_samples", 4, dataset="two")
    shown.run("report", 90)
    assert shown.lines[1:] == [
        "   0:06 2/3  index_samples: 2 jobs, 3.0 s each",
        "   1:36 3/3  report: 90 seconds",
    ]


def timings(path, images, seconds):
    path.write_text(f"images\tseconds\timages_per_second\n{images}\t{seconds}\t0\n")
    return [path.with_name("text.log").as_posix(), path.as_posix()]


def test_an_extraction_has_its_rate(shown, tmp_path):
    logs = timings(tmp_path / "a.timings.tsv", 899, 18.6)
    shown.plan(embed_images=2, report=1)
    for views in ("clean", "noise"):
        shown.run("embed_images", 20, logs=logs, model="tiny", dataset="d", views=views)
    assert shown.lines[1:] == [
        "   0:20 1/3  embed_images tiny d clean: 899 images in 19 seconds, 48.3 images/s",
        "   0:40 2/3  embed_images tiny d noise: 899 images in 19 seconds, 48.3 images/s",
        "   0:40 2/3  embed_images: 2 jobs, 20 seconds each, "
        "1,798 images in 37 seconds, 48.3 images/s",
    ]


def test_a_join_of_shards_has_no_rate_and_jobs_of_a_checkpoint_come_at_the_end(shown, tmp_path):
    logs = timings(tmp_path / "a.timings.tsv", 900, 9.0)
    shown.plan(embed_images=1)
    shown.total = 3
    for _ in range(2):
        shown.run("embed_shard", 10, logs=logs)
    shown.run("embed_images", 1, logs=logs, inputs=["x/clean.shards/0-256.h5"], views="clean")
    assert shown.lines[1:] == [
        "   0:21 3/3  embed_images clean: 1.0 s",
        "   0:21 3/3  embed_shard: 2 jobs, 10 seconds each, "
        "1,800 images in 18 seconds, 100 images/s",
    ]


def test_ten_thousand_jobs_in_two_days_print_few_lines(shown, tmp_path):
    logs = timings(tmp_path / "a.timings.tsv", 900, 9.0)
    shown.plan(embed_images=1000, evaluate=9000)
    for number in range(10_000):
        embeds = number < 1000
        shown.run("embed_images" if embeds else "evaluate", 17.5, logs=logs if embeds else ())
        shown.display.look(None)
    states = [line for line in shown.lines if " left" in line]
    assert 20 < len(states) == len(shown.lines) - 3 < PIPE_LINES
    assert shown.lines[-1] == "48:36:40 10000/10000  evaluate: 9,000 jobs, 18 seconds each"


def test_the_time_left_is_that_of_jobs_like_those_that_are_left(shown):
    shown.plan(quick=10, slow=3)
    for _ in range(8):
        shown.run("quick", 1)
    shown.run("slow", 100)
    job = shown.start("slow", model="tiny")
    shown.now += 60
    shown.display.look({"progress": 3, "of": 4, "unit": "images", "rate": "48.3", "log": "other"})
    # Two quick ones, 40 seconds of this one, one slow one.
    assert shown.lines[-1] == "   2:48  9/13  about 2 minutes left; slow tiny"
    shown.finish(job)
    shown.now += 1000
    shown.display.look(None)
    assert "; slow" not in shown.lines[-1]


def test_a_bar_shows_time_left_and_the_rate_of_what_runs(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    shown = Shown(Terminal())
    shown.plan(index_samples=1, embed_images=3)
    shown.run("index_samples", 3)
    shown.start("embed_images", model="tiny", views="clean", logs=["a.log"])
    shown.display.look({"progress": 3, "of": 4, "unit": "images", "rate": "48.3", "log": "a.log"})
    last = shown.stream.getvalue().rpartition("\r")[2]
    assert last.startswith(" 25%|██▌       | 0:03 1/4  about 9 seconds left; embed_images tiny")
    assert "embed_images tiny clean 75 %, 48.3 images/s" in last
    shown.display.end()
    assert shown.stream.getvalue().endswith("\r")


def test_a_pipe_has_no_control_characters(shown):
    shown.plan(a=2)
    shown.run("a", 100)
    shown.display.look(None)
    shown.display.look({"warning": "w", "log": ""})
    shown.run("a", 1, model="\x1b[2J")
    assert shown.stream.getvalue().replace("\n", "").isprintable()
    assert len(shown.lines) == 4


def test_a_warning_is_printed_once_and_counted_at_the_end(shown):
    shown.plan(a=1)
    for _ in range(3):
        shown.display.look({"warning": "lpclip: warning: w", "log": ""})
    for _ in range(2):
        shown.take(msg="No schema.", level=logging.WARNING)
    shown.take(msg="Once.", level=logging.WARNING)
    assert shown.lines[1:] == ["lpclip: warning: w", "No schema.", "Once."]
    shown.run("a", 1)
    assert shown.lines[-2:] == ["3 times: lpclip: warning: w", "2 times: No schema."]


ERROR = {
    "rule_name": "train_probe", "rule_msg": None, "jobid": 1, "input": ["in.h5"],
    "output": ["out.h5"], "log": ["logs/a.log"], "conda_env": None, "shellcmd": "lpclip train",
    "aux": {}, "indent": False,
}  # fmt: skip


def test_errors_and_what_is_not_known_are_printed_in_full(shown):
    texts = ["Nothing to be done.", "LockException:\nunlock", "a.h5 is made again: it differs."]
    for text in texts:
        shown.take(msg=text)
    shown.plan(train_probe=2)
    job = shown.start("train_probe", method="lp_clip")
    shown.take(LogEvent.ERROR, "RuleException:\nstatus 1.", logging.ERROR, exception="R")
    shown.take(LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **ERROR | {"jobid": job})
    printed = shown.stream.getvalue()
    for text in [*texts, "RuleException:\nstatus 1.", "Error in rule train_probe:\n"]:
        assert text in printed
    assert "lpclip train\n" in printed
    assert "logs/a.log (check log file(s)" in printed


RULE_ERROR = "RuleException:\nCalledProcessError in file x:\nCommand 'lpclip train --log {} --n 1'"


def test_an_error_that_a_job_sent_is_printed_once_with_its_log(shown):
    shown.plan(train_probe=2)
    for attempt in range(2):
        job = shown.start("train_probe", method="lp_clip", logs=["logs/a.log"])
        shown.display.look({"error": "two lines\nof an error", "log": "logs/a.log"})
        for log in ("logs/a.log", *["logs/ab.log"] * attempt):
            text = RULE_ERROR.format(log)
            shown.take(LogEvent.ERROR, text, logging.ERROR, exception="RuleException")
        told = ERROR | {"jobid": job, "shellcmd": "lpclip train --log logs/a.log"}
        shown.take(LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **told)
    assert shown.lines[1:] == [
        "   0:00 0/2  train_probe lp_clip failed:",
        "two lines",
        "of an error",
        "(log: logs/a.log)",
        "   0:00 0/2  train_probe lp_clip failed again, with the same error",
        *RULE_ERROR.format("logs/ab.log").splitlines(),  # of a job that sent nothing
    ]
    assert watching.was_shown(Path("logs/a.log"))
    assert not watching.was_shown(Path("logs/ab.log"))
    assert not shown.display._run.jobs


def test_a_second_try_that_sends_nothing_is_reported_by_snakemake(shown):
    shown.plan(train_probe=1)
    command = "lpclip train --log logs/a.log --n 1"
    for error in ({"error": "no memory", "log": "logs/a.log"}, None):  # the second is killed
        job = shown.start("train_probe", logs=["logs/a.log"], command=command)
        shown.display.look(error)
        text = RULE_ERROR.format("logs/a.log")
        shown.take(LogEvent.ERROR, text, logging.ERROR, exception="RuleException")
        told = ERROR | {"jobid": job, "shellcmd": command}
        shown.take(LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **told)
    printed = "\n".join(shown.lines)
    assert printed.count("no memory") == 1
    assert printed.count("CalledProcessError") == 1
    assert printed.index("no memory") < printed.index("CalledProcessError")


def test_the_log_of_a_failed_job_is_shown_where_it_is_wanted(tmp_path):
    (tmp_path / "a.log").write_text("all that it logged")
    logs = [str(tmp_path / "a.log")]
    for wanted in (False, True):
        shown = Shown(logs=wanted)
        shown.plan(train_probe=1)
        command = f"lpclip train --log {logs[0]} --n 1"
        job = shown.start("train_probe", logs=logs, command=command)
        shown.display.look({"error": "no memory", "log": logs[0]})
        told = ERROR | {"jobid": job, "shellcmd": command, "log": logs}
        shown.take(LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **told)
        assert ("all that it logged" in "\n".join(shown.lines)) == wanted


def test_what_stages_replace_is_left_out(shown):
    for text in ("Building DAG of jobs...", "Select jobs to execute...", "Using shell: bash"):
        shown.take(msg=text)
    shown.take(LogEvent.WORKFLOW_STARTED, "Workflow has started!")
    shown.take(LogEvent.JOB_STARTED, "Execute 2 jobs...", jobs=[1, 2])
    shown.take(LogEvent.RESOURCES_INFO, "Provided cores: 2", cores=2)
    assert shown.lines == []


def test_jobs_that_the_user_interrupts_are_named_without_their_commands(shown):
    shown.plan(done=2, train_probe=1)
    shown.run("done", 1)
    job = shown.start("train_probe", method="lp_clip")
    shown.take(msg="Terminating processes on user request, this might take some time.")
    text = "RuleException:\nCommand 'lpclip train' returned non-zero exit status"
    shown.take(LogEvent.ERROR, f"{text} 130.", logging.ERROR, exception="R")
    shown.take(LogEvent.JOB_ERROR, "Error in rule", logging.ERROR, **ERROR | {"jobid": job})
    assert shown.lines[1:] == [
        "   0:01 1/3  done: 1 of 2 jobs, 1.0 s each",
        "Terminating processes on user request, this might take some time.",
        "   0:01 1/3  train_probe lp_clip: interrupted",
    ]
    shown.take(LogEvent.ERROR, f"{text} 1.", logging.ERROR, exception="R")
    assert shown.lines[-1].endswith("exit status 1.")


REASON = "Params have changed since last execution: before {}; now {}"


def test_why_a_stage_is_made_again(shown):
    shown.plan(a=2, b=1)
    shown.run("a", 1, reason=REASON)
    shown.run("a", 1, reason=f"Updated input files: x.h5; {REASON}")
    shown.run("b", 1, reason="Missing output files: y; Input files updated by another job: x.h5")
    assert shown.lines[-2].endswith(
        "(made again: settings or code changed, an input is newer and settings or code changed)"
    )
    assert shown.lines[-1].endswith("b: 1.0 s")
    silent = Shown(quiet={Quietness.REASON})
    silent.plan(a=1)
    silent.run("a", 1, reason=REASON)
    assert silent.lines[-1].endswith("a: 1.0 s")


@pytest.mark.parametrize("wanted", ["dryrun", "verbose", "printshellcmds", "debug_dag", "full", ""])
def test_snakemake_prints_by_itself_where_all_is_wanted(wanted):
    common = MockOutputSettings()
    common.printshellcmds = False
    if wanted and wanted != "full":
        setattr(common, wanted, True)
    handler = LogHandler(common, LogHandlerSettings(full=wanted == "full"))
    try:
        assert handler.writes_to_stream == (not wanted)
        assert watching.is_watched() == (not wanted)
    finally:
        handler.close()
    assert not watching.is_watched()


def test_what_a_job_sent_is_shown_before_its_end_and_when_the_run_ends(capsys):
    common = MockOutputSettings()
    common.printshellcmds = False
    handler = LogHandler(common, LogHandlerSettings())
    handler._display = Display(common, sys.stderr)
    for number, event in enumerate((LogEvent.RUN_INFO, LogEvent.JOB_FINISHED)):
        assert watching.send(warning=f"w{number}")
        record = logging.LogRecord("snakemake", logging.INFO, "", 0, None, (), None)
        record.__dict__.update(event=event, stats={"a": 2, "total": 2}, job_id=1)
        handler.handle(record)
    assert watching.send(warning="last")
    handler.close()
    assert capsys.readouterr().err.splitlines() == ["w0", "2 jobs: a 2", "w1", "last"]
