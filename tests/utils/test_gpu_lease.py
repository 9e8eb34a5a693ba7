"""Leases of pretend GPUs, by real processes and real locks."""

import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from lpclip.utils import gpu_lease
from lpclip.utils.gpu_lease import Gpu, lease

FOUR = [Gpu(index, f"GPU-{name}") for index, name in enumerate("abcd")]

JOB = """
import json, os, sys
from pathlib import Path
from lpclip.utils import gpu_lease
gpu_lease.FILE = Path(sys.argv[1])
gpus = [gpu_lease.Gpu(**each) for each in json.loads(sys.argv[2])]
print("ready", flush=True)
sys.stdin.readline()
"""
LEASE = """
held = gpu_lease.lease(gpus)
print(held.gpu.uuid, held.others, flush=True)
sys.stdin.readline()
"""
# A worker, such as decodes images, that is forked once its parent has a device, and outlives it.
FORKING = """
held = gpu_lease.lease(gpus)
if os.fork() == 0:
    os.read(int(sys.argv[3]), 1)
    os._exit(0)
print(held.gpu.uuid, held.others, flush=True)
sys.stdin.readline()
"""


# A child that leases the device of its parent too, and releases all that it has.
CHILD = """
held = gpu_lease.lease(gpus)
child = os.fork()
if child == 0:
    own = gpu_lease.lease(gpus)
    print(own is held, own.others, flush=True)
    del own, held
    os.close(gpu_lease._opened)
    os._exit(0)
os.waitpid(child, 0)
print(held.gpu.uuid, held.others, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    path = tmp_path / "gpus.lock"
    monkeypatch.setattr(gpu_lease, "FILE", path)
    monkeypatch.setattr(gpu_lease, "_opened", None)
    return path


class Job:
    """A process that leases one of some GPUs on request, and holds it until it ends."""

    def __init__(self, gpus, *more, text=LEASE, **options):
        given = [str(gpu_lease.FILE), json.dumps([vars(gpu) for gpu in gpus]), *more]
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB + text, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        assert self.process.stdout.readline() == "ready\n"

    def go(self):
        self._line()
        return self

    def leased(self):
        uuid, others = self.process.stdout.readline().split()
        return uuid, json.loads(others.lower().replace("none", "null"))

    def end(self):
        self._line()
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.kill()
        self.process.communicate()

    def _line(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def start():
    jobs = []

    def begin(gpus=FOUR, *more, **options):
        jobs.append(Job(gpus, *more, **options))
        return jobs[-1]

    yield begin
    for job in jobs:
        job.close()


def leased(start, gpus=FOUR, **options):
    return start(gpus, **options).go().leased()


def test_jobs_that_start_at_once_have_a_device_each(start):
    jobs = [start() for _ in range(4)]
    for job in jobs:
        job.go()
    assert {job.leased() for job in jobs} == {(gpu.uuid, 0) for gpu in FOUR}


def test_more_jobs_than_devices_share_them_evenly(start):
    jobs = [start() for _ in range(8)]
    for job in jobs:
        job.go()
    assert Counter(job.leased()[0] for job in jobs) == {gpu.uuid: 2 for gpu in FOUR}


@pytest.mark.parametrize("end", ["end", "kill"])
def test_a_device_is_free_once_its_job_has_ended_or_was_killed(start, end):
    jobs = [start().go() for _ in range(4)]
    held = [job.leased()[0] for job in jobs]
    assert leased(start)[1] == 1
    getattr(jobs[2], end)()
    assert leased(start) == (held[2], 0)


def test_a_device_is_free_although_a_forked_worker_of_a_killed_job_lives(start):
    waits, alive = os.pipe()
    job = start(FOUR[:1], str(waits), text=FORKING, pass_fds=[waits]).go()
    assert job.leased() == ("GPU-a", 0)
    assert lease(FOUR[:1]).others == 1
    job.kill()
    assert lease(FOUR[:1]).others == 0
    os.close(alive)  # the worker ends
    os.close(waits)


def test_the_device_with_fewer_holders_is_shared_whichever_ended_first(start):
    a, b = FOUR[:2]
    first, *_ = jobs = [start([gpu]).go() for gpu in (a, a, b)]
    assert [job.leased() for job in jobs] == [("GPU-a", 0), ("GPU-a", 1), ("GPU-b", 0)]
    jobs.append(start([a]).go())
    assert jobs[-1].leased() == ("GPU-a", 2)
    first.end()
    assert leased(start, [a, b]) == ("GPU-b", 1)


def test_processes_that_number_the_devices_otherwise_mean_the_same_ones(start):
    some = [Gpu(0, "GPU-c"), Gpu(1, "GPU-d")]  # CUDA_VISIBLE_DEVICES=2,3
    assert leased(start, [FOUR[2]]) == ("GPU-c", 0)
    assert leased(start, some) == ("GPU-d", 0)


def test_a_named_device_is_shared_though_others_are_free(start):
    assert leased(start, FOUR[1:2]) == ("GPU-b", 0)
    assert leased(start, FOUR[1:2]) == ("GPU-b", 1)
    assert leased(start, FOUR[:2]) == ("GPU-a", 0)


def test_of_free_devices_the_one_with_the_most_free_memory_is_leased():
    gpus = [Gpu(0, "a", 5), Gpu(1, "b", 9), Gpu(2, "c", 7)]
    assert lease(gpus).gpu == gpus[1]


def test_a_device_with_the_wanted_memory_is_shared_before_a_small_one_is_taken(start):
    gpus = [Gpu(0, "GPU-a", 90), Gpu(1, "GPU-b", 10)]
    assert leased(start, gpus) == ("GPU-a", 0)
    held = lease(gpus, wanted=50)
    assert (held.gpu.uuid, held.others) == ("GPU-a", 1)
    del held
    assert lease(gpus, wanted=5).gpu.uuid == "GPU-b"


def test_a_process_leases_one_device_and_keeps_it_as_long_as_anything_refers_to_it(start):
    gc.collect()
    first, second = lease(FOUR), lease(FOUR)
    assert first is second
    del first
    assert leased(start, [second.gpu]) == (second.gpu.uuid, 1)
    uuid = second.gpu.uuid
    del second
    assert leased(start, [Gpu(0, uuid)]) == (uuid, 1)  # the other job


def test_a_forked_child_neither_has_nor_releases_the_device_of_its_parent(start):
    job = start(FOUR[:1], text=CHILD).go()
    assert job.process.stdout.readline() == "False 1\n"
    assert job.leased() == ("GPU-a", 0)
    assert lease(FOUR[:1]).others == 1


def test_what_cleans_temporary_folders_may_remove_the_file(file, start):
    held = lease(FOUR[:1])
    file.unlink()
    assert leased(start, FOUR[1:2]) == ("GPU-b", 0)
    assert (lease(FOUR[1:2]).others, held.others) == (1, 0)


def test_a_device_whose_slots_are_all_taken_is_shared_too(start, monkeypatch):
    monkeypatch.setattr(gpu_lease, "SLOTS", 1)
    assert leased(start, FOUR[:1], text=f"gpu_lease.SLOTS = 1\n{LEASE}") == ("GPU-a", 0)
    assert lease(FOUR[:1]).others == 1


def check_without_lease(caplog, reason):
    with caplog.at_level(logging.INFO, logger="lpclip"):
        held = lease(FOUR)
    assert (held.gpu, held.others) == (FOUR[0], None)
    assert "no leases of GPUs" in caplog.text
    assert reason in caplog.text


def test_a_link_in_place_of_the_file_is_not_followed(file, tmp_path, caplog):
    target = tmp_path / "precious"
    target.write_text("kept")
    target.chmod(0o600)
    file.symlink_to(target)
    check_without_lease(caplog, "symbolic links")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("kept", 0o600)


def test_a_link_to_nothing_creates_nothing(file, tmp_path, caplog):
    file.symlink_to(tmp_path / "new")
    check_without_lease(caplog, "symbolic links")
    assert not (tmp_path / "new").exists()


def test_a_pipe_in_place_of_the_file_is_refused(file, caplog):
    os.mkfifo(file)
    check_without_lease(caplog, "not a regular file")


def test_a_folder_that_is_not_there_leaves_devices_without_leases(file, monkeypatch, caplog):
    monkeypatch.setattr(gpu_lease, "FILE", file / "deeper")
    check_without_lease(caplog, "No such file")


def test_other_systems_have_no_leases(file, monkeypatch, caplog):
    monkeypatch.setattr(sys, "platform", "darwin")
    check_without_lease(caplog, "only on Linux")
    assert not file.exists()


def test_the_file_can_be_written_by_every_user_whatever_the_umask(file):
    before = os.umask(0o077)
    try:
        assert lease(FOUR).others == 0
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o666
    assert [each.name for each in file.parent.iterdir()] == [file.name]


@pytest.fixture
def shared(monkeypatch):
    """A folder that all users may write to, as /tmp is."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        monkeypatch.setattr(gpu_lease, "FILE", Path(folder) / "gpus.lock")
        yield gpu_lease.FILE


def as_user(number):
    return f"os.setuid({number})\nos.umask(0o077)\n{LEASE}"


@pytest.mark.parametrize("users", [(65534, 1, 0), (0, 65534, 1)])
def test_users_see_the_leases_of_each_other(shared, start, users):
    found = [leased(start, FOUR[:2], text=as_user(user)) for user in users]
    assert found == [("GPU-a", 0), ("GPU-b", 0), ("GPU-a", 1)]
    assert shared.stat().st_uid == users[0]


def test_a_file_that_another_user_keeps_private_leaves_devices_without_leases(shared, start):
    shared.touch(0o600)
    assert leased(start, text=as_user(65534)) == ("GPU-a", None)
