"""The guard: each piece of evidence computed by hand, and the resulting decision."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from lpclip.columns.guard import GUARD
from lpclip.methods.labelling.structure import Structure
from lpclip.methods.training import guard
from lpclip.methods.training.guard import (
    ADAPTED,
    ZERO_SHOT,
    Evidence,
    Worth,
    decide,
    gather,
    log_odds,
)
from lpclip.storage.features import normalise
from lpclip.storage.probes import between

NOTHING = Evidence(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
FIELDS = tuple(asdict(NOTHING))
N, C = 8, 2


def as_logits(*per_view):
    """Return logits [V, N, C] that give each view the given class."""
    return np.eye(C)[np.array(per_view)]


@pytest.fixture
def blobs(monkeypatch):
    """Two blobs of four samples, one neighbour each; each half has two samples of each blob."""
    monkeypatch.setattr("lpclip.methods.labelling.structure.MOST_NEIGHBOURS", 1)
    # Neighbours are (0, 1), (2, 3), (4, 5), (6, 7).
    angles = np.radians([0, 2, 20, 22, 90, 92, 110, 112])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    structure = Structure(normalise(np.stack([circle, circle])))
    structure.__dict__["halves"] = np.array([1, 0, 1, 0, 1, 0, 1, 0], dtype=bool)
    np.testing.assert_array_equal(structure.neighbours[1][:, 0], np.arange(N) ^ 1)
    return structure


TRUTH = (0, 0, 0, 0, 1, 1, 1, 1)
ZERO = (0, 0, 0, 1, 1, 1, 1, 0)  # wrong for samples 3 and 7
WRONG = tuple(1 - c for c in TRUTH)


def evidence(
    structure,
    *,
    zero=(ZERO, ZERO),
    head=(TRUTH, TRUTH),
    one=TRUTH,
    two=TRUTH,
):
    return gather(
        structure,
        zero_shot=as_logits(*zero),
        head=as_logits(*head),
        first_half=as_logits(one, one),
        second_half=as_logits(two, two),
    )


def test_nothing_speaks_for_zero_shot_over_itself(blobs):
    itself = evidence(blobs, head=(ZERO, ZERO), one=ZERO, two=ZERO)
    # Agreement is not a difference: it is zero-shot's own.
    assert itself == replace(NOTHING, agreement=4 / 8)
    assert replace(evidence(blobs), agreement=0.0) != NOTHING


def test_nothing_speaks_for_zero_shot_over_itself_on_random_logits():
    rng = np.random.default_rng(0)
    structure = Structure(normalise(rng.normal(size=(3, 40, 6)).astype(np.float32)))
    logits = rng.normal(size=(3, 40, 5))
    same = dict.fromkeys(("zero_shot", "head", "first_half", "second_half"), logits)
    agreement = structure.agreement(logits.mean(axis=0).argmax(axis=1))
    nothing = gather(structure, **same)
    assert nothing == replace(NOTHING, agreement=agreement)
    other = gather(structure, **{**same, "head": rng.normal(size=logits.shape)})
    assert other.change > 0.5
    assert other.gaussian != 0
    assert other.halves == 0


def test_a_single_sample_is_evidence_of_nothing_but_itself():
    structure = Structure(np.ones((1, 1, 2), dtype=np.float32) / np.float32(np.sqrt(2)))
    one, other = np.eye(C)[[[0]]], np.eye(C)[[[1]]]
    found = gather(structure, zero_shot=one, head=other, first_half=one, second_half=other)
    assert np.isfinite(list(asdict(found).values())).all()
    assert (found.change, found.neighbours, found.agreement) == (1, 0, 0)


def test_change_is_the_share_for_which_the_head_differs(blobs):
    assert evidence(blobs).change == 2 / 8
    assert evidence(blobs, head=(WRONG, WRONG)).change == 6 / 8


def test_gaussian_is_agreement_with_gaussians_fitted_to_zero_shots_predictions(blobs):
    reader = blobs.gaussian_logits(np.eye(C)[list(ZERO)]).mean(axis=0).argmax(axis=1)
    ours = sum(r == t for r, t in zip(reader, TRUTH, strict=True)) / N
    theirs = sum(r == z for r, z in zip(reader, ZERO, strict=True)) / N
    assert evidence(blobs).gaussian == ours - theirs
    # The halves have no effect, and the head does not change the Gaussian classifier.
    assert evidence(blobs, one=WRONG, two=WRONG).gaussian == ours - theirs
    assert evidence(blobs, head=(WRONG, WRONG)).gaussian == 1 - ours - theirs
    assert evidence(blobs, head=(ZERO, ZERO)).gaussian == 0
    assert ours > theirs


def test_the_reader_is_fitted_to_zero_shot_and_reads_the_mean_of_the_views(blobs, monkeypatch):
    fitted_on = []

    def gaussian_logits(_, probabilities):
        fitted_on.append(probabilities)
        # Unlike the first view, the mean of the views predicts TRUTH except for sample 7.
        return as_logits(WRONG, WRONG) + 3 * as_logits(reader, reader)

    reader = (*TRUTH[:7], 0)
    monkeypatch.setattr(Structure, "gaussian_logits", gaussian_logits)
    # Differs from zero-shot on samples 3, 6 and 7, from the Gaussian classifier on 6 and 7.
    head = (0, 0, 0, 0, 1, 1, 0, 1)
    one, two = (1, 1, 0, 0, 1, 1, 1, 1), TRUTH  # they differ on samples 0 and 1
    found = evidence(blobs, head=(head, head), one=one, two=two)
    # Zero-shot differs from the Gaussian classifier only on sample 3.
    assert found.gaussian == 6 / 8 - 7 / 8
    # Heads not trained on the sample: two, one, two, one, ...: wrong for sample 1, and
    # different from zero-shot on 1, 3 and 7.
    assert found.halves == 6 / 8 - 5 / 8
    assert found.agreement == 6 / 8  # samples 6 and 7 are neighbours
    assert found.change == 3 / 8
    (probabilities,) = fitted_on
    np.testing.assert_array_equal(probabilities, np.eye(C)[list(ZERO)])


def test_halves_is_their_agreement_less_the_untrained_heads_with_zero_shot(blobs):
    # They differ only on sample 0.
    one, two = (1, 0, 0, 0, 1, 1, 1, 1), TRUTH
    # Samples 0, 2, 4, 6 are in the first half; head two was not trained on them.
    untrained = (two[0], one[1], two[2], one[3], two[4], one[5], two[6], one[7])
    with_zero = sum(s == z for s, z in zip(untrained, ZERO, strict=True)) / N
    assert with_zero == 6 / 8
    assert evidence(blobs, one=one, two=two).halves == 7 / 8 - 6 / 8
    # Swapped, the head not trained on sample 0 is the one that is wrong for it.
    assert evidence(blobs, one=two, two=one).halves == 7 / 8 - 5 / 8


def test_neighbours_are_zero_shots_votes_where_the_two_differ(blobs):
    # The neighbour of 3 is 2, with class 0 as the head predicts; that of 7 is 6, likewise.
    assert evidence(blobs).neighbours == 2 / 8
    # The other way round: votes of the truth for the head's wrong classes on 3 and 7.
    assert evidence(blobs, zero=(TRUTH, TRUTH), head=(ZERO, ZERO)).neighbours == -2 / 8
    # A head that changes both neighbours does not gain their votes.
    together = (0, 0, 1, 1, 1, 1, 1, 1)
    assert evidence(blobs, zero=(TRUTH, TRUTH), head=(together, together)).neighbours == -2 / 8


def test_agreement_is_the_share_of_neighbours_with_the_same_class(blobs):
    assert evidence(blobs).agreement == 1
    # Under zero-shot the pairs (2, 3) and (6, 7) disagree.
    assert evidence(blobs, head=(ZERO, ZERO)).agreement == 4 / 8
    assert evidence(blobs, zero=(TRUTH, TRUTH), head=(ZERO, ZERO)).agreement == 4 / 8


def test_views_are_agreement_of_versions_with_their_mean_less_zero_shots(blobs):
    shaky = (1, *TRUTH[1:])
    # A tie of two views goes to class 0: the second view disagrees with the mean on one sample.
    assert evidence(blobs, head=(TRUTH, shaky)).views == pytest.approx(-1 / 16)
    assert evidence(blobs, zero=(TRUTH, shaky)).views == pytest.approx(1 / 16)


def test_balance_is_entropy_of_the_classes_less_zero_shots(blobs):
    assert evidence(blobs).balance == 0
    uneven = (0, 0, 0, 0, 0, 0, 1, 1)
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert evidence(blobs, head=(uneven, uneven)).balance == pytest.approx(entropy - 1)


@pytest.fixture
def worth(monkeypatch):
    """Half-way gains twice the Gaussian evidence; all the way 3 x halves - 0.1."""
    table = {0.5: Worth(0.0, 2.0, 0.0, 0.0), 1.0: Worth(-0.1, 0.0, 3.0, 0.0)}
    monkeypatch.setattr(guard, "WORTH", table)


def test_the_gain_is_a_weighted_sum_with_the_log_odds_of_the_agreement():
    found = replace(NOTHING, gaussian=0.2, halves=-0.1, agreement=0.8, change=7.0, views=5.0)
    worth = Worth(constant=0.03, gaussian=2.0, halves=1.0, agreement=0.25)
    # The odds are 4 to 1.
    assert worth.gain(found) == pytest.approx(0.03 + 0.4 - 0.1 + 0.25 * 1.3862943611)
    assert worth.gain(replace(found, agreement=0.5)) == pytest.approx(0.33)
    assert worth.gain(replace(found, agreement=0.2)) == pytest.approx(0.33 - 0.25 * 1.3862943611)
    assert Worth(0.03, 0.0, 0.0, 0.0).gain(found) == 0.03


def test_log_odds_are_bounded_as_if_the_share_were_1_to_99_per_cent():
    assert log_odds(0.5) == 0
    assert log_odds(0.75) == pytest.approx(np.log(3))
    assert log_odds(0.02) == pytest.approx(-np.log(49))
    assert log_odds(0.98) == pytest.approx(np.log(49))
    for low, high in ((0.0, 1.0), (0.005, 0.995), (0.01, 0.99)):
        assert log_odds(low) == pytest.approx(-np.log(99))
        assert log_odds(high) == pytest.approx(np.log(99))


@pytest.mark.parametrize(
    ("gaussian", "halves", "decision", "strength"),
    [
        (0.1, 0.0, ADAPTED, 0.5),
        (0.1, 0.2, ADAPTED, 1.0),
        (0.0, 0.2, ADAPTED, 1.0),
        (1e-9, 0.0, ADAPTED, 0.5),  # there is no margin
        (0.0, 0.0, ZERO_SHOT, 0.0),  # half-way gains exactly nothing
        (-0.004, 0.032, ZERO_SHOT, 0.0),  # both lose, all the way the least
        (-0.3, -0.3, ZERO_SHOT, 0.0),
    ],
)
@pytest.mark.usefixtures("worth")
def test_the_strength_of_the_largest_gain_above_0_is_shipped(gaussian, halves, decision, strength):
    found = replace(NOTHING, gaussian=gaussian, halves=halves)
    made = decide([found])
    assert (made.decision, made.strength) == (decision, strength)
    assert made.estimated_gain == pytest.approx({0.5: 2 * gaussian, 1.0: 3 * halves - 0.1})
    assert made.evidence == found


@pytest.mark.usefixtures("worth")
def test_seeds_decide_together_by_their_mean():
    low, high = (replace(NOTHING, gaussian=value, views=value) for value in (-0.1, 0.2))
    made = decide([low, high])
    assert made.evidence.views == pytest.approx(0.05)
    assert made.estimated_gain[0.5] == pytest.approx(0.1)
    assert made.decision == ADAPTED
    assert decide([low, low]).decision == ZERO_SHOT


def test_every_field_is_the_mean_over_seeds_and_the_odds_are_those_of_the_mean(monkeypatch):
    monkeypatch.setattr(guard, "WORTH", {1.0: Worth(0.0, 0.0, 0.0, 1.0)})
    first = Evidence(0.1, 0.2, 0.5, 0.4, 0.5, 0.6, 0.7)
    second = Evidence(0.3, 0.0, 0.9, 0.0, -0.5, 0.0, 0.1)
    made = decide([first, second])
    mean = dict(zip(FIELDS, (0.2, 0.1, 0.7, 0.2, 0.0, 0.3, 0.4), strict=True))
    assert asdict(made.evidence) == pytest.approx(mean)
    assert made.estimated_gain == pytest.approx({1.0: np.log(7 / 3)})


def test_without_evidence_zero_shot_is_shipped(monkeypatch):
    monkeypatch.setattr(guard, "WORTH", dict.fromkeys((0.25, 0.5, 1.0), Worth(0.0, 1.0, 1.0, 0.1)))
    nothing = decide([replace(NOTHING, agreement=0.5)])
    assert (nothing.decision, nothing.strength) == (ZERO_SHOT, 0.0)
    assert nothing.estimated_gain == {0.25: 0.0, 0.5: 0.0, 1.0: 0.0}


def test_every_worth_is_of_evidence_that_exists_and_of_a_strength_that_adapts():
    assert guard.WORTH
    for strength, worth in guard.WORTH.items():
        assert 0 < strength <= 1
        assert set(asdict(worth)) - {"constant"} <= set(FIELDS)
        assert np.isfinite(list(asdict(worth).values())).all()


def test_between_ends_at_zero_shot_and_at_the_adapted_head_to_the_bit():
    zero, adapted = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(between(zero, adapted, 0.0), zero)
    np.testing.assert_array_equal(between(zero, adapted, 1.0), adapted)
    np.testing.assert_allclose(between(zero, adapted, 0.25), zero + (adapted - zero) / 4, rtol=1e-5)
    assert between(zero, adapted, 0.5).dtype == np.float32


@pytest.mark.usefixtures("worth")
def test_the_table_has_a_row_per_strength_and_the_columns_of_the_report():
    found = Evidence(0.1, 0.0, 0.9, 0.3, -0.2, 0.01, 0.02)
    table = decide([found]).table()
    assert tuple(table) == GUARD.names[3:]
    assert table["strength"].tolist() == [0.5, 1.0]
    assert table["estimated_gain"].tolist() == pytest.approx([0.2, -0.1])
    assert (table["chosen_strength"] == 0.5).all()
    assert (table["decision"] == "adapted").all()
    # The evidence does not depend on the strength.
    assert table[list(FIELDS)].to_dict("records") == [asdict(found)] * 2
