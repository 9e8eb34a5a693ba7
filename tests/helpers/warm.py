"""Processes that have imported the libraries: jobs of a workflow start in no time.

Starting Python and importing PyTorch, open_clip and pandas takes most of the time of a job on a few
small images. Here one process imports them once, and every job is a fork of it; see
site/sitecustomize.py for how a command gets there. Where the start itself is tested (kills, limits,
permissions, the walk through README), commands start as they do for users.
"""

import atexit
import functools
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SITE = Path(__file__).with_name("site")


def environment(package, **variables):
    """Variables of a command that uses lpclip from a folder, with jobs that start warm."""
    others = filter(None, [os.environ.get("PYTHONPATH")])
    path = os.pathsep.join([str(SITE), str(package), *others])
    return os.environ | {"PYTHONPATH": path, "LPCLIP_WARM_JOBS": _address()} | variables


@functools.cache
def _address():
    """The socket of this process's server, which ends with this process."""
    folder = tempfile.mkdtemp()
    address = Path(folder) / "jobs"
    reader, writer = os.pipe()
    command = [sys.executable, __file__, address, str(reader)]
    server = subprocess.Popen(command, pass_fds=[reader])
    os.close(reader)
    while not address.exists():
        assert server.poll() is None, "the process that starts jobs has ended"
        select.select([], [], [], 0.05)

    def end():
        os.close(writer)  # the system closes it too, however this process ends
        server.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    return str(address)


def serve(address, alive):
    """Take jobs until the other end of the pipe ``alive`` is closed."""
    import h5py  # noqa: F401
    import jinja2  # noqa: F401
    import open_clip  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pydantic  # noqa: F401
    import scipy.optimize
    import scipy.special  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import snakemake.cli  # noqa: F401
    import torchvision.datasets  # noqa: F401
    from matplotlib.figure import Figure  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{address}.new")
        server.listen(64)
        Path(f"{address}.new").rename(address)
        while True:
            if alive in select.select([server, alive], [], [])[0]:
                return
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                os.close(alive)
                _supervise(connection)
            connection.close()


def _supervise(connection):
    """Run one job and send its status; kill it when the one who waits for it is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    size = int.from_bytes(length)
    with connection.makefile("rb") as file:
        job = json.loads(file.read(size))
    worker = os.fork()
    if worker == 0:
        connection.close()
        _run(job, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(worker)
    if ended not in select.select([ended, connection], [], [])[0]:
        os.kill(worker, signal.SIGKILL)
    _, status = os.waitpid(worker, 0)
    code = os.waitstatus_to_exitcode(status)
    connection.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _run(job, descriptors):
    status = 1
    try:
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.chdir(job["folder"])
        os.environ.clear()
        os.environ.update(job["environment"])
        sys.path[:] = job["path"]
        _set_threads(job["arguments"])
        status = _run_as_main(job["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                status = status or 120
        os._exit(status)


def _set_threads(arguments):
    """Do what `lpclip --threads` does for libraries that it has yet to import."""
    import threadpoolctl
    import torch

    if "--threads" in arguments:
        asked = int(arguments[arguments.index("--threads") + 1])
        n = min(asked, len(os.sched_getaffinity(0)))
        torch.set_num_threads(n)
        threadpoolctl.threadpool_limits(n)


def _run_as_main(arguments):
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, str(Path.cwd()))
        start = functools.partial(runpy.run_module, arguments[1], alter_sys=True)
    else:
        sys.argv = arguments
        start = functools.partial(runpy.run_path, arguments[0])
    patch = os.environ.get("LPCLIP_WARM_PATCH")
    try:
        if patch:
            runpy.run_path(patch)
        start(run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    return 0


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
