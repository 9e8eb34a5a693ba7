"""A run without write permission ends with a short error before its first job."""

import os
import shutil
import subprocess
import sys

import pytest

from lpclip.utils.writable import FOLDERS
from tests.helpers import ROOT, copy_workflow

# Runs Python with the arguments, without the capabilities that let root write anywhere:
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH; 24 is PR_CAPBSET_DROP.
CANNOT = 77
BOUND_BY_PERMISSIONS = f"""
import ctypes, os, sys
if os.geteuid() == 0 and any(ctypes.CDLL(None).prctl(24, capability) for capability in (1, 2)):
    sys.exit({CANNOT})
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def run(arguments, folder):
    done = subprocess.run(
        [sys.executable, "-c", BOUND_BY_PERMISSIONS, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == CANNOT:
        pytest.skip("permissions do not bind here")
    return done


@pytest.fixture
def project(tmp_path):
    copy_workflow(tmp_path)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    yield tmp_path
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o755)


@pytest.mark.parametrize("name", [".", "results"])
def test_a_closed_folder_is_a_sentence(project, name):
    closed = project / name
    closed.mkdir(exist_ok=True)
    closed.chmod(0o555)
    done = run(["-m", "snakemake", "--cores", "1"], project)
    assert done.returncode != 0
    assert f"There is no permission to write in {closed}." in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (project / "cache").exists()


def test_the_project_may_be_closed_where_all_that_is_written_to_is_open(tmp_path):
    script = "import pathlib, lpclip.utils.writable as p; p.check_writable(pathlib.Path())"
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    tmp_path.chmod(0o555)
    try:
        done = run(["-c", script], tmp_path)
        assert done.returncode == 0, done.stderr
        for name in FOLDERS:
            (tmp_path / name).chmod(0o555)
            done = run(["-c", script], tmp_path)
            assert f"no permission to write in {name}." in done.stderr
            (tmp_path / name).chmod(0o755)
    finally:
        tmp_path.chmod(0o755)
