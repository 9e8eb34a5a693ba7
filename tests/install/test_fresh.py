"""From an empty folder to a report as README has it: pip, uv and pipx in fresh environments."""

import os
import re
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.helpers import ROOT
from tests.helpers.installed import FEWER, build_wheel, copy_source, write_digits

pytestmark = pytest.mark.install
CONSTRAINTS = ROOT / "constraints.txt"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = copy_source(tmp_path_factory.mktemp("source"))
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


def with_pip(wheel, folder):
    return folder / "env/bin", [
        [sys.executable, "-m", "venv", "env"],
        ["env/bin/pip", "install", "--quiet", "--constraint", CONSTRAINTS, wheel],
    ]


def with_uv(wheel, _):
    install = ["uv", "tool", "install", "--quiet", "--python", sys.executable]
    install += ["--constraints", CONSTRAINTS, "--with-executables-from", "snakemake", wheel]
    return None, [install]


def with_pipx(wheel, _):
    return None, [
        ["pipx", "install", "--python", sys.executable, f"--pip-args=--constraint={CONSTRAINTS}",
         wheel],
        ["pipx", "inject", "--include-apps", "--force", "lpclip", "snakemake"],
    ]  # fmt: skip


@pytest.mark.parametrize("install", [with_pip, with_uv, with_pipx])
def test_a_project_in_an_empty_folder(install, wheel, tmp_path):
    tool = install.__name__.removeprefix("with_")
    if tool != "pip" and shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    write_digits(tmp_path / "photos", "adapt", 60, by_class=False)
    write_digits(tmp_path / "labelled", "test", 40, by_class=True)
    scripts, commands = install(wheel, tmp_path)
    scripts = scripts or tmp_path / "bin"
    init = f"{scripts}/lpclip init my-project --unlabelled photos --labelled labelled --model tiny"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        **{name: str(tmp_path / "tools") for name in ("UV_TOOL_DIR", "PIPX_HOME")},
        **{name: str(tmp_path / "bin") for name in ("UV_TOOL_BIN_DIR", "PIPX_BIN_DIR")},
    }
    environment.pop("VIRTUAL_ENV", None)

    def run(command, folder=tmp_path):
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        print(f"{tool}: {' '.join(map(str, command))}: {time.monotonic() - started:.0f} s")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for command in commands:
        run(command)
    text = run(init.split())
    project = tmp_path / "my-project"
    path = project / "config.yaml"
    path.write_text(path.read_text().replace("# corruptions: []", "corruptions: []") + FEWER)
    files = re.search(r"^  snakemake --cores \d+ (.*)$", text, re.MULTILINE)[1].split()
    run([scripts / "snakemake", "--cores", "2", *files], project)
    assert pd.read_csv(project / "results/report.csv")["accuracy"].between(0, 1).all()
    assert (project / "results/report.html").is_file()
