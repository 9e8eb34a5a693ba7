"""Few-shot heads are trained on all of the shots and on no other labels."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from lpclip.errors import LpclipError
from lpclip.methods.kinds import few_shot, supervised
from lpclip.methods.kinds.few_shot import Settings, fit
from tests.helpers.labelled import SCALE, softmax, world, write_samples


@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_shot_is_the_plain_regression_on_unit_features(tmp_path, n_classes):
    head, inputs, features, labels = world(tmp_path, n_classes)
    probes = fit(head, inputs, Settings(shots=1, one_shot_c=2.0), [4])
    shots = probes.labels_seen[0]
    plain = LogisticRegression(C=2.0, max_iter=1000, tol=1e-8).fit(features[shots], labels[shots])
    logits = SCALE * features @ probes.weight[1, 0].T + probes.bias[1, 0]
    np.testing.assert_allclose(softmax(logits), plain.predict_proba(features), atol=5e-3)


def test_c_has_the_best_accuracy_in_cross_validation_over_the_shots(tmp_path):
    head, inputs, features, labels = world(tmp_path, 3)
    settings = Settings(shots=8, log10_c_low=-6, log10_c_high=0, c_steps=4)
    probes = fit(head, inputs, settings, [1])
    shots = probes.labels_seen[0]
    x, y = features[shots] * SCALE, labels[shots]
    folds = StratifiedKFold(4, shuffle=True, random_state=1)
    grid = [LogisticRegression(C=c, max_iter=1000) for c in np.logspace(-6, 0, 4)]
    logits = SCALE * features @ probes.weight[1, 0].T + probes.bias[1, 0]
    best = max(
        grid,
        key=lambda model: (
            cross_val_score(model, x, y, cv=folds).mean(),
            cross_val_score(model, x, y, cv=folds, scoring="neg_log_loss").mean(),
        ),
    )
    expected = best.fit(x, y).predict_proba(features * SCALE)
    np.testing.assert_allclose(softmax(logits), expected, atol=2e-3)


@pytest.mark.parametrize("shots", [1, 2, 4, 8, 16])
def test_every_class_gives_as_many_labels_as_there_are_shots(tmp_path, shots):
    head, inputs, _, labels = world(tmp_path, 3)
    probes = fit(head, inputs, Settings(shots=shots, c_steps=2), [0, 1])
    assert probes.n_labels == 3 * shots
    for seen in probes.labels_seen:
        assert np.bincount(labels[seen]).tolist() == [shots] * 3
    assert not np.array_equal(*probes.labels_seen)


def test_fewer_shots_are_among_more(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    few, more = (
        fit(head, inputs, Settings(shots=shots, c_steps=2), [0]).labels_seen for shots in (2, 8)
    )
    assert not (few & ~more).any()


def test_labels_beyond_the_shots_change_nothing(tmp_path):
    head, inputs, _, labels = world(tmp_path, 3)
    settings = Settings(shots=4, c_steps=3)
    before = fit(head, inputs, settings, [0])
    seen = before.labels_seen[0]
    write_samples(inputs["samples"], np.where(seen, labels, -1), "abc")
    after = fit(head, inputs, settings, [0])
    np.testing.assert_array_equal(before.weight, after.weight)
    write_samples(inputs["samples"], np.where(seen, (labels + 1) % 3, -1), "abc")
    assert not np.array_equal(before.weight, fit(head, inputs, settings, [0]).weight)


def test_the_same_seed_gives_the_same_bits_alone_or_beside_another(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3)
    settings = Settings(shots=4, c_steps=3)
    both, alone = (fit(head, inputs, settings, seeds) for seeds in ([2, 3], [3]))
    np.testing.assert_array_equal(both.weight[:, 1], alone.weight[:, 0])


def test_too_few_labels_of_a_class_are_refused(tmp_path):
    head, inputs, _, _ = world(tmp_path, 3, [0, 1] * 10 + [2] * 3)
    with pytest.raises(LpclipError, match="class 2 has 3 labelled images; the method needs 4"):
        fit(head, inputs, Settings(shots=4), [0])


def test_a_supervised_method_sees_the_share_of_labels_that_it_is_given(tmp_path):
    head, inputs, _, labels = world(tmp_path, 3)
    sweep = {"log10_c_low": -1.0, "log10_c_high": -1.0, "c_steps": 1}
    probes = supervised.fit(head, inputs, supervised.Settings(**sweep, label_share=0.4), [0, 1])
    assert probes.n_labels == 36
    assert np.bincount(labels[probes.labels_seen[1]]).tolist() == [12] * 3
    # The same sampling as for the shots.
    shots = few_shot.fit(head, inputs, Settings(**sweep, shots=12), [0, 1])
    np.testing.assert_array_equal(probes.labels_seen, shots.labels_seen)
