"""Run the jobs of a workflow as forks of one process, which imports the libraries once.

Starting Python with PyTorch, open_clip or pandas takes longer than a job on a few small images.
With ``compute: {share_imports: true}`` the Snakefile starts a server on this machine, to which the
commands of jobs hand themselves over (``lpclip.cli.hand_over``). The server imports the module of
the stage, unless it has done so, and forks. The fork has the folder, the environment and the
standard streams of the command, and runs it like a process of its own.

The server ends with the process that started it, after its last job. A command that is killed takes
its fork with it; an interruption from the keyboard reaches the fork itself.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import NamedTuple, NoReturn

from lpclip.cli.command import main
from lpclip.cli.hand_over import ADDRESS, STREAMS
from lpclip.cli.stages import STAGES

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_OF_GROUP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CLIENT_SECONDS = 10.0  # for a command to send what is to be run
# Of the folders of sockets of this machine: others may share the folder of temporary files.
_PREFIX = f"lpclip-jobs-{zlib.crc32(socket.gethostname().encode()):08x}-"
_YOUNG_SECONDS = 60.0  # before that, a server may not listen yet
# Servers started here, each with the end of a pipe that is open as long as this process lives.
_running: list[tuple[subprocess.Popen[bytes], int]] = []


def start_job_server() -> None:
    """Start a server that ends with this process; nothing where the system has no such means."""
    if not hasattr(os, "pidfd_open"):  # Linux alone
        return
    _remove_folders_of_killed_servers()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # of this user alone
    address = folder / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(address))
        except OSError:  # the path of the temporary folder is too long for a socket
            folder.rmdir()
            return
        listener.listen(socket.SOMAXCONN)
        alive, held = os.pipe()
        passed = [listener.fileno(), alive]
        # With -P the working directory cannot replace a library.
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *map(str, passed), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | _ONE_THREAD,
            pass_fds=passed,
        )
        os.close(alive)
    _running.append((server, held))
    os.environ[ADDRESS] = str(address)


def _remove_folders_of_killed_servers() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            found = folder.stat()
            if found.st_uid != os.getuid() or time.time() - found.st_mtime < _YOUNG_SECONDS:
                continue
            try:
                client.connect(str(folder / "socket"))
            except (ConnectionRefusedError, FileNotFoundError):
                shutil.rmtree(folder)


class _Job(NamedTuple):
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    mask: int
    streams: list[int]


def _received(connection: socket.socket) -> _Job:
    connection.settimeout(_CLIENT_SECONDS)
    size, streams, _, _ = socket.recv_fds(connection, 8, len(STREAMS))
    with connection.makefile("rb") as file:
        text = file.read(int.from_bytes(size))
    arguments, folder, environment, mask = json.loads(text)
    return _Job(arguments, folder, environment, mask, streams)


class _Server:
    """One loop that takes commands, forks, and returns how forks ended."""

    def __init__(self, listener: socket.socket, alive: int) -> None:
        self.listener, self.alive = listener, alive
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self._take)
        self.selector.register(alive, selectors.EVENT_READ, self._stop)
        self.jobs = dict[int, tuple[int, socket.socket]]()  # process -> descriptor, connection
        self.stopped = False

    def next_job(self) -> _Job | None:
        """Return a job in each fork, and None in the server when it has to end."""
        while self.jobs or not self.stopped:
            for key, _ in self.selector.select():
                job: _Job | None = key.data()
                if job is not None:
                    return job
        return None

    def _stop(self) -> None:
        self.stopped = True
        self.selector.unregister(self.alive)

    def _take(self) -> _Job | None:
        connection, _ = self.listener.accept()
        try:
            job = _received(connection)
        except (OSError, ValueError):  # a command that was killed meanwhile
            connection.close()
            return None
        with contextlib.suppress(Exception):  # the fork meets the same error, and reports it
            importlib.import_module(STAGES[job.arguments[0]].function.partition(":")[0])
        # A fork that looked through the server's objects for garbage would copy their memory.
        gc.freeze()
        process = os.fork()
        if process == 0:
            connection.close()
            self._close()
            return job
        for descriptor in job.streams:
            os.close(descriptor)
        self.jobs[process] = os.pidfd_open(process), connection
        self.selector.register(
            self.jobs[process][0], selectors.EVENT_READ, lambda: self._end(process)
        )
        # All has been read from it, so that it is ready when the command has ended.
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._kill(process))
        return None

    def _kill(self, process: int) -> None:
        if process in self.jobs:
            self.selector.unregister(self.jobs[process][1])
            os.kill(process, signal.SIGKILL)

    def _end(self, process: int) -> None:
        descriptor, connection = self.jobs.pop(process)
        _, status = os.waitpid(process, 0)
        self.selector.unregister(descriptor)
        os.close(descriptor)
        with contextlib.suppress(KeyError):  # its command was killed
            self.selector.unregister(connection)
        with contextlib.suppress(OSError):
            connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))
        connection.close()

    def _close(self) -> None:
        """Close in a fork what belongs to the server and to other jobs."""
        self.selector.close()
        self.listener.close()
        if not self.stopped:
            os.close(self.alive)
        for descriptor, connection in self.jobs.values():
            os.close(descriptor)
            connection.close()


def _serve(listener: int, alive: int, folder: Path) -> None:
    # What is sent to the whole group of processes reaches the forks; the server ends after them.
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_GROUP)
    job = _Server(socket.socket(fileno=listener), alive).next_job()
    if job is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for stream, descriptor in zip(STREAMS, job.streams, strict=True):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(job.folder)
    os.umask(job.mask)
    del job.environment[ADDRESS]  # the fork does not hand over again
    os.environ.clear()
    os.environ.update(job.environment)
    signal.pthread_sigmask(signal.SIG_SETMASK, usual)
    try:
        main(job.arguments)
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else 0)
    _leave(0)


def _leave(status: int) -> NoReturn:
    """End without freeing the server's objects one by one, which takes half a second."""
    # As Python ends: idle threads of pools that an interruption left open end, too.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
