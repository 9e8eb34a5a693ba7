"""Writers of temporary files: live ones are left alone, dead ones replaced, on any machine."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys

import pytest

from lpclip.errors import LpclipError
from lpclip.utils import atomic, writers

# Another machine: a process with another host name, which writes in its own temporary folder and
# prints a line once it has begun. Arguments: output, what to do then.
ELSEWHERE = """
import ctypes, socket, sys
from pathlib import Path
from lpclip.utils import atomic
from lpclip.errors import LpclipError
from lpclip.utils import writers
output, name, work = sys.argv[1:]
if name:
    socket.gethostname = lambda: name
writers.BEAT_SECONDS = 0.02
try:
    with atomic.resumable_folder(Path(output)) as folder:
        (folder / "part").write_text("done")
        print("begun", flush=True)
        if work == "hold the lock":
            ctypes.PyDLL(None).sleep(600)  # holds the GIL, so that no other thread runs
        sys.stdin.readline()
        (folder / "part").write_text("written late")
except LpclipError as error:
    print(error)
"""


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out.h5"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait long enough to see a heartbeat; tests that wait for silence shorten this."""
    monkeypatch.setattr(writers, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(writers, "SILENCE_SECONDS", 60.0)


@pytest.fixture
def hasty(monkeypatch, patient):  # noqa: ARG001
    monkeypatch.setattr(writers, "SILENCE_SECONDS", 0.2)


@pytest.fixture
def elsewhere(target):
    """Start a writer of the target under another host name; return once it has begun."""
    started = []

    def start(host="node7", work="wait", before=()):
        process = subprocess.Popen(
            [*before, sys.executable, "-c", ELSEWHERE, str(target), host, work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        if process.stdout.readline() != "begun\n":
            pytest.skip(f"cannot run {' '.join(before)}")
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("work", ["wait", "hold the lock"])
def test_a_writer_of_another_machine_that_lives_keeps_its_folder(target, elsewhere, work, caplog):
    elsewhere(work=work)
    with atomic.resumable_folder(target) as folder:
        assert names(folder) == []
        assert len(names(target.parent)) == 2
    assert "on node7 is writing the same output" in caplog.text
    assert "node7" in "".join(names(target.parent))


@pytest.mark.usefixtures("hasty")
def test_a_writer_that_was_killed_on_another_machine_has_an_heir(target, elsewhere, caplog):
    caplog.set_level("INFO", "lpclip")
    process = elsewhere()
    process.kill()
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        while True:  # its heartbeat ends by itself
            os.killpg(process.pid, 0)
    with atomic.resumable_folder(target) as folder:
        assert (folder / "part").read_text() == "done"
    assert names(target.parent) == []
    assert f"taken over from process {process.pid} on node7, which is gone" in caplog.text


@pytest.mark.usefixtures("hasty")
def test_a_suspended_writer_notices_that_it_has_an_heir_and_writes_nothing(target, elsewhere):
    process = elsewhere()
    os.killpg(process.pid, signal.SIGSTOP)
    with atomic.resumable_folder(target) as folder:
        assert names(folder) == ["part"]
        os.killpg(process.pid, signal.SIGCONT)
        printed, _ = process.communicate("\n")
        assert "another run took over its unfinished work" in printed
        assert (folder / "part").read_text() == "done"
        assert names(target.parent) == [folder.name]


def test_process_one_of_a_container_with_the_same_host_name_is_another(target, elsewhere):
    elsewhere(host="", before=["unshare", "--pid", "--fork", "--kill-child"])
    (left,) = names(target.parent)
    assert "-1-" in left
    with atomic.resumable_folder(target) as folder:
        assert names(folder) == []
        assert left in names(target.parent)


def test_a_temporary_file_that_was_swept_is_no_output(target):
    with pytest.raises(LpclipError, match="another run took over"), atomic.atomic_path(target) as p:
        p.unlink()
    assert names(target.parent) == []


class Clock:
    """A clock that advances only while the code under test sleeps."""

    def __init__(self, monkeypatch):
        self.now, self.asleep = 0.0, []
        monkeypatch.setattr(writers.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(writers.time, "sleep", self.sleep)
        monkeypatch.setattr(writers, "POLL_SECONDS", 1.0)
        monkeypatch.setattr(writers, "SILENCE_SECONDS", 90.0)

    def sleep(self, seconds):
        self.asleep.append(self.now)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def unknown(target):
    """Write a file of a writer on another machine."""
    path = target.with_name(f".{target.name}.node7-123-4567-89abcdef.part")
    path.write_text("half")
    return path


@pytest.mark.parametrize("year", [1970, 2100])
def test_what_counts_is_silence_seen_from_here_not_the_clock_of_another(
    target, unknown, clock, year
):
    then = (year - 1970) * 365 * 86400
    os.utime(unknown, (then, then))
    assert list(atomic.leftovers(target, "part")) == [unknown]
    assert 90 <= clock.now < 92


def test_one_sign_of_life_is_enough_whatever_its_date(target, unknown, clock):
    real = clock.sleep

    def sleep(seconds):
        real(seconds)
        if clock.now == 60:
            os.utime(unknown, (5, 5))

    writers.time.sleep = sleep
    assert atomic.leftovers(target, "part") == {}
    assert clock.now == 60


def test_time_in_which_the_file_system_hangs_is_no_silence(target, unknown, clock):
    real = clock.sleep

    def sleep(seconds):
        real(seconds + (600 if clock.now < 1 else 0))

    writers.time.sleep = sleep
    assert list(atomic.leftovers(target, "part")) == [unknown]
    assert clock.now > 600 + 80


def test_several_are_observed_at_once(target, unknown, clock):
    other = unknown.with_name(unknown.name.replace("123", "124"))
    other.write_text("half")
    assert list(atomic.leftovers(target, "part")) == [unknown, other]
    assert clock.now < 92


def test_a_file_that_vanishes_while_it_is_observed_is_nobodys(target, unknown, clock):
    real = clock.sleep

    def sleep(seconds):
        real(seconds)
        unknown.unlink(missing_ok=True)

    writers.time.sleep = sleep
    assert atomic.leftovers(target, "part") == {}


@pytest.mark.usefixtures("clock")
def test_the_name_of_a_longer_target_is_not_mistaken(target):
    longer = target.with_name(f".{target.name}.csv.node7-123-4567-89abcdef.part")
    longer.write_text("half")
    assert atomic.leftovers(target, "part") == {}


@pytest.mark.usefixtures("clock")
def test_what_an_earlier_version_left_is_swept(target):
    old = target.with_name(f".{target.name}.node7.cluster.123.part")
    old.write_text("half")
    assert list(atomic.leftovers(target, "part")) == [old]


def test_here_the_answer_takes_no_time(target, clock):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started, place = writers._started(process.pid), writers._place()
    alive = target.with_name(f".{target.name}.me-{process.pid}-{started}-{place}.part")
    again = target.with_name(f".{target.name}.me-{process.pid}-{started - 1}-{place}.part")
    alive.touch()
    again.touch()
    # A process id that has since been reused.
    assert list(atomic.leftovers(target, "part")) == [again]
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    # Ended but not yet waited for.
    assert set(atomic.leftovers(target, "part")) == {alive, again}
    process.wait()
    assert set(atomic.leftovers(target, "part")) == {alive, again}
    assert clock.asleep == []


def test_a_short_writer_starts_no_heartbeat_and_a_long_one_does(target, monkeypatch):
    started = []
    real = writers._start_beating
    monkeypatch.setattr(
        writers, "_start_beating", lambda path: started.append(real(path)) or started[-1]
    )
    with writers.heartbeat(target, at_once=False):
        pass
    assert started == []
    monkeypatch.setattr(writers, "BEAT_SECONDS", 0.01)
    target.write_text("half")
    os.utime(target, (0, 0))
    with writers.heartbeat(target, at_once=False):
        while target.stat().st_mtime == 0:
            ctypes.CDLL(None).sched_yield()
    assert len(started) == 1
    assert started[0].poll() is not None
