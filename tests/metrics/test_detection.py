"""Detection metrics, compared with scikit-learn with ties, imbalance and tiny sets."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from lpclip.metrics.detection import detection_metrics


def by_scikit_learn(ids, oods):
    is_id = np.r_[np.ones(len(ids), int), np.zeros(len(oods), int)]
    scores = np.r_[ids, oods]

    def fpr95(is_positive, scores):
        fpr, tpr, _ = roc_curve(is_positive, scores, drop_intermediate=False)
        return fpr[np.flatnonzero(tpr >= 0.95)[0]]

    return {
        "auroc": roc_auc_score(is_id, scores),
        "aupr_in": average_precision_score(is_id, scores),
        "aupr_out": average_precision_score(1 - is_id, -scores),
        "fpr95_id_pos": fpr95(is_id, scores),
        "fpr95_ood_pos": fpr95(1 - is_id, -scores),
    }


@pytest.mark.parametrize("levels", [None, 2, 5, 50], ids=lambda levels: f"levels-{levels}")
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (20, 20), (899, 400), (40, 1000)])
def test_detection_agrees_with_scikit_learn(n, m, levels):
    random = np.random.default_rng(n + m)
    ids, oods = random.normal(1, 1, n), random.normal(0, 1, m)
    if levels is not None:
        ids, oods = np.round(ids * levels / 5), np.round(oods * levels / 5)
    expected = by_scikit_learn(ids, oods)
    ours = detection_metrics(ids, oods)
    assert list(ours) == list(expected)
    assert_allclose(list(ours.values()), list(expected.values()), rtol=1e-12, atol=1e-15)


def test_the_two_fpr95_conventions_differ_and_trade_places_when_the_sets_do():
    random = np.random.default_rng(0)
    ids, oods = random.normal(1, 0.3, 500), random.normal(0, 2, 500)
    ours, swapped = detection_metrics(ids, oods), detection_metrics(-oods, -ids)
    assert abs(ours["fpr95_id_pos"] - ours["fpr95_ood_pos"]) > 0.1
    assert ours["fpr95_id_pos"] == swapped["fpr95_ood_pos"]
    assert ours["aupr_in"] == swapped["aupr_out"]
    assert ours["auroc"] == swapped["auroc"]


def test_the_threshold_is_the_first_point_that_reaches_95_percent():
    # 19 of 20 in-distribution scores are 95 %; of 19, all are needed, and two OOD scores pass.
    ids = np.r_[np.full(19, 5.0), 1.0]
    oods = np.array([4.0, 3.0, 0.0, 0.0])
    assert detection_metrics(ids, oods)["fpr95_id_pos"] == 0.0
    assert detection_metrics(ids[1:], oods)["fpr95_id_pos"] == 0.5


def test_extreme_separations_have_extreme_values():
    apart = detection_metrics(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert list(apart.values()) == [1.0, 1.0, 1.0, 0.0, 0.0]
    wrong_way = detection_metrics(np.array([0.0]), np.array([1.0]))
    assert wrong_way["auroc"] == 0.0
    same = detection_metrics(np.full(6, 0.5), np.full(2, 0.5))
    assert list(same.values()) == [0.5, 0.75, 0.25, 1.0, 1.0]


def test_infinite_scores_are_tied_with_each_other():
    assert detection_metrics(np.array([np.inf]), np.array([np.inf]))["auroc"] == 0.5


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_an_empty_side_gives_nan(n, m):
    values = detection_metrics(np.zeros(n), np.zeros(m)).values()
    assert len(values) == 5
    assert np.isnan(list(values)).all()


def test_nan_and_matrices_are_refused():
    with pytest.raises(ValueError, match="without nan"):
        detection_metrics(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match="vector"):
        detection_metrics(np.zeros((2, 2)), np.zeros(2))


def test_half_precision_scores_agree_too():
    random = np.random.default_rng(2)
    ids, oods = (random.normal(centre, 1, 300).astype(np.float16) for centre in (1, 0))
    expected = by_scikit_learn(ids.astype(np.float64), oods.astype(np.float64))
    assert_allclose(list(detection_metrics(ids, oods).values()), list(expected.values()))
