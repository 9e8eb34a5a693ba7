"""The configurations that come with lpclip, and one given in addition to config.yaml."""

import pytest

from tests.helpers import ROOT
from tests.helpers.runs import snakemake

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


@pytest.mark.parametrize(("first", "digits"), [([], False), ([ROOT / "config.yaml"], True)])
def test_a_given_configuration_stands_alone_unless_others_are_given_with_it(
    tmp_path, first, digits
):
    mine = tmp_path / "mine.yaml"
    mine.write_text(ALONE)
    options = ("-n", "--snakefile", ROOT / "Snakefile", "--configfile", *first, mine)
    text = snakemake(tmp_path, *options, "--", "results/report.csv")
    assert ("digits-test" in text) == digits
