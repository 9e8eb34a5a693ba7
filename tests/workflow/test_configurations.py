"""The configurations that come with lpclip, and one given in addition to config.yaml."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT
from tests.helpers.warm import environment

ALONE = """
models: {mine: {architecture: lpclip-tiny, pretrained: embedded}}
datasets:
  all: {source: {kind: digits, split: adapt}}
  labelled: {source: {kind: digits, split: test}}
benchmarks:
  own:
    class_names: [zero, one, two, three, four, five, six, seven, eight, nine]
    templates: ["the number {}."]
    adapt: all
    test: labelled
    corruptions: []
"""


def planned(folder, *options):
    """Return the standard output of a dry run in a folder."""
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1"]
    done = subprocess.run(
        [*command, "--snakefile", ROOT / "Snakefile", *options, "--", "results/report.csv"],
        cwd=folder,
        env=environment(ROOT),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("first", "digits"), [([], False), ([ROOT / "config.yaml"], True)])
def test_a_given_configuration_stands_alone_unless_others_are_given_with_it(
    tmp_path, first, digits
):
    mine = tmp_path / "mine.yaml"
    mine.write_text(ALONE)
    jobs = planned(tmp_path, "--configfile", *first, mine)
    assert ("digits-test" in jobs) == digits
