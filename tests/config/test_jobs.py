"""Jobs: what an output was made from is compared with what its stage would receive now."""

import copy

import pytest
import yaml

from lpclip.cli.command import main
from lpclip.config.check import complete
from lpclip.config.jobs import Jobs
from tests.helpers import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
JOB = ("index_samples", {"dataset": "photos"})


@pytest.fixture
def index(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "samples.h5"
    main(["index-samples", "--output", str(path), "--settings", jobs().param(*JOB)])
    return path


def jobs(**changes):
    config = copy.deepcopy(CONFIG)
    config["datasets"]["photos"]["source"]["n"] = 5
    config["datasets"]["photos"].update(changes)
    return Jobs(complete(config))


def test_an_output_that_was_made_from_the_same_is_not_made_again(index):
    assert jobs().change_of(*JOB, index, []) is None
    # However numbers are spelled.
    assert jobs(seed=0.0).change_of(*JOB, index, []) is None


def test_an_output_that_was_made_from_something_else_is_described(index):
    change = jobs(limit=3).change_of(*JOB, index, [])
    assert change.startswith("other settings: ")
    assert "limit" in change


def test_an_output_that_cannot_be_read_is_left_to_its_reader(index):
    index.write_bytes(index.read_bytes()[:100])
    assert jobs(limit=3).change_of(*JOB, index, []) is None


def test_what_a_job_receives_is_made_once():
    made = jobs()
    assert made.settings(*JOB) is made.settings(*JOB)
