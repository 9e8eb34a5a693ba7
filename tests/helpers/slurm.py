"""A Slurm of several pretend nodes on this machine, with pretend GPUs, for tests.

It runs as whoever starts it, on the loopback interface, with all its files in one folder, and needs
nothing in /etc: ``slurm-wlm``, ``slurm-wlm-basic-plugins`` and ``munge`` are Debian's names of the
packages. Memory that a job was not given ends it, as on a cluster.
"""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
_SBIN = "/usr/sbin"
_CONFIGURATION = """\
ClusterName=lpclip
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=60000
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=2
OverTimeLimit=0
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=ALL Default=YES State=UP MaxTime=INFINITE
PartitionName=gpu Nodes={with_gpu} State=UP MaxTime=INFINITE
"""


def missing() -> list[str]:
    """Return the programs of Slurm that are not installed."""
    path = f"{os.environ['PATH']}:{_SBIN}"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class Job(NamedTuple):
    """A job in Slurm's queue, or one that has ended."""

    number: str
    state: str
    node: str
    time_limit: str
    comment: str


class Slurm:
    """A running Slurm.

    Attributes:
        environment: what a process that submits jobs needs.
    """

    def __init__(self, folder: Path, *, nodes: int, cpus: int, memory_mb: int, gpus: int) -> None:
        self._folder, self._names = folder, [f"node{number}" for number in range(1, nodes + 1)]
        ports = _free_ports(nodes + 1)
        lines = []
        for number, (name, port) in enumerate(zip(self._names, ports[1:], strict=True)):
            gres = "Gres=gpu:pretended:1" if number < gpus else ""
            lines.append(
                f"NodeName={name} NodeHostname={_host()} NodeAddr=127.0.0.1 Port={port}"
                f" CPUs={cpus} RealMemory={memory_mb} {gres}"
            )
        with_gpu = ",".join(self._names[:gpus])
        text = _CONFIGURATION.format(
            host=_host(),
            port=ports[0],
            folder=folder,
            user=getpass.getuser(),
            nodes="\n".join(lines),
            with_gpu=with_gpu,
        )
        gres = [
            f"NodeName={name} Name=gpu Type=pretended File=/dev/zero" for name in self._names[:gpus]
        ]
        (folder / "slurm.conf").write_text(text)
        (folder / "gres.conf").write_text("\n".join(gres))
        (folder / "state").mkdir()
        _private(folder / "munge.key").write_bytes(os.urandom(128))
        # The plugin hides SLURM_CONF from what a job starts; this srun finds it nevertheless.
        programs = folder / "bin"
        programs.mkdir()
        (programs / "srun").write_text(
            f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
        )
        (programs / "srun").chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}:{_SBIN}",
            "SLURM_CONF": f"{folder}/slurm.conf",
        }

    def start(self) -> None:
        """Start all daemons, and wait until every node takes jobs."""
        folder = self._folder
        munge = [f"--{name}={folder}/munge.{name}" for name in ("socket", "pid-file", "log-file")]
        munge += [f"--key-file={folder}/munge.key", f"--seed-file={folder}/munge.seed"]
        self.run("munged", "--force", *munge)
        self.run("slurmctld")
        for name in self._names:
            self.start_node(name)
        self.wait(lambda: len(self._idle()) == len(self._names))

    def _idle(self) -> set[str]:
        states = self.run("sinfo", "-h", "-N", "-o", "%N %t").splitlines()
        return {line.split()[0] for line in states if line.endswith(" idle")}

    def start_node(self, name: str, *, within: Sequence[str] = ()) -> None:
        """Start the daemon of a node, ``within`` another command, such as ``unshare``."""
        (self._folder / name).mkdir(exist_ok=True)
        self.run(*within, "slurmd", "-N", name)

    def kill_node(self, name: str) -> None:
        """Kill a node: its daemon and all that it runs, at once."""
        daemon = psutil.Process(int((self._folder / f"{name}.pid").read_text()))
        jobs = self.run("squeue", "-h", "-w", name, "-t", "R", "-o", "%A").split()
        for process in [daemon, *daemon.children(recursive=True), *_of_jobs(jobs)]:
            _signal(process, signal.SIGKILL)

    def stop_processes(self, job: "Job") -> None:
        """Make a job's processes stand still: it takes as long as it is allowed to."""
        for process in _of_jobs([job.number]):
            if not process.name().startswith("slurm"):
                _signal(process, signal.SIGSTOP)

    def continue_processes(self, job: "Job") -> None:
        """Let them go on."""
        for process in _of_jobs([job.number]):
            _signal(process, signal.SIGCONT)

    def run(self, *command: str) -> str:
        """Run a program of Slurm and return what it prints."""
        found = subprocess.run(
            command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return found.stdout

    def jobs(self, name: str = "", *, states: str = "all") -> list["Job"]:
        """Return the jobs in some states, in the order of submission, with ``name`` in theirs."""
        form = "%A|%T|%N|%l|%k"
        lines = self.run("squeue", "-h", "-t", states, "-S", "i", "-o", form).splitlines()
        found = [Job(*line.split("|", 4)) for line in lines]
        return [job for job in found if name in job.comment]

    def starts(self, name: str) -> int:
        """Return how often jobs with this in their names were started, by us or by Slurm."""
        shown = [self.run("scontrol", "show", "job", job.number) for job in self.jobs(name)]
        started = [text for text in shown if "StartTime=Unknown" not in text]
        return sum(1 + int(re.search(r"Restarts=(\d+)", text)[1]) for text in started)

    def wait(self, condition: Callable[[], bool], *, seconds: float = 60) -> None:
        """Wait for something that Slurm does.

        Raises:
            TimeoutError: it did not.
        """
        end = monotonic() + seconds
        while not condition():
            if monotonic() > end:
                raise TimeoutError(f"Slurm took longer than {seconds} s; its logs: {self._folder}")
            sleep(0.2)

    def stop(self) -> None:
        """Kill all jobs and daemons."""
        processes = list(_of_jobs(None, configuration=self.environment["SLURM_CONF"]))
        for path in [*self._folder.glob("*.pid"), self._folder / "munge.pid-file"]:
            try:
                processes.append(psutil.Process(int(path.read_text())))
            except (OSError, ValueError, psutil.NoSuchProcess):
                continue
        for process in processes:
            _signal(process, signal.SIGKILL)


@contextmanager
def slurm(
    folder: Path, *, nodes: int = 3, cpus: int = 2, memory_mb: int = 8000, gpus: int = 2
) -> Iterator[Slurm]:
    """Start a Slurm in an empty folder, and end it.

    Args:
        folder: its files.
        nodes: nodes, named node1, node2, …
        cpus: of each node, whatever this machine has.
        memory_mb: of each node, likewise.
        gpus: how many of the nodes have a pretend GPU.
    """
    cluster = Slurm(folder, nodes=nodes, cpus=cpus, memory_mb=memory_mb, gpus=gpus)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _of_jobs(jobs: list[str] | None, configuration: str | None = None) -> Iterator[psutil.Process]:
    """Find the processes of jobs by their environment, or all that use one configuration."""
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            found = process.environ()
        except psutil.Error:
            continue
        of_job = jobs is not None and found.get("SLURM_JOB_ID") in jobs
        if of_job or (configuration is not None and found.get("SLURM_CONF") == configuration):
            yield process


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _private(path: Path) -> Path:
    path.touch(mode=0o600)
    return path


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
