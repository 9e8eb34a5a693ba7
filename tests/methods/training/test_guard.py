"""The guard's estimate and its decision."""

from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from lpclip.columns.guard import GUARD
from lpclip.methods.training import guard
from lpclip.methods.training.evidence import Evidence
from lpclip.methods.training.guard import (
    ADAPTED,
    DOUBT,
    LEAST_AGREEMENT,
    LEAST_CLASSES,
    LEAST_IMAGES,
    STRENGTHS,
    TRUST,
    WORTH,
    ZERO_SHOT,
    Candidate,
    Estimate,
    Worth,
    decide,
    mean_evidence,
)

NEUTRAL = Evidence(
    change=0.2,
    neighbours=0.0,
    posterior=0.0,
    gaussian=0.0,
    others=0.0,
    zero_shot_agreement=0.9,
    support=1.0,
    images_per_class=40.0,
)
GOOD = replace(NEUTRAL, neighbours=0.9, posterior=0.8, gaussian=0.9, others=1.0)
BAD = replace(NEUTRAL, neighbours=0.0, posterior=-0.8, gaussian=-0.9, others=-1.0)
ENOUGH = {"images": 400, "classes": 10}


def candidate(name="own", evidence=GOOD, *, kind="auto", collapsed=False, **by_strength):
    found = dict.fromkeys(STRENGTHS, evidence)
    found |= {float(key): one for key, one in by_strength.items()}
    return Candidate(name, kind, found, collapsed)


def test_the_estimate_is_linear_per_changed_prediction():
    worth = Worth(0.1, 0.2, 0.3, 0.4, -0.05, 0.0, 1.0)
    evidence = replace(
        NEUTRAL, change=0.5, neighbours=0.6, posterior=-0.1, gaussian=0.2, others=0.3, support=0.6
    )
    per_change = 0.01 + 0.1 * 0.6 - 0.2 * 0.1 + 0.3 * 0.2 + 0.4 * 0.3 - 0.05 * 0.4
    assert worth.estimate(evidence, 0.01).gain == pytest.approx(0.5 * per_change)


def test_the_interval_is_so_many_deviations_wide_and_widens_with_what_changes():
    worth = Worth(0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 2.0)
    found = worth.estimate(replace(NEUTRAL, change=0.36), 0.1)
    assert found.deviation == pytest.approx(0.06)
    assert (found.low, found.high) == pytest.approx((0.036 - 0.12, 0.036 + 0.12))


@pytest.mark.parametrize("seed", range(5))
def test_no_estimate_exceeds_the_share_of_predictions_that_change(seed):
    rng = np.random.default_rng(seed)
    # Worths far beyond the fitted ones, so that only the limit keeps the estimate there.
    worths = [WORTH, Worth(*rng.uniform(-5, 5, 5), *rng.uniform(0, 5, 2))]
    assert len(worths) == len(fields(Worth)) - 5
    for worth in worths:
        for _ in range(100):
            evidence = Evidence(
                change=rng.choice([0, 0.03, rng.random()]),
                neighbours=rng.random(),
                posterior=rng.uniform(-1, 1),
                gaussian=rng.uniform(-1, 1),
                others=rng.uniform(-1, 1),
                zero_shot_agreement=rng.random(),
                support=rng.random(),
                images_per_class=rng.uniform(1, 500),
            )
            found = worth.estimate(evidence, rng.uniform(-2, 2))
            assert -evidence.change <= found.low <= found.gain <= found.high <= evidence.change


def test_a_head_that_changes_nothing_gains_nothing_and_zero_shot_is_shipped():
    unchanged = replace(GOOD, change=0.0)
    own = candidate(evidence=unchanged)
    assert own.estimate(0.75) == Estimate(0.0, 0.0, 0.0, 0.0)
    found = decide([own], **ENOUGH)
    assert (found.strength, found.reason) == (0.0, "no estimated gain is sure enough")


def test_what_speaks_for_the_head_raises_the_estimate_and_absent_classes_lower_it():
    at_first = WORTH.estimate(NEUTRAL, 0.0).gain
    for name in ("neighbours", "posterior", "gaussian", "others"):
        assert WORTH.estimate(replace(NEUTRAL, **{name: 0.5}), 0.0).gain > at_first
    assert WORTH.estimate(replace(NEUTRAL, support=0.5), 0.0).gain < at_first
    assert candidate(evidence=BAD).estimate(0.75).gain < 0 < candidate().estimate(0.75).gain


def test_a_kind_that_is_not_known_is_trusted_as_little_as_the_least():
    unknown = candidate(evidence=NEUTRAL, kind="inmap").estimate(0.5).gain
    known = {kind: candidate(evidence=NEUTRAL, kind=kind).estimate(0.5).gain for kind in TRUST}
    assert unknown == min(known.values()) < max(known.values())


@pytest.mark.parametrize(("deviations", "ships"), [(0.9, False), (1.1, True)])
def test_doubt_about_the_gain_keeps_zero_shot(deviations, ships):
    deviation = 0.02
    gain = deviations * DOUBT * deviation
    assert gain > 0
    assert Estimate(gain, gain - 0.03, gain + 0.03, deviation).ships == ships


