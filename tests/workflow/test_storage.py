"""Caches and results in storage of Snakemake's plugins, with the user's files where they are.

In a folder, by the plugin ``fs``; and in a bucket of a local server, where
``snakemake-storage-plugin-s3`` and ``moto[server]`` are installed. These are not among the tests'
dependencies: every start of Snakemake imports the plugins that are there.
"""

import re
import shutil

import pytest

import lpclip
from lpclip.models.tiny.weights import write_plain
from lpclip.storage.hdf5 import read_provenance
from tests.helpers import ROOT
from tests.helpers.runs import run, write

BUCKET = "lpclip-tests"
CONFIG = {
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "files/mine.safetensors"}},
    "datasets": {
        "adapt": {"source": {"kind": "digits", "split": "adapt"}, "limit": 60},
        "test": {
            "source": {"kind": "digits", "split": "test"},
            "limit": 60,
            "class_map": "files/classes.csv",
        },
    },
    "benchmarks": {
        "digits": {
            "class_names": [f"digit {number}" for number in range(10)],
            "templates": ["a photo of the {}."],
            "adapt": "adapt",
            "test": "test",
            "corruptions": [],
        }
    },
    "methods": {"zero_shot": {"kind": "zero_shot"}},
}


class Project:
    """A folder with a configuration, its storage, and what is in it as files in ``store``."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / "store"

    def options(self):
        return ["--default-storage-provider", "fs", "--default-storage-prefix", self.store]

    def fetch(self):
        """Make the files of the storage available in ``store``."""

    def snakemake(self, *arguments):
        """Run Snakemake; return its status and output."""
        snakefile = ("--snakefile", ROOT / "Snakefile")
        status, text = run(self.folder, *snakefile, *self.options(), *arguments)
        assert "Traceback" not in text, text
        return status, text


class Bucket(Project):
    """The same with a bucket of a local server as the storage."""

    def __init__(self, folder, address):
        super().__init__(folder)
        self.address = address

    def options(self):
        prefix = f"s3://{BUCKET}/{self.folder.name}"
        return [
            *("--default-storage-provider", "s3", "--default-storage-prefix", prefix),
            *("--storage-s3-endpoint-url", self.address),
            *("--storage-s3-access-key", "none", "--storage-s3-secret-key", "none"),
        ]

    def fetch(self):
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=self.address,
            aws_access_key_id="none",
            aws_secret_access_key="none",
            region_name="us-east-1",
        )
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self.folder.name}/"
        )
        for key in [found["Key"] for page in pages for found in page["Contents"]]:
            place = self.store / key.partition("/")[2]
            place.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(BUCKET, key, str(place))


@pytest.fixture(scope="module", params=["fs", "s3"])
def make(request):
    """A project of a folder, by the kind of storage."""
    pytest.importorskip(f"snakemake_storage_plugin_{request.param}")
    if request.param == "fs":
        if shutil.which("rsync") is None:
            pytest.skip("the plugin fs copies files with rsync")
        yield Project
        return
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    yield lambda folder: Bucket(folder, f"http://127.0.0.1:{port}")
    server.stop()


@pytest.fixture(scope="module")
def finished(make, tmp_path_factory):
    project = make(tmp_path_factory.mktemp("project"))
    files = project.folder / "files"
    files.mkdir()
    write_plain(files / "mine.safetensors")
    names = "".join(f"{number},digit {number}\n" for number in range(10))
    (files / "classes.csv").write_text(f"folder,name\n{names}")
    write(project.folder, CONFIG)
    status, text = project.snakemake()
    assert status == 0, text
    made = {path.name for path in project.folder.iterdir()} - {"store"}
    assert made == {"config.yaml", "files", ".snakemake"}
    project.fetch()
    return project


def test_everything_is_in_storage_and_nothing_but_logs_stays_behind(finished):
    store = finished.store
    assert {path.name for path in store.iterdir()} == {"cache", "logs", "results"}
    for name in ("report.csv", "shifts.csv", "report.html", "predictions.h5", "figures/rounds.png"):
        assert (store / "results" / name).is_file()
    kept = [path for path in (finished.folder / ".snakemake/storage").rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} <= {".log", ".tsv"}


def test_files_in_storage_are_read_as_others_are(finished):
    store = finished.store
    assert len(lpclip.read_frame(store / "cache/tiny/images/test/clean.h5")) == 60
    assert read_provenance(store / "results/tiny/digits/zero_shot/probes.h5")["model"] == "tiny"
    assert "Time of every stage" in (store / "results/report.html").read_text()


def test_a_finished_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.snakemake("-n")[1]


def test_changed_settings_run_again_what_uses_them(finished):
    limit = {"limit": 59}
    test = CONFIG["datasets"]["test"] | limit
    write(finished.folder, CONFIG | {"datasets": CONFIG["datasets"] | {"test": test}})
    _, printed = finished.snakemake("-n")
    write(finished.folder, CONFIG)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE))
    assert jobs["index_samples"] == "1"
    assert "embed_text" not in jobs


def test_precomputed_features_are_read_where_they_are(finished):
    shutil.copy(
        finished.store / "cache/tiny/images/test/clean.h5", finished.folder / "files/mine.h5"
    )
    source = {"kind": "features", "path": "files/mine.h5", "key": "clean"}
    datasets = CONFIG["datasets"] | {"adapt": {"source": source}}
    write(finished.folder, CONFIG | {"datasets": datasets})
    status, text = finished.snakemake("-n")
    write(finished.folder, CONFIG)
    assert status == 0, text
    inputs = re.findall(r"rule copy_features:\n +input: (.*)", text)
    assert inputs[0].endswith(", files/mine.h5, files/mine.safetensors")


def test_why_a_job_failed_is_printed_once_with_its_log(make, finished, tmp_path):
    project = make(tmp_path)
    shutil.copytree(finished.folder / "files", tmp_path / "files")
    write(tmp_path, CONFIG)
    (tmp_path / "files/mine.safetensors").write_bytes(b"none")
    status, text = project.snakemake("--", "cache/tiny/text/digits.h5")
    assert status == 1
    assert text.count("files/mine.safetensors is text") == 1
    assert "logs/embed_text/tiny/digits.log)\n" in text
    assert "Error in rule" not in text
