"""The profile for Slurm: what of a default run is submitted together, and where to."""

import re
from collections import Counter

import pytest
import yaml

from snakemake_logger_plugin_lpclip import run
from snakemake_logger_plugin_lpclip.run import LINES_PER_STAGE
from tests.helpers import ROOT
from tests.helpers.runs import snakemake
from tests.helpers.shown import Shown

PROFILE = ROOT / "profiles/slurm"


def profile():
    return yaml.safe_load((PROFILE / "config.yaml").read_text())


@pytest.fixture(scope="module")
def default_jobs(tmp_path_factory):
    """Rule and wildcards of every job of a default run."""
    files = ("--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config.yaml")
    printed = snakemake(tmp_path_factory.mktemp("run"), "-n", "--nocolor", *files)
    jobs = []
    for text in re.split(r"^(?=(?:local)?rule )", printed, flags=re.MULTILINE)[1:]:
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


@pytest.mark.parametrize(("most", "is_short"), [(LINES_PER_STAGE, True), (100, False)])
def test_a_default_run_prints_under_150_lines(default_jobs, tmp_path, most, is_short, monkeypatch):
    """Of 10 times as many jobs, too, on a slow machine; the summary has 31 lines."""
    monkeypatch.setattr(run, "LINES_PER_STAGE", most)
    timings = tmp_path / "one.timings.tsv"
    timings.write_text("images\tseconds\n899\t9\n")
    shown = Shown()
    jobs = 10 * default_jobs
    shown.plan(**Counter(rule for rule, _ in jobs))
    for rule, wildcards in jobs:
        logs = [str(timings)] if rule == "embed_images" else []
        shown.run(rule, 60, logs=logs, **wildcards)
        shown.display.look(None)
    assert len(jobs) > 800
    assert (len(shown.lines) + 31 < 150) == is_short


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
