"""The supervised reference is scikit-learn's logistic regression, as the weights of a probe."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lpclip.errors import LpclipError
from lpclip.methods.kinds.supervised import Settings, fit
from lpclip.methods.training import regression
from tests.helpers.labelled import MODEL, SCALE, D, softmax, world

ONE_C = Settings(log10_c_low=-1.0, log10_c_high=-1.0, c_steps=1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(tmp_path, n_classes):
    head, inputs, features, labels = world(tmp_path, n_classes)
    probes = fit(head, inputs, ONE_C, [0])
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(features * SCALE, labels)
    logits = SCALE * features @ probes.weight[1, 0].T + probes.bias[1, 0]
    assert probes.weight.shape == (2, 1, n_classes, D)
    np.testing.assert_allclose(softmax(logits), expected.predict_proba(features * SCALE), atol=2e-4)
    assert np.mean(logits.argmax(axis=1) == labels) > 0.7


def test_c_is_chosen_on_held_out_labels_and_all_labels_are_fitted(tmp_path, caplog):
    head, inputs, features, labels = world(tmp_path, 3)
    caplog.set_level("INFO", logger="lpclip.methods.training.regression")
    settings = Settings(log10_c_low=-6, log10_c_high=2, c_steps=5)
    probes = fit(head, inputs, settings, [7])
    c = float(re.search(r"C = (\S+),", caplog.text).group(1))
    assert min(abs(np.log10(c) - np.linspace(-6, 2, 5))) < 0.01
    expected = LogisticRegression(C=c, max_iter=1000).fit(features * SCALE, labels)
    logits = SCALE * features @ probes.weight[1, 0].T + probes.bias[1, 0]
    np.testing.assert_allclose(softmax(logits), expected.predict_proba(features * SCALE), atol=1e-2)


def test_every_c_of_the_sweep_is_fitted_as_it_would_be_alone(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.normal(size=(60, 8)) + 2 * np.eye(3, 8)[labels]
    fitted = []

    def fit(*given):
        fitted.append(alone(*given))
        return fitted[-1]

    alone = regression._regression
    monkeypatch.setattr(regression, "_regression", fit)
    sweep = regression.Sweep(c_steps=5)
    half = np.arange(60) < 30
    regression.choose_c(features, labels, [(np.flatnonzero(half), np.flatnonzero(~half))], sweep)
    assert len(fitted) == 5
    for model in fitted:
        again = LogisticRegression(C=model.C, max_iter=1000).fit(features[half], labels[half])
        np.testing.assert_array_equal(model.coef_, again.coef_)


def test_round_0_is_zero_shot_and_every_label_is_counted(tmp_path):
    head, inputs, _, labels = world(tmp_path, 3)
    probes = fit(head, inputs, ONE_C, [0, 5])
    assert probes.n_labels == len(labels)
    assert probes.seeds == (0, 5)
    np.testing.assert_array_equal(probes.weight[0, 1], head.weight)
    assert probes.rounds["round"].tolist() == [0, 0, 1, 1]
    assert probes.pseudo_labels is None


def test_images_without_a_label_are_left_out_and_not_counted(tmp_path, caplog):
    head, inputs, features, labels = world(tmp_path, 3, [0, 1, 2, -1, 1] * 12)
    caplog.set_level("INFO", logger="lpclip.methods.training.labelled")
    probes = fit(head, inputs, ONE_C, [0])
    assert probes.n_labels == 48
    assert "left out 12 of 60 images, which have no label" in caplog.text
    known = labels >= 0
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(features[known] * SCALE, labels[known])
    logits = SCALE * features @ probes.weight[1, 0].T + probes.bias[1, 0]
    np.testing.assert_allclose(softmax(logits), expected.predict_proba(features * SCALE), atol=2e-4)


def test_the_same_seed_gives_the_same_bits(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    settings = replace(ONE_C, log10_c_high=1.0, c_steps=3)
    one, two = (fit(head, inputs, settings, [3]).weight for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([-1] * 24, "no image has one. Remove the method"),
        ([0, 1, -1] * 6, "class 2 has 0 labelled images; the method needs 2 of every class"),
        ([0, 1, 2, 3] * 6, "its class 'd' is not among the benchmark's 3 class names"),
        ([0, 1] * 10 + [2], "class 2 has 1 labelled images; the method needs 2"),
    ],
)
def test_labels_that_do_not_suffice_are_refused(tmp_path, labels, sentence):
    head, inputs, _, _ = world(tmp_path, 3, labels)
    with pytest.raises(LpclipError, match=sentence):
        fit(head, inputs, ONE_C, [0])


def test_features_of_another_model_are_refused(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    other = replace(head, expected={**MODEL, "weights": "77c1"})
    with pytest.raises(LpclipError, match="made with weights '3f9a', not '77c1'"):
        fit(other, inputs, ONE_C, [0])
