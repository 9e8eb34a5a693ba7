"""A real Slurm with pretend nodes and GPUs: whatever happens, its results are those of a local run.

    make test-cluster

Every test prints how often jobs were started, and how often that was once more than needed.
"""

import copy
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import pytest
import yaml

from tests.helpers import ROOT, copy_workflow
from tests.helpers.slurm import Slurm, missing, slurm

LACKING = [
    *missing(),
    *([] if find_spec("snakemake_executor_plugin_slurm") else ["the extra slurm"]),
]
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        bool(LACKING),
        reason=f"lacks {', '.join(LACKING)}. On Debian: apt-get install slurm-wlm"
        " slurm-wlm-basic-plugins munge; pip install -e '.[slurm]'",
    ),
]

# A short way from images to a trained probe: six submissions, of which one takes a while.
TARGET = "results/tiny/digits/lp_clip/probes.h5"
ADAPT = "cache/tiny/images/digits-adapt/adapt.h5"
EMBED = "rule_embed_images"
IMAGES = {
    "seeds": [0],
    "compute": {"threads": 1},
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
    "datasets": {
        "digits-adapt": {"source": {"kind": "digits", "split": "all"}},
        "digits-test": {"source": {"kind": "digits", "split": "test"}},
    },
    "benchmarks": {
        "digits": {
            "class_names": [str(digit) for digit in range(10)],
            "templates": ["a photo of the number {}."],
            "adapt": "digits-adapt",
            "test": "digits-test",
            "corruptions": [],
        }
    },
    "labellings": {"confident": {"threshold": 0.5}},
    "methods": {
        "zero_shot": {"kind": "zero_shot"},
        "lp_clip": {
            "kind": "self_training",
            "labelling": "confident",
            "rounds": 1,
            "optimisation": {"epochs": 1},
        },
    },
}