def test_the_same_gain_is_shipped_only_where_the_estimate_is_sure(monkeypatch):
    decisions = []
    for variance in (0.0, 0.05):
        worth = Worth(0.0, 0.0, 0.0, 0.0, 0.0, variance, 1.6)
        monkeypatch.setattr(guard, "WORTH", worth)
        decisions.append(decide([candidate(evidence=NEUTRAL)], **ENOUGH))
    sure, unsure = decisions
    assert sure.table["estimated_gain"].tolist() == unsure.table["estimated_gain"].tolist()
    assert (sure.table["estimated_gain"] > 0).all()
    assert sure.strength > 0 == unsure.strength
    assert unsure.reason == "no estimated gain is sure enough"


def test_the_first_candidate_that_is_sure_enough_is_shipped():
    good, better = replace(GOOD, others=0.5), GOOD
    first, second = candidate("first", good), candidate("second", better)
    assert second.estimate(0.75).gain > first.estimate(0.75).gain
    assert decide([first, second], **ENOUGH).candidate == "first"
    assert decide([second, first], **ENOUGH).candidate == "second"
    assert decide([candidate("bad", BAD), first, second], **ENOUGH).candidate == "first"


def test_where_zero_shot_is_kept_the_most_promising_candidate_is_named():
    bad, worse = replace(BAD, others=-0.5), BAD
    found = decide([candidate("worse", worse), candidate("bad", bad)], **ENOUGH)
    assert (found.candidate, found.strength) == ("bad", 0.0)


def test_a_collapsed_candidate_is_never_shipped():
    collapsed = candidate("collapsed", GOOD, collapsed=True)
    fair = candidate("fair", replace(GOOD, others=0.5))
    assert decide([collapsed, fair], **ENOUGH).candidate == "fair"
    bad = candidate("bad", BAD)
    found = decide([collapsed, bad], **ENOUGH)
    assert (found.candidate, found.strength) == ("bad", 0.0)
    found = decide([collapsed], **ENOUGH)
    assert found.strength == 0
    assert found.reason == "the training of every candidate collapsed"


@pytest.mark.parametrize(
    ("support", "strength"),
    [(1.0, 0.75), (0.7, 0.75), (0.6, 0.5), (0.4, 0.5), (0.3, 0.25), (0.05, 0.25), (0.0, 0.25)],
)
def test_a_head_goes_less_far_the_fewer_classes_are_supported(support, strength):
    found = decide([candidate(evidence=replace(GOOD, support=support))], **ENOUGH)
    assert (found.candidate, found.strength, found.reason) == ("own", strength, "")


def test_the_estimate_that_counts_is_that_of_the_strength_that_is_shipped():
    full = candidate("own", BAD, **{"0.75": GOOD})
    assert decide([full], **ENOUGH).strength == 0.75
    half = candidate("own", GOOD, **{"0.75": BAD})
    assert decide([half], **ENOUGH).strength == 0.0


@pytest.mark.parametrize(
    ("evidence", "given", "reason"),
    [
        (GOOD, {"images": LEAST_IMAGES - 1}, "there are 29 images to learn from, fewer than 30"),
        (
            GOOD,
            {"classes": LEAST_CLASSES - 1},
            "images of 2 classes are confirmed by their neighbours, fewer than 3",
        ),
        (
            replace(GOOD, zero_shot_agreement=LEAST_AGREEMENT - 0.1),
            {},
            f"zero-shot gives one class to {LEAST_AGREEMENT - 0.1:.0%} of neighbouring images, "
            f"less than {LEAST_AGREEMENT:.0%}, so it distinguishes too little",
        ),
        (GOOD, {"reason": "there is one class"}, "there is one class"),
    ],
)
def test_too_little_to_learn_from_keeps_zero_shot_in_words(evidence, given, reason):
    found = decide([candidate(evidence=evidence)], **{**ENOUGH, **given})
    assert (found.strength, found.reason) == (0.0, reason)
    assert set(found.table["reason"]) == {reason}
    assert set(found.table["decision"]) == {ZERO_SHOT}
    limits = {"images": LEAST_IMAGES, "classes": LEAST_CLASSES}
    enough = replace(evidence, zero_shot_agreement=LEAST_AGREEMENT)
    assert decide([candidate(evidence=enough)], **limits).strength > 0


def test_the_table_has_a_row_per_candidate_and_strength():
    others = [candidate("own"), candidate("stata", BAD, kind="stata")]
    found = decide(others, **ENOUGH)
    table = found.table
    assert set(table) | {"model", "benchmark", "method"} == set(GUARD.names)
    expected = [(name, strength) for name in ("own", "stata") for strength in STRENGTHS]
    assert list(zip(table["candidate"], table["strength"], strict=True)) == expected
    assert set(table["decision"]) == {ADAPTED}
    assert set(table["reason"]) == {"-"}
    assert set(table["chosen_candidate"]) == {"own"}
    assert set(table["chosen_strength"]) == {0.75}
    row = table.iloc[-1]
    estimate = others[1].estimate(STRENGTHS[-1])
    shown = tuple(row[["estimated_gain", "gain_low", "gain_high"]])
    assert shown == (estimate.gain, estimate.low, estimate.high)
    assert row[list(asdict(BAD))].to_dict() == asdict(BAD)


def test_evidence_is_averaged_over_seeds():
    found = mean_evidence([GOOD, BAD, replace(NEUTRAL, change=0.5)])
    assert found.change == pytest.approx(0.3)
    assert found.posterior == pytest.approx(0)
    assert found.neighbours == pytest.approx(0.3)
