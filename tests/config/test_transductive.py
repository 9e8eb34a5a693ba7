"""Transductive benchmarks: what is derived, which methods run where, and that no label is read."""

import copy
import sys

import pytest
import yaml

from lpclip.config import files
from lpclip.config.check import complete
from lpclip.config.jobs import Jobs
from lpclip.config.transductive import methods_of
from lpclip.errors import LpclipError
from lpclip.methods import kinds as package
from lpclip.methods.registry import own_kinds
from tests.config.test_stages import jobs
from tests.helpers import ROOT

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
DERIVED = "digits_transductive"
STAND_IN = '''"""Predicts its pool alone."""
from lpclip.utils.settings import settings_class

NEEDS, PREDICTS = ("clean",), "pool"


@settings_class
class Settings:
    """None."""
'''


@pytest.fixture
def config():
    config = copy.deepcopy(DEFAULT)
    config["benchmarks"]["digits"]["transductive"] = True
    config["methods"]["half"] = {"kind": "wise_ft", "method": "lp_clip"}
    config["methods"]["half_supervised"] = {"kind": "wise_ft", "method": "supervised"}
    config["methods"]["again"] = {"kind": "wise_ft", "method": "half_supervised"}
    config["methods"]["scaled"] = {"kind": "temperature_scaling", "method": "lp_clip"}
    return config


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Add a kind of method that predicts only the images of its pool."""
    (tmp_path / "alone.py").write_text(STAND_IN)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    own_kinds.cache_clear()
    yield "alone"
    own_kinds.cache_clear()
    sys.modules.pop(f"{package.__name__}.alone", None)
    vars(package).pop("alone", None)


def test_the_test_set_is_the_adapt_set_of_a_benchmark_of_its_own(config):
    checked = complete(config)
    assert list(checked.benchmarks) == ["digits", DERIVED]
    base, derived = checked.benchmarks.values()
    assert (derived.adapt, derived.test) == ("digits-test", "digits-test")
    for key in ("models", "class_names", "templates"):
        assert getattr(derived, key) == getattr(base, key)
    assert files.evaluated_passes(checked, derived) == [("digits-test", "clean")]
    assert derived.datasets == ["digits-test"]
    assert checked.labelled == ["digits", DERIVED]
    assert base.adapt == "digits-adapt"


def test_by_default_nothing_is_derived():
    assert list(complete(DEFAULT).benchmarks) == ["digits"]


def test_a_configuration_that_is_written_again_derives_the_same(config):
    checked = complete(config)
    written = checked.as_mapping()
    assert list(written["benchmarks"]) == ["digits"]
    again = complete(written)
    assert list(again.benchmarks) == ["digits", DERIVED]
    assert again.as_mapping() == written


def test_methods_that_see_labels_or_are_made_from_one_are_left_out(config):
    checked = complete(config)
    assert methods_of(checked, "digits") == list(config["methods"])
    left = ["zero_shot", "lp_clip", "lp_clip_balanced", "lp_clip_auto", "lp_clip_guarded", "half"]
    assert methods_of(checked, DERIVED) == left
    found = files.experiments(checked, "{benchmark}/{method}")
    assert found[-len(left) :] == [f"{DERIVED}/{method}" for method in left]
    assert len(found) == len(left) + len(config["methods"])


def test_training_reads_features_of_the_test_set_and_no_index(config):
    checked = complete(config)
    pair = {"model": "tiny", "benchmark": DERIVED}
    views = "cache/tiny/images/digits-test/adapt.h5"
    assert files.adapt_features(checked, pair) == views  # what pseudo_labels reads
    read = {
        path
        for method in methods_of(checked, DERIVED)
        for path in files.method_inputs(checked, {**pair, "method": method}).values()
    }
    results = f"results/tiny/{DERIVED}"
    labels = {f"{results}/pseudo_labels/{name}.h5" for name in ("confident", "aligned", "auto")}
    assert read == {views, *labels, f"{results}/lp_clip/probes.h5"}
    # The claim could fail: a method that sees labels reads the index.
    base = {"model": "tiny", "benchmark": "digits", "method": "supervised"}
    assert "cache/data/digits-adapt/samples.h5" in files.method_inputs(checked, base).values()


def test_text_features_are_those_of_the_benchmark(config):
    checked = complete(config)
    for name in checked.benchmarks:
        text = files.text_of(checked, {"model": "tiny", "benchmark": name})
        assert text == "cache/tiny/text/digits.h5"
    assert files.texts(checked, precomputed=False) == ["digits"]


def test_ood_scores_are_recommended_where_ood_images_are_detected(config):
    found = files.experiments(complete(config), "{benchmark}", transductive=False)
    assert set(found) == {"digits"}


def params(config):
    checked = complete(config)
    made = Jobs(checked)
    return {
        (rule, *wildcards.values()): made.param(rule, wildcards)
        for rule, wildcards in jobs(checked)
    }


def test_the_setting_changes_no_job_but_the_reports(config):
    config["methods"] = DEFAULT["methods"]
    before, after = params(DEFAULT), params(config)
    changed = {job for job in before if before[job] != after[job]}
    assert changed == {("report",), ("page",), ("explorer",)}
    assert all(DERIVED in job for job in after.keys() - before.keys())


def test_a_method_of_the_pool_alone_is_run_where_the_pool_is_tested(config, alone):
    config["methods"] = {"zero_shot": {"kind": "zero_shot"}, "means": {"kind": alone}}
    checked = complete(config)
    assert methods_of(checked, "digits") == ["zero_shot"]
    assert methods_of(checked, DERIVED) == ["zero_shot", "means"]
    clean = f"results/tiny/{DERIVED}/means/robustness/digits-test/clean.csv"
    assert [one for one in files.parts(checked, "robustness") if "means" in one] == [clean]


def test_on_a_benchmark_whose_sets_are_the_same_it_is_tested_on_clean_images_alone(config, alone):
    digits = config["benchmarks"]["digits"]
    del digits["transductive"]
    digits["adapt"] = digits["test"]
    config["methods"]["means"] = {"kind": alone}
    checked = complete(config)
    job = {"model": "tiny", "benchmark": "digits", "method": "means"}
    assert files.evaluated_features(checked, job) == ["cache/tiny/images/digits-test/clean.h5"]
    assert len(files.evaluated_features(checked, {**job, "method": "lp_clip"})) == 5
    for kind, n in (("robustness", 1), ("ood", 0), ("ood_curves", 0)):
        assert len([one for one in files.parts(checked, kind) if "/means/" in one]) == n
    # Such a benchmark keeps the methods that see labels, as it did.
    assert "supervised" in methods_of(checked, "digits")


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            lambda c: c["benchmarks"]["digits"].update(adapt="digits-test"),
            "benchmarks.digits.transductive adds an evaluation with the test set as the adapt set",
        ),
        (
            lambda c: c["benchmarks"].update(of_a_transductive=c["benchmarks"].pop("digits")),
            "benchmarks.of_a_transductive has a name that ends in '_transductive'",
        ),
        (
            lambda c: c["benchmarks"].update(
                {DERIVED: {**DEFAULT["benchmarks"]["digits"], "adapt": "digits-test"}}
            ),
            f"adds the benchmark '{DERIVED}', which is defined already",
        ),
        (
            lambda c: c["benchmarks"]["digits"].pop("transductive"),
            "methods.means is of kind 'alone', which predicts only the images that it adapts on",
        ),
        (
            lambda c: c["methods"].update(way={"kind": "wise_ft", "method": "means"}),
            "methods.way.method names 'means', which predicts only the images of its pool",
        ),
        (
            lambda c: c.update(methods={"supervised": {"kind": "supervised"}}),
            f"none of the methods is run on benchmark '{DERIVED}'",
        ),
        (
            lambda c: c.update(methods={"means": {"kind": "alone"}}),
            "none of the methods is run on benchmark 'digits'",
        ),
    ],
)
def test_what_cannot_be_is_a_sentence(config, alone, edit, sentence):
    config["methods"]["means"] = {"kind": alone}
    edit(config)
    with pytest.raises(LpclipError) as error:
        complete(config)
    assert sentence in str(error.value)
    assert str(error.value).startswith("configuration: ")
