"""With share_imports the jobs of a run import the libraries in one process."""

import os
import subprocess
import sys

import pytest
import yaml

from tests.helpers import ROOT

TARGETS = [f"cache/data/{name}/samples.h5" for name in ("digits-adapt", "digits-test", "photos")]
# Writes which process was started, not which one was forked from it, if it has imported pandas.
SITE = """
import atexit, os, pathlib, sys
started = str(os.getpid())
folder = pathlib.Path(os.environ["IMPORTED"])
atexit.register(lambda: "pandas" in sys.modules and (folder / started).write_text(""))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of a run -> number of started processes that imported pandas, Snakemake included."""
    found = {}
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert config["compute"]["share_imports"]
    for share in (True, False):
        config["compute"]["share_imports"] = share
        folder = tmp_path_factory.mktemp("run")
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        site, imported = folder / "site", folder / "imported"
        site.mkdir()
        imported.mkdir()
        (site / "sitecustomize.py").write_text(SITE)
        path = os.pathsep.join([str(site), str(ROOT)])
        subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", "2"),
                *("--snakefile", ROOT / "Snakefile", "--configfile", folder / "config.yaml"),
                *("--directory", folder, *TARGETS),
            ],
            env={**os.environ, "PYTHONPATH": path, "IMPORTED": str(imported)},
            check=True,
        )
        found[folder] = len(list(imported.iterdir()))
    return found


def test_the_jobs_of_a_run_import_the_libraries_once(runs):
    assert list(runs.values()) == [1 + 1, 1 + len(TARGETS)]


def test_shared_imports_change_no_byte(runs):
    shared, apart = runs
    for target in TARGETS:
        assert (shared / target).read_bytes() == (apart / target).read_bytes()
