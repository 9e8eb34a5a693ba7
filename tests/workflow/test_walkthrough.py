"""Every command of docs/inspect.md, in order, in the folder of a small finished run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.helpers import ROOT, copy_workflow

PAGE = ROOT / "docs" / "inspect.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
}


def small(config):
    """Reduce the default configuration, so that its names stay the same."""
    del config["datasets"]["letters"]
    for dataset in config["datasets"].values():
        dataset["limit"] = 100
    config["benchmarks"]["digits"] |= {"corruptions": [], "ood": {"far": ["photos"]}}
    config["views"] = {"weak": {"versions": 2}, "strong": {"versions": 1}}
    config["seeds"] = [0, 1]
    config["methods"] = {name: config["methods"][name] for name in ("zero_shot", "lp_clip")}
    config["methods"]["lp_clip"] |= {"rounds": 2, "optimisation": {"epochs": 2}}
    return config


def shell(command, folder):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk") / "run"
    folder.mkdir()
    copy_workflow(folder)
    config = small(yaml.safe_load((ROOT / "config.yaml").read_text()))
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    done = shell(f"{sys.executable} -m snakemake --cores 8", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_command_of_the_page_runs_and_gives_what_it_says(finished, monkeypatch, capfd):
    monkeypatch.chdir(finished)
    for name in ("PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    session, printed = {}, []
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert {language for language, _ in blocks} == {"sh", "python"}
    for language, text in blocks:
        if language == "python":
            exec(compile(text, text, "exec"), session)
            printed.append(capfd.readouterr().out)
        else:
            done = shell(text, finished)
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
            printed.append(done.stdout)
            if "|| true" in text:
                assert "1 of 21 images have no row" in done.stderr
    shown = "".join(printed)
    for part in (
        "samples.h5: samples",
        "clean.h5: features",
        "probes.h5: probes",
        "made from (record ",
        "robustness.csv: robustness",
        "photos.parquet: predictions",
        "head.safetensors: head",
        "zero-shot right",
        "half_way_max_logit 0.",
        " same.\n",
    ):
        assert part in shown, part
    predictions = pd.read_parquet("photos.parquet")
    assert predictions["id"].tolist() == [f"{number:02d}.png" for number in range(20)]
    # The program of the exported head and `lpclip predict` agree on the same digit.
    program = next(text for text in printed if "CompletedProcess" in text)
    assert program.split()[0] == predictions["prediction"][0]