def prepare(folder: Path, config: dict) -> Path:
    """Write a folder with the workflow and a configuration."""
    copy_workflow(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


def command(*targets: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", *targets]


def on_slurm(*targets: str) -> list[str]:
    """The command with the profile as it is; only waits are shorter than on a real cluster."""
    waits = ["--latency-wait", "10", "--slurm-init-seconds-before-status-checks", "3"]
    return [*command(*targets), "--profile", "profiles/slurm", "--slurm-no-account", *waits]


def run_locally(folder: Path, *targets: str) -> Path:
    paths = {"PYTHONPATH": str(ROOT)}
    subprocess.run(command(*targets), cwd=folder, env=os.environ | paths, check=True)
    return folder


def start(cluster: Slurm, folder: Path, *targets: str) -> subprocess.Popen:
    """Start a head; what it prints is in a file of the folder."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with (folder / "head.txt").open("a") as output:
        return subprocess.Popen(
            on_slurm(*targets),
            cwd=folder,
            env=cluster.environment | {"PYTHONPATH": paths},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def finish(head: subprocess.Popen, folder: Path) -> str:
    """Wait for a head that is to succeed, and return what it printed."""
    status = head.wait(timeout=1800)
    text = (folder / "head.txt").read_text()
    assert status == 0, text
    return text


def contents(folder: Path) -> dict[str, bytes]:
    """All files that a run makes, but those that hold times or say how many shards there are.

    What is hidden is unfinished.
    """
    found = [*(folder / "cache").rglob("*"), *(folder / "results").rglob("*")]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.is_file()
        and not path.name.startswith((".", "count.json"))
        and path.suffix != ".html"
    }


def assert_same(found: Path, expected: Path) -> None:
    own, other = contents(found), contents(expected)
    assert own.keys() == other.keys()
    assert [name for name in own if own[name] != other[name]] == []


@contextmanager
def running_cluster(**sizes: int) -> Iterator[Slurm]:
    # Paths of sockets are short.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, slurm(Path(folder), **sizes) as one:
        yield one


@pytest.fixture
def cluster() -> Iterator[Slurm]:
    with running_cluster() as one:
        yield one


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    return run_locally(prepare(tmp_path_factory.mktemp("local") / "run", IMAGES), TARGET)


@pytest.fixture
def folder(tmp_path) -> Path:
    return prepare(tmp_path / "run", IMAGES)


@pytest.fixture(autouse=True)
def seconds(request) -> Iterator[None]:
    begin = monotonic()
    yield
    print(f"\n{request.node.name}: {monotonic() - begin:.0f} s")


def report(cluster: Slurm, *names: str) -> dict[str, int]:
    """Print and return how often jobs were started."""
    started = {name: cluster.starts(name) for name in names}
    for name, count in started.items():
        print(f"\nstarted {count} times: {name}")
    return started


def embedding(cluster: Slurm, folder: Path, head: subprocess.Popen):
    """Wait until the adapt set is half embedded, and return the job that does it."""

    def is_half_done() -> bool:
        assert head.poll() is None, (folder / "head.txt").read_text()
        return any((folder / ADAPT).parent.glob(".*.parts/00000000.npy"))

    cluster.wait(is_half_done, seconds=600)
    (job,) = cluster.jobs(EMBED, states="RUNNING")
    return job


def test_a_node_that_is_killed_is_replaced(cluster, folder, undisturbed):
    head = start(cluster, folder, TARGET)
    job = embedding(cluster, folder, head)
    cluster.kill_node(job.node)
    finish(head, folder)
    assert_same(folder, undisturbed)
    # Slurm starts it again elsewhere by itself, or the head submits it again.
    assert report(cluster, EMBED) == {EMBED: 2}
    assert cluster.jobs(EMBED)[-1].node != job.node


def test_a_job_that_someone_cancels_is_submitted_again(cluster, folder, undisturbed):
    head = start(cluster, folder, TARGET)
    job = embedding(cluster, folder, head)
    cluster.run("scancel", job.number)
    finish(head, folder)
    assert_same(folder, undisturbed)
    assert [each.state for each in cluster.jobs(EMBED)] == ["CANCELLED", "COMPLETED"]
    assert report(cluster, EMBED) == {EMBED: 2}


def test_a_job_over_its_time_gets_more(cluster, folder, undisturbed):
    head = start(cluster, folder, TARGET)
    job = embedding(cluster, folder, head)
    cluster.stop_processes(job)
    cluster.run("scontrol", "update", f"JobId={job.number}", "TimeLimit=1")
    finish(head, folder)
    assert_same(folder, undisturbed)
    first, second = cluster.jobs(EMBED)
    assert (first.state, second.state) == ("TIMEOUT", "COMPLETED")
    assert minutes(second.time_limit) == 2 * minutes(job.time_limit)
    assert report(cluster, EMBED) == {EMBED: 2}


def minutes(limit: str) -> int:
    """Minutes of a limit such as 30:00 or 1:00:00."""
    *hours, minute, _ = map(int, limit.split(":"))
    return 60 * sum(hours) + minute


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk requires root")
def test_a_node_with_a_full_disk_is_left_when_it_is_drained(cluster, folder, undisturbed):
    place = (folder / ADAPT).parent
    place.mkdir(parents=True)
    for name in ("node2", "node3"):
        cluster.run("scontrol", "update", f"NodeName={name}", "State=DRAIN", "Reason=test")
    # On this node alone, the folder of the output is a disk of 200 kB.
    cluster.kill_node("node1")
    small = f'mount -t tmpfs -o size=200k small "{place}" && exec "$@"'
    cluster.start_node("node1", within=["unshare", "--mount", "sh", "-c", small, "sh"])
    head = start(cluster, folder, TARGET)
    cluster.wait(lambda: bool(cluster.jobs(EMBED, states="FAILED")), seconds=600)
    cluster.run("scontrol", "update", "NodeName=node1", "State=DRAIN", "Reason=disk")
    for name in ("node2", "node3"):
        cluster.run("scontrol", "update", f"NodeName={name}", "State=RESUME")
    finish(head, folder)
    assert_same(folder, undisturbed)
    assert f"{ADAPT}: the disk is full" in logs_of_failures(folder)
    assert report(cluster, EMBED)[EMBED] >= 2


def logs_of_failures(folder: Path) -> str:
    """What Slurm kept of jobs that failed."""
    return "".join(path.read_text() for path in (folder / "logs/slurm").rglob("*.log"))


def test_a_head_that_is_killed_submits_nothing_twice(cluster, folder, undisturbed):
    head = start(cluster, folder, TARGET)
    job = embedding(cluster, folder, head)
    cluster.stop_processes(job)  # it is there for as long as the test needs
    head.send_signal(signal.SIGKILL)
    head.wait()
    second = start(cluster, folder, TARGET)
    assert second.wait(timeout=600) == 1
    text = (folder / "head.txt").read_text()
    assert re.search(
        rf"Slurm still has its jobs: {job.number} \(rule_embed_images\S*, running\)", text
    )
    assert f"Or end them: scancel {job.number}\n" in text
    cluster.continue_processes(job)
    cluster.wait(lambda: not cluster.jobs(states="RUNNING,COMPLETING"), seconds=600)
    finish(start(cluster, folder, TARGET), folder)
    assert_same(folder, undisturbed)
    assert report(cluster, EMBED) == {EMBED: 1}


def test_the_default_run_on_slurm_is_that_of_one_machine(tmp_path):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    local = run_locally(prepare(tmp_path / "local", copy.deepcopy(config)))
    for dataset in config["datasets"].values():  # several jobs embed each dataset
        dataset["rows_per_shard"] = 256
    folder = prepare(tmp_path / "run", config)
    with running_cluster() as cluster:
        text = finish(start(cluster, folder), folder)
        submitted = cluster.jobs()
        print(f"\n{len(submitted)} submissions")
        assert [job for job in submitted if job.state != "COMPLETED"] == [], text
        (log,) = folder.glob(".snakemake/log/*.log")
        assert log.read_text().count("rule embed_shard") >= 9 * 3
    assert_same(folder, local)
