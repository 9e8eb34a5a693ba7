"""The estimator gives the workflow's probes, and is what scikit-learn expects of one."""

import copy
import json
import pickle
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import softmax
from sklearn.base import clone, is_classifier
from sklearn.utils.estimator_checks import check_estimator

from lpclip import GuardDecision, LabelFreeProbe, LpclipError
from lpclip.cli.command import main
from lpclip.config.check import complete
from lpclip.config.jobs import Jobs
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.recommended import CANDIDATES
from lpclip.storage.features import read_features, write_features
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.probes import read_probes
from lpclip.storage.samples import read_samples
from lpclip.storage.text import read_head
from tests.helpers import ROOT

N, SCALE, SEEDS = 180, 20.0, [2, 0]
NAMES = ["ape", "bat", "cow", "doe", "elk", "fox"]
QUICK = {"rounds": 1, "optimisation": {"epochs": 1}}
QUICK_GUARD = {"trained": {"quick": QUICK}, "candidates": ["quick"], "adapters": []}
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())


class Run:
    """A benchmark of precomputed features, and the workflow's commands on it."""

    def __init__(self, folder):
        self.folder = folder
        rng = np.random.default_rng(1)
        classes = rng.normal(size=(len(NAMES), 32))
        self.labels = np.arange(N) % len(NAMES)
        # The texts lean to the first class, so that there is something to gain.
        self.text = classes + rng.normal(size=classes.shape) + 1.5 * classes[0]
        self.images = (classes[self.labels] + rng.normal(size=(N, 32))).astype(np.float16)
        np.savez(folder / "f.npz", img=self.images, text=self.text)
        config = copy.deepcopy(DEFAULT)
        source = {"kind": "features", "path": str(folder / "f.npz"), "key": "img"}
        model = {"architecture": "x", "pretrained": "precomputed", "scale": SCALE}
        text = {"path": str(folder / "f.npz"), "key": "text"}
        config["seeds"], config["models"] = SEEDS, {"mine": model}
        config["datasets"] = {"pool": {"source": source}}
        config["benchmarks"] = {"zoo": {"class_names": NAMES, "adapt": "pool"}}
        config["benchmarks"]["zoo"]["text_features"] = text
        config["labellings"]["soft"] = {"labels": "soft"}
        del config["methods"]["supervised"]
        config["methods"]["soft"] = {"kind": "self_training", "labelling": "soft", "rounds": 2}
        self.jobs = Jobs(complete(config))
        self.command("index-samples", "samples", dataset="pool")
        self.command("copy-text", "text")
        self.command("copy-features", "clean", samples="samples", dataset="pool", views="clean")
        self.head, _ = read_head(folder / "text.h5")

    def command(self, name, output, change=lambda _: None, **given):
        """Run a command with the settings that the workflow gives it."""
        wildcards = {"model": "mine", "benchmark": "zoo", **given}
        settings = json.loads(self.jobs.param(name.replace("-", "_"), wildcards))
        change(settings)
        files = ("samples", "features", "text", "adapt", "pseudo_labels")
        options = [
            f"--{key.replace('_', '-')}={self.folder / given[key]}.h5"
            for key in files
            if key in given
        ]
        output = f"--output={self.folder / output}.h5"
        main([name, *options, "--settings", json.dumps(settings), output])

    def trained(self, method, adapt="clean", change=lambda _: None):
        """Return the probes of a method, by the commands of the workflow."""
        inputs = {"text": "text", "adapt": adapt}
        if method == "soft":
            labels = {"text": "text", "features": adapt, "labelling": "soft"}
            self.command("pseudo-labels", "labels", change, **labels)
            inputs["pseudo_labels"] = "labels"
        self.command("train-probe", f"{method}-{adapt}", change, method=method, **inputs)
        return read_probes(self.folder / f"{method}-{adapt}.h5")[0]

    def probe(self, **settings):
        return LabelFreeProbe(
            self.text, scale=SCALE, class_names=NAMES, **{"random_state": SEEDS, **settings}
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def guarded(run):
    return run.probe().fit(run.images)


def assert_same(probes, expected):
    """Compare all that a file of probes holds."""
    for name, values in vars(expected).items():
        found = getattr(probes, name)
        if isinstance(values, pd.DataFrame):
            pd.testing.assert_frame_equal(found, values, check_dtype=False)
        elif isinstance(values, np.ndarray):
            np.testing.assert_array_equal(found, values)
        elif name != "strong_policy":  # unknown of arrays
            assert found == values


def test_the_guarded_probe_is_that_of_the_workflow_bit_for_bit(run, guarded):
    expected = run.trained("lp_clip_guarded")
    assert_same(guarded.probes_, expected)
    assert not np.array_equal(expected.weight[-1, 0], expected.weight[-1, 1])  # seeds differ
    np.testing.assert_array_equal(guarded.probe_.weight, expected.weight[-1, 0])


def test_a_probe_that_learned_soft_labels_is_that_of_the_workflow_bit_for_bit(run):
    settings = {"labelling": {"labels": "soft"}, "rounds": 2}
    found = run.probe(method="self_training", settings=settings).fit(run.images)
    assert_same(found.probes_, run.trained("soft"))
    assert found.decision_ is None


@pytest.mark.parametrize("method", ["lp_clip_guarded", "soft"])
def test_weak_and_strong_views_give_what_they_give_in_the_workflow(run, method):
    rng = np.random.default_rng(0)
    weak, strong = (
        (run.images + sigma * rng.normal(size=(2, *run.images.shape))).astype(np.float16)
        for sigma in (0.1, 0.5)
    )
    clean = run.folder / "clean.h5"
    provenance = read_provenance(clean)
    write_features(
        run.folder / "adapt.h5",
        samples=read_samples(run.folder / "samples.h5", labels=False),
        versions={"weak": 2, "strong": 2},
        parts=[np.concatenate([weak, strong])],
        provenance={
            **{key: provenance[key] for key in ("model", "weights", "dataset", "index")},
            "views": '{"strong": {"policy": "disjoint"}, "weak": {}}',
        },
    )

    def change(settings):
        inner = settings.get("settings", settings)
        for one in inner.get("trained", {"own": inner}).values():
            if "student_view" in one:
                one |= {"student_view": "strong", "teacher_view": "weak", **QUICK}
        if "view" in inner:
            inner["view"] = "weak"

    expected = run.trained(method, "adapt", change)
    quick = {"student_view": "strong", **QUICK}
    settings = {"trained": {name: {**one, **quick} for name, one in CANDIDATES.items()}}
    if method == "soft":
        settings = {"labelling": {"labels": "soft"}, **quick}
    kind = "self_training" if method == "soft" else "guarded"
    probe = run.probe(method=kind, settings=settings).fit(run.images, weak=weak, strong=strong)
    assert_same(probe.probes_, expected)
    without = run.probe(method=kind, settings=settings).fit(run.images)
    assert not np.array_equal(without.probe_.weight, probe.probe_.weight)


def test_no_label_is_read(run, guarded):
    again = run.probe().fit(run.images, np.array(NAMES)[run.labels])
    np.testing.assert_array_equal(again.probe_.weight, guarded.probe_.weight)


def test_the_guards_decision_is_in_words_and_numbers(run, guarded):
    decision = guarded.decision_
    assert isinstance(decision, GuardDecision)
    assert (decision.ships, decision.reason) == ("adapted", "")
    assert decision.candidate in CANDIDATES
    assert decision.gain_low < decision.estimated_gain < decision.gain_high
    assert str(decision).startswith(
        f"Ships a head 75% of the way from zero-shot to {decision.candidate}"
    )
    few = run.probe().fit(run.images[:20])
    assert few.decision_.ships == "zero_shot"
    assert "there are 20 images to learn from" in str(few.decision_)
    np.testing.assert_array_equal(few.probe_.weight, run.head.weight)


def test_predictions_are_names_and_probabilities(run, guarded):
    zero_shot = run.head.weight @ read_features(run.folder / "clean.h5", "clean", expected={}).T
    before = np.mean(zero_shot.argmax(axis=0) == run.labels)
    assert guarded.score(run.images, np.array(NAMES)[run.labels]) > before + 0.01
    probabilities = guarded.predict_proba(run.images)
    np.testing.assert_allclose(
        probabilities, softmax(guarded.decision_function(run.images), axis=1)
    )
    np.testing.assert_array_equal(
        guarded.predict(run.images), np.array(NAMES)[probabilities.argmax(axis=1)]
    )
    np.testing.assert_allclose(
        guarded.decision_function(100 * run.images.astype(float)),
        guarded.probe_.logits(run.images),
        atol=1e-3,
    )


def test_without_names_classes_are_numbers(run):
    probe = LabelFreeProbe(run.text, settings=QUICK_GUARD).fit(run.images)
    np.testing.assert_array_equal(probe.classes_, range(len(NAMES)))
    assert set(probe.predict(run.images)) <= set(range(len(NAMES)))


def test_settings_left_out_are_those_of_the_default_configuration():
    methods = DEFAULT["methods"]
    assert methods["lp_clip_guarded"]["candidates"] == list(CANDIDATES)
    for name, settings in CANDIDATES.items():
        given = {key: value for key, value in methods[name].items() if key != "kind"}
        given["labelling"] = asdict(Labelling(**DEFAULT["labellings"][given["labelling"]]))
        assert settings == given


IGNORES_LABELS = "no label is read: y may be anything, and its classes are not those of the head"
FAILS = dict.fromkeys(
    [
        "check_classifiers_one_label",
        "check_classifiers_classes",
        "check_classifiers_train",
        "check_classifiers_regression_target",
        "check_supervised_y_no_nan",
        "check_supervised_y_2d",
    ],
    IGNORES_LABELS,
)


class AnyWidth(LabelFreeProbe):
    """Has text features as wide as the data of each check."""

    def _head(self):
        text = np.random.default_rng(0).normal(size=(2, self.n_features_in_))
        return LabelFreeProbe(text, scale=20)._head()


def test_scikit_learns_checks_pass_but_those_of_labels():
    # Both methods have these in common; without structure they are quick.
    labelling = CANDIDATES["lp_clip"]["labelling"]
    settings = {**QUICK, "labelling": labelling}
    probe = AnyWidth(np.eye(2), method="self_training", settings=settings)
    results = check_estimator(probe, expected_failed_checks=FAILS, on_skip=None, on_fail="raise")
    status = {}
    for result in results:
        status.setdefault(result["status"], set()).add(result["check_name"])
    assert status["xfail"] == set(FAILS)
    assert status.get("skipped", set()) <= {"check_array_api_input"}
    assert len(status["passed"]) > 40


def test_it_is_a_classifier_that_needs_no_labels(run, guarded):
    assert is_classifier(guarded)
    assert not guarded.__sklearn_tags__().target_tags.required
    copied = pickle.loads(pickle.dumps(clone(guarded).set_params(settings=QUICK_GUARD)))
    assert copied.fit(run.images).predict(run.images[:2]).shape == (2,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "guardd"}, r"no method 'guardd'\. Did you mean 'guarded'\?"),
        ({"settings": {"adaptors": []}}, r"no setting 'adaptors'\. Did you mean 'adapters'\?"),
        ({"settings": {"candidates": ["mine"]}}, r"settings\.trained has no candidate 'mine'"),
        ({"method": "self_training", "settings": {"rounds": 0}}, "settings: rounds is 0"),
        ({"class_names": ["a", "b"]}, "one name, each another, for each of the 6 rows"),
        ({"class_names": ["a"] * 6}, "not 6 with 1 different"),
        ({"text_features": np.zeros((2, 32))}, "2 of them of zeros"),
        ({"text_features": np.ones((1, 32))}, "two or more classes, not 1 row"),
        ({"scale": 0}, "scale takes a positive number, not 0"),
        ({"random_state": -1}, "random_state takes a whole number from 0 on"),
        ({"random_state": [1, 1]}, "several different ones"),
        ({"random_state": None}, "not None"),
    ],
)
def test_a_mistake_is_a_sentence(run, change, message):
    with pytest.raises(LpclipError, match=message):
        run.probe().set_params(**change).fit(run.images)


