"""The profile for Slurm: what of a default run is submitted together, and where to."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.helpers import ROOT
from tests.helpers.warm import environment

PROFILE = ROOT / "profiles/slurm"


def profile():
    return yaml.safe_load((PROFILE / "config.yaml").read_text())


@pytest.fixture(scope="module")
def default_jobs(tmp_path_factory):
    """Rule and wildcards of every job of a default run."""
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "8", "--nocolor"]
    command += ["--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config.yaml"]
    command += ["--directory", tmp_path_factory.mktemp("run")]
    run = subprocess.run(
        command, env=environment(ROOT), check=True, stdout=subprocess.PIPE, text=True
    )
    jobs = []
    for text in re.split(r"^(?=(?:local)?rule )", run.stdout, flags=re.MULTILINE)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", text)[1]
        wildcards = re.search(r"^ *wildcards: (.*)$", text, flags=re.MULTILINE)
        pairs = [pair.split("=") for pair in wildcards[1].split(", ")] if wildcards else []
        jobs.append((rule, dict(pairs)))
    return [(rule, wildcards) for rule, wildcards in jobs if rule != "all"]


def test_a_default_run_is_at_most_25_submissions(default_jobs):
    groups, components = profile()["groups"], profile()["group-components"]
    assert set(components) == set(groups.values())
    sizes = {}
    for number, (rule, wildcards) in enumerate(default_jobs):
        pattern = groups.get(rule, f"job {number}")
        sizes.setdefault((pattern, pattern.format(**wildcards)), []).append(rule)
    assert len(default_jobs) > 25
    # No more jobs than are joined where none of them is connected to another.
    assert all(len(found) <= components.get(pattern, 1) for (pattern, _), found in sizes.items())
    assert len(sizes) <= 25


def test_every_rule_that_the_profile_names_exists(default_jobs):
    assert set(profile()["groups"]) <= {rule for rule, _ in default_jobs}


def test_the_profile_differs_from_a_local_run_in_nothing_that_makes_outputs_again():
    local = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert local.items() <= profile().items()


def test_partitions_are_named_in_one_file():
    path = profile()["slurm-partition-config"]
    partitions = yaml.safe_load((ROOT / path).read_text())["partitions"]
    assert any(limits.get("max_gpu", 0) for limits in partitions.values())
    assert any(not limits.get("max_gpu", 0) for limits in partitions.values())
    assert "partition:" not in (PROFILE / "config.yaml").read_text()
