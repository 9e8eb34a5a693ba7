"""Every example of docs/extend.md, as it stands there, in one workflow; and what edits re-run."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from lpclip.storage.features import view_settings
from lpclip.storage.samples import read_samples
from tests.helpers import ROOT, copy_workflow
from tests.helpers.merged import merged
from tests.helpers.runs import planned, run, snakemake, write
from tests.workflow.test_workflow import REPORTS, RESULTS

PAGE = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
ADDED = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)]
METHODS = ["zero_shot", "shrunk", "learned"]
# The smallest workflow that the examples fit into.
CONFIG = {
    "seeds": [0],
    "compute": {"share_imports": True},
    "views": {
        "weak": {"versions": 1},
        "strong": {"versions": 1},
        "corruptions": {"severities": [1, 3]},
    },
    "models": {"tiny": {"architecture": "lpclip-tiny", "pretrained": "embedded"}},
    "datasets": {
        "adapt": {"source": {"kind": "digits", "split": "adapt"}, "limit": 60},
        "test": {"source": {"kind": "digits", "split": "test"}, "limit": 60},
    },
    "benchmarks": {
        "digits": {
            "class_names": [str(digit) for digit in range(10)],
            "templates": ["a photo of the number {}."],
            "adapt": "adapt",
            "test": "test",
            "corruptions": [],
        }
    },
    "methods": {"zero_shot": {"kind": "zero_shot"}},
}


def extended():
    config = CONFIG
    for part in ADDED:
        config = merged(config, part)
    return config | {"plugins": sorted(FILES)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extend") / "run"
    folder.mkdir()
    copy_workflow(folder)
    shutil.copytree(ROOT / "lpclip", folder / "lpclip", ignore=shutil.ignore_patterns("__pyc*"))
    for name, text in FILES.items():
        (folder / name).write_text(text)
    write(folder, extended())
    snakemake(folder, code=folder)
    return folder


def edited(folder, name, *changes):
    """Return what a run would do with another text of a file."""
    text = changed = (folder / name).read_text()
    for old, new in changes:
        assert old in changed
        changed = changed.replace(old, new, 1)
    try:
        (folder / name).write_text(changed)
        return planned(folder, code=folder)
    finally:
        (folder / name).write_text(text)


def test_every_file_of_the_page_is_named_on_it():
    assert FILES
    assert {name for part in ADDED for name in part.get("plugins", ())} <= FILES.keys()


def test_after_a_run_there_is_nothing_to_do_even_with_other_comments_and_docstrings(finished):
    for name, text in FILES.items():
        (finished / name).write_text(text.replace('"""', '"""In other words: ', 1) + "\n# More.\n")
    try:
        assert planned(finished, code=finished) == {}
    finally:
        for name, text in FILES.items():
            (finished / name).write_text(text)


def test_a_method_is_in_the_reports_and_an_edit_of_it_runs_it_alone(finished):
    report = pd.read_csv(finished / "results/report.csv").set_index("method")
    assert list(report.index) == METHODS
    assert report.loc["shrunk", "n_labels"] == 0
    assert report.loc["shrunk", "nll"] != report.loc["zero_shot", "nll"]
    assert ">shrunk<" in (finished / "results/report.html").read_text()
    jobs = edited(finished, "shrunk.py", ("strength * (mean", "strength * 0.5 * (mean"))
    assert jobs.pop("train_probe") == 1
    assert jobs.pop("evaluate") == 2  # on clean images and under the corruption
    assert {rule: jobs.pop(rule) for rule in REPORTS} == REPORTS
    assert jobs
    assert all(rule.startswith("evaluate") for rule in jobs)
    assert set(jobs.values()) == {1}


def test_a_source_is_a_dataset_and_an_edit_of_it_runs_what_depends_on_it(finished):
    index = read_samples(finished / "cache/data/gradients/samples.h5", labels=False)
    assert len(index) == 20
    ood = pd.read_csv(finished / "results/ood.csv")
    assert set(ood["dataset"]) == {"gradients"}
    assert set(ood["method"]) == set(METHODS)
    jobs = edited(finished, "gradients.py", ("uniform(0, 255", "uniform(0, 128"))
    assert jobs == {
        **{"index_samples": 1, "embed_images": 1, "evaluate_features": 1, "evaluate_ood": 3},
        **{"report": 1, "page": 1},
    }


def test_a_score_is_in_the_tables_and_an_edit_of_it_runs_the_detection_alone(finished):
    ood = pd.read_csv(finished / "results/ood.csv").set_index(["method", "score"])
    for method in METHODS:
        assert ood.loc[(method, "margin"), "auroc"] > 0.5
        assert np.isnan(ood.loc[(method, "margin"), "temperature"])
    for name in ("ood_held_out.csv", "ood_curves.csv"):
        assert "margin" in set(pd.read_csv(finished / "results" / name)["score"])
    assert ">margin<" in (finished / "results/report.html").read_text()
    jobs = edited(finished, "margin.py", ("return first - second", "return first - 2 * second"))
    assert jobs == {"evaluate_ood": 3, "evaluate_held_out": 3, "report": 1, "page": 1}


def test_a_corruption_is_in_the_tables_and_an_edit_of_it_runs_its_pass(finished):
    robustness = pd.read_csv(finished / "results/robustness.csv")
    own = robustness[robustness["shift"] == "stripes"]
    assert set(own["method"]) == set(METHODS)
    assert set(own["family"]) == {"other"}
    assert set(own["severity"]) == {1, 3}
    assert set(own["source"]) == {"generated"}
    assert pd.read_csv(finished / "results/report.csv")["mean_corruption_accuracy"].isna().all()
    assert "stripes" in (finished / "results/report.html").read_text()
    assert '"name": "stripes"' in (finished / f"{RESULTS}/pictures.json").read_text()
    jobs = edited(finished, "stripes.py", ("severity / 10", "severity / 9"))
    assert jobs == {"embed_images": 1, "evaluate": 3, "evaluate_samples": 3, **REPORTS}


def test_a_view_is_what_students_learn_from_and_an_edit_of_it_runs_them_alone(finished):
    report = pd.read_csv(finished / "results/report.csv").set_index("method")
    assert report.loc["learned", "strong_policy"] == "cutout"
    assert report["strong_policy"].isna().sum() == 2
    views = view_settings(finished / "cache/tiny/images/adapt/adapt.h5")
    assert views["strong"]["made_by"] == {"kind": "cutout", "share": 0.3}
    jobs = edited(finished, "cutout.py", ("masked_fill(hidden, 0.5)", "masked_fill(hidden, 0.6)"))
    assert (jobs["embed_images"], jobs["train_probe"]) == (1, 1)
    assert jobs["evaluate_held_out"] == 1
    assert "index_samples" not in jobs


def test_a_plugin_that_breaks_stops_the_run_with_a_sentence(finished):
    text = (finished / "shrunk.py").read_text()
    try:
        (finished / "shrunk.py").write_text(text + "1 / 0\n")
        status, printed = run(finished, "-n", code=finished)
    finally:
        (finished / "shrunk.py").write_text(text)
    assert status != 0
    assert "The plugin shrunk.py cannot be loaded, line " in printed
    assert "Traceback" not in printed
