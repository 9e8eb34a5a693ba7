"""Jobs as forks of one process: they end, write and are killed as processes of their own are."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lpclip.cli.hand_over import ADDRESS
from tests.helpers import ROOT

# A shell that runs tests in the background lets them ignore the keyboard; these do not.
START = f"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from lpclip.cli.job_server import start_job_server
start_job_server()
print(os.environ["{ADDRESS}"], flush=True)
sys.stdin.read()
"""
# Shows at its end whether it has imported what the stage needs.
COMMAND = """
import atexit, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from lpclip.cli import main
atexit.register(lambda: print("pandas" in sys.modules))
main()
"""
SETTINGS = json.dumps({"dataset": "digits", "source": {"kind": "digits", "split": "test"}})
WAIT_SECONDS = 120


class Run:
    """A process that has started a server, as the Snakefile does."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", START],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            process_group=0,
        )
        self.address = self.process.stdout.readline().strip()
        (self.server,) = psutil.Process(self.process.pid).children()

    def command(self, *arguments, threads=1):
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *map(str, arguments), "--threads", str(threads)],
            env={**os.environ, ADDRESS: self.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A group is there as long as a process of it is.
            process_group=self.process.pid if self.process.poll() is None else None,
        )

    def fork_of(self, command):
        """The child of the server that has the command's output: libraries start others."""
        output = os.fstat(command.stdout.fileno()).st_ino
        for child in self.server.children():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if Path(f"/proc/{child.pid}/fd/1").stat().st_ino == output:
                    return child
        return None

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def run():
    started = Run()
    yield started
    started.end()
    assert psutil.wait_procs([started.server], WAIT_SECONDS)[1] == []


def index(output, *more):
    return ["index-samples", "--output", output, "--settings", SETTINGS, *more]


@pytest.fixture
def waiting(run, tmp_path):
    """A command whose fork waits for a reader of its log, and that fork."""
    os.mkfifo(tmp_path / "log")
    command = run.command(*index(tmp_path / "samples.h5", "--log", tmp_path / "log"))
    end = time.monotonic() + WAIT_SECONDS
    while (fork := run.fork_of(command)) is None:
        assert command.poll() is None
        assert time.monotonic() < end
        select.select([], [], [], 0.02)
    yield command, fork
    command.kill()
    command.communicate()


def test_a_job_leaves_what_a_process_of_its_own_leaves(run, tmp_path):
    printed = {}
    for folder, threads in (("fork", 1), ("process", 2)):
        path = tmp_path / folder
        path.mkdir()
        command = run.command(*index(path / "samples.h5", "--log", path / "log"), threads=threads)
        printed[folder] = command.communicate()
        assert command.returncode == 0, printed
    assert printed == {"fork": ("False\n", ""), "process": ("True\n", "")}
    fork, process = ((tmp_path / one / "samples.h5").read_bytes() for one in printed)
    assert fork == process
    first, *rest = (tmp_path / "fork/log").read_text().splitlines()
    assert first.startswith("lpclip index-samples --output ")
    assert "indexed 899 images" in rest[-1]


def test_a_job_that_fails_ends_with_its_sentence_and_status(run, tmp_path):
    command = run.command("index-samples", "--output", tmp_path / "s.h5", "--settings", "[]")
    printed, error = command.communicate()
    assert (command.returncode, printed) == (1, "False\n")
    assert error == "lpclip: --settings must be a JSON object, such as '{\"seed\": 0}'.\n"


def test_the_folder_and_the_environment_are_those_of_the_command(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = run.command(*index("samples.h5"))
    assert (command.communicate(), command.returncode) == (("False\n", ""), 0)
    assert (tmp_path / "samples.h5").is_file()


def test_a_killed_command_takes_its_fork_with_it(waiting):
    command, fork = waiting
    command.kill()
    assert psutil.wait_procs([fork], WAIT_SECONDS)[1] == []


def test_a_killed_fork_ends_its_command_by_the_same_signal(waiting):
    command, fork = waiting
    fork.kill()
    assert command.wait(WAIT_SECONDS) == -signal.SIGKILL


def test_a_pool_of_threads_that_an_interruption_left_open_holds_nobody_up():
    code = """
from concurrent.futures import ThreadPoolExecutor
from lpclip.cli.job_server import _leave
pool = ThreadPoolExecutor(1)
pool.submit(int).result()
_leave(7)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 7


def test_the_keyboard_interrupts_all(run, waiting):
    command, fork = waiting
    end = time.monotonic() + WAIT_SECONDS
    # Again until it ends: a library that is being imported may lose an interruption.
    while command.poll() is None and time.monotonic() < end:
        os.killpg(run.process.pid, signal.SIGINT)
        select.select([], [], [], 0.5)
    # By the signal where it comes before the command itself has begun.
    assert command.returncode in (130, -signal.SIGINT)
    assert psutil.wait_procs([fork, run.server], WAIT_SECONDS)[1] == []


def test_the_server_ends_with_its_starter_after_its_last_job(run, waiting, tmp_path):
    command, _ = waiting
    run.process.kill()
    log = os.open(tmp_path / "log", os.O_RDWR)  # lets the job go on; nothing has to be read
    assert command.wait(WAIT_SECONDS) == 0
    os.close(log)
    assert (tmp_path / "samples.h5").is_file()
    assert psutil.wait_procs([run.server], WAIT_SECONDS)[1] == []
    assert not Path(run.address).parent.exists()


def test_a_command_runs_itself_once_the_server_has_ended(run, tmp_path):
    run.end()
    psutil.wait_procs([run.server], WAIT_SECONDS)
    command = run.command(*index(tmp_path / "samples.h5"))
    assert (command.communicate(), command.returncode) == (("True\n", ""), 0)


def test_folders_of_killed_servers_are_removed_and_those_of_others_stay(run):
    killed = Run()
    killed.server.kill()
    killed.end()
    folders = [Path(one.address).parent for one in (run, killed)]
    for folder in folders:
        assert folder.is_dir()
        os.utime(folder, (0, 0))
    (unused := Path(f"{folders[0].parent / folders[0].name[:-8]}unused00")).mkdir()
    os.utime(unused, (0, 0))
    another = Run()
    another.end()
    assert not unused.exists()
    assert [folder.is_dir() for folder in folders] == [True, False]
    assert psutil.wait_procs([another.server], WAIT_SECONDS)[1] == []


def test_nobody_else_can_reach_the_server(run):
    assert Path(run.address).parent.stat().st_mode & 0o777 == 0o700
