"""Caches and results in storage of Snakemake's plugins, with the user's files where they are."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

import lpclip
from lpclip.models.tiny.weights import write_plain
from lpclip.storage.hdf5 import read_provenance
from tests.helpers import ROOT
from tests.helpers.warm import environment

pytest.importorskip("snakemake_storage_plugin_fs")
pytestmark = pytest.mark.skipif(
    shutil.which("rsync") is None, reason="the plugin fs copies files with rsync"
)

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


def snakemake(folder, *arguments):
    storage = ["--default-storage-provider", "fs", "--default-storage-prefix", folder / "store"]
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    done = subprocess.run(
        [*command, "--snakefile", ROOT / "Snakefile", *storage, *arguments],
        cwd=folder,
        env=environment(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done


def write(folder, config):
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "files").mkdir()
    write_plain(folder / "files/mine.safetensors")
    names = "".join(f"{number},digit {number}\n" for number in range(10))
    (folder / "files/classes.csv").write_text(f"folder,name\n{names}")
    write(folder, CONFIG)
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder


def test_everything_is_in_storage_and_nothing_but_logs_stays_behind(finished):
    made = {path.name for path in finished.iterdir()}
    assert made == {"config.yaml", "files", "store", ".snakemake"}
    store = finished / "store"
    assert {path.name for path in store.iterdir()} == {"cache", "logs", "results"}
    for name in ("report.csv", "shifts.csv", "report.html", "predictions.h5", "figures/rounds.png"):
        assert (store / "results" / name).is_file()
    kept = [path for path in (finished / ".snakemake/storage").rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} <= {".log", ".tsv"}


def test_files_in_storage_are_read_as_others_are(finished):
    store = finished / "store"
    assert len(lpclip.read_frame(store / "cache/tiny/images/test/clean.h5")) == 60
    assert read_provenance(store / "results/tiny/digits/zero_shot/probes.h5")["model"] == "tiny"
    assert "Time of every stage" in (store / "results/report.html").read_text()


def test_a_finished_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished, "-n").stdout


def test_changed_settings_run_again_what_uses_them(finished):
    limit = {"limit": 59}
    test = CONFIG["datasets"]["test"] | limit
    write(finished, CONFIG | {"datasets": CONFIG["datasets"] | {"test": test}})
    printed = snakemake(finished, "-n").stdout
    write(finished, CONFIG)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE))
    assert jobs["index_samples"] == "1"
    assert "embed_text" not in jobs


def test_precomputed_features_are_read_where_they_are(finished):
    shutil.copy(finished / "store/cache/tiny/images/test/clean.h5", finished / "files/mine.h5")
    source = {"kind": "features", "path": "files/mine.h5", "key": "clean"}
    datasets = CONFIG["datasets"] | {"adapt": {"source": source}}
    write(finished, CONFIG | {"datasets": datasets})
    done = snakemake(finished, "-n")
    write(finished, CONFIG)
    assert done.returncode == 0, done.stdout
    inputs = re.findall(r"rule copy_features:\n +input: (.*)", done.stdout)
    assert inputs[0].endswith(", files/mine.h5, files/mine.safetensors")


def test_why_a_job_failed_is_printed_once_with_its_log(finished, tmp_path):
    shutil.copytree(finished / "files", tmp_path / "files")
    write(tmp_path, CONFIG)
    (tmp_path / "files/mine.safetensors").write_bytes(b"none")
    done = snakemake(tmp_path, "--", "cache/tiny/text/digits.h5")
    assert done.returncode == 1
    assert done.stdout.count("files/mine.safetensors is text") == 1
    assert "store/logs/embed_text/tiny/digits.log)\n" in done.stdout
    assert "Error in rule" not in done.stdout