def test_features_of_another_shape_are_refused(run, guarded):
    with pytest.raises(ValueError, match="X has 5 features, but text_features have 32"):
        run.probe().fit(run.images[:, :5])
    with pytest.raises(ValueError, match="X has 5 features, but LabelFreeProbe is expecting 32"):
        guarded.predict(run.images[:, :5])
    with pytest.raises(ValueError, match=r"values above 1e\+15"):
        guarded.predict(1e20 * run.images.astype(float))
    with pytest.raises(ValueError, match="both weak and strong views, or neither"):
        run.probe().fit(run.images, weak=run.images[None])
    with pytest.raises(ValueError, match=r"strong has shape \(1, 9, 32\)"):
        run.probe().fit(run.images, weak=run.images[None], strong=run.images[None, :9])


def test_candidates_of_a_guard_learn_from_the_same_images(run):
    trained = {"one": QUICK, "two": {**QUICK, "student_view": "clean"}}
    probe = run.probe(settings={"trained": trained, "candidates": ["one", "two"]})
    views = run.images[None]
    with pytest.raises(LpclipError, match="either all or none have student_view: clean"):
        probe.fit(run.images, weak=views, strong=views)


def test_importing_lpclip_imports_neither_pytorch_nor_scikit_learn():
    script = (
        "import sys, lpclip\n"
        "heavy = {'torch', 'sklearn', 'pandas', 'h5py'}\n"
        "assert not heavy & sys.modules.keys()\n"
        "lpclip.LabelFreeProbe\n"
        "assert 'sklearn' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
