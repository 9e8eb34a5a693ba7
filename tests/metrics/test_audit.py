"""The gain from some labels: exact against enumeration and SciPy, as often right as promised."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from lpclip.metrics.audit import (
    Labelled,
    estimated_gain,
    interval_of_gain,
    interval_of_members,
    is_decided,
    labels_to_decide,
    probability_of_so_many,
)


def sample_of(outcomes, rows, images):
    values = np.asarray(outcomes)[list(rows)]
    counts = [int((values == value).sum()) for value in (1, -1, 0)]
    return Labelled(*counts, disagreements=len(outcomes), images=images)


def test_the_estimate_is_unbiased_over_all_samples_of_a_size():
    outcomes, images = [1, 1, 1, 1, -1, -1, 0, 0], 20
    for n in (1, 3, 7):
        found = [
            estimated_gain(sample_of(outcomes, rows, images)) for rows in combinations(range(8), n)
        ]
        assert np.mean(found) == pytest.approx(sum(outcomes) / images)
        assert n == 7 or np.std(found) > 0.05


@pytest.mark.parametrize(("total", "n"), [(1, 1), (7, 3), (40, 11), (500, 60)])
@pytest.mark.parametrize("side", [0.00125, 0.025])
def test_members_are_those_that_scipy_does_not_refuse(total, n, side):
    members = np.arange(total + 1)
    for found in range(n + 1):
        at_least = hypergeom.sf(found - 1, total, members, n)
        at_most = hypergeom.cdf(found, total, members, n)
        kept = np.flatnonzero((at_least > side) & (at_most > side))
        possible = kept[(kept >= found) & (kept <= total - n + found)]
        assert interval_of_members(found, n, total, side) == (possible.min(), possible.max())


def naive_interval(found, level):
    """Go through every number of decisive images and of wins."""
    error, kept = 1 - level, []
    decisive = found.wins + found.losses
    for total in range(found.disagreements + 1):
        n_decisive = hypergeom(found.disagreements, total, found.n)
        if min(n_decisive.sf(decisive - 1), n_decisive.cdf(decisive)) <= error / 40:
            continue
        wins = np.arange(total + 1)
        tails = (
            hypergeom.sf(found.wins - 1, total, wins, decisive),
            hypergeom.cdf(found.wins, total, wins, decisive),
        )
        kept += [2 * w - total for w in wins[np.minimum(*tails) > 0.95 * error / 2]]
    return min(kept) / found.images, max(kept) / found.images


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(
    "counts",
    [(0, 0, 0, 9), (3, 0, 0, 3), (2, 2, 1, 12), (7, 1, 3, 40), (1, 9, 0, 60), (9, 9, 2, 45)],
)
def test_the_interval_is_that_of_every_possible_pool(counts, level):
    found = Labelled(*counts, images=100)
    assert interval_of_gain(found, level) == pytest.approx(naive_interval(found, level))


@pytest.mark.parametrize("n", [1, 4, 9])
def test_the_interval_holds_the_gain_in_95_of_100_samples_of_every_pool(n):
    """By enumeration: every pool of 9 disagreements, every sample."""
    held = {}
    for wins in range(10):
        for losses in range(10 - wins):
            pool = (wins, losses, 9 - wins - losses)
            probability = 0.0
            for w in range(n + 1):
                for lost in range(n + 1 - w):
                    ways = math.prod(map(math.comb, pool, (w, lost, n - w - lost)))
                    if not ways:
                        continue
                    low, high = interval_of_gain(Labelled(w, lost, n - w - lost, 9, 9))
                    inside = low - 1e-9 <= (wins - losses) / 9 <= high + 1e-9
                    probability += inside * ways / math.comb(9, n)
            held[pool] = probability
    assert min(held.values()) >= 0.95 - 1e-9
    if n == 9:
        assert min(held.values()) == pytest.approx(1)


def test_all_labels_leave_no_doubt():
    found = Labelled(31, 30, 4, disagreements=65, images=1000)
    assert interval_of_gain(found) == (0.001, 0.001)
    assert probability_of_so_many(found) == 0
    assert probability_of_so_many(Labelled(30, 30, 0, 60, 100)) == 1


def test_the_interval_is_the_mirror_image_if_the_heads_change_places():
    one, other = (
        interval_of_gain(Labelled(*counts, 4, disagreements=3_000, images=9_000))
        for counts in ((60, 35), (35, 60))
    )
    assert one == pytest.approx((-other[1], -other[0]))


def test_so_many_wins_are_as_likely_as_coins_at_most_and_scipys_maximum():
    for wins, losses, neither, disagreements in ((5, 0, 0, 12), (9, 3, 4, 70), (30, 14, 0, 5_000)):
        found = Labelled(wins, losses, neither, disagreements, 10_000)
        decisive = wins + losses
        totals = np.arange(decisive, disagreements - neither + 1)
        exact = hypergeom.sf(wins - 1, totals, totals // 2, decisive).max()
        coins = binom.sf(wins - 1, decisive, 0.5)
        given = probability_of_so_many(found)
        assert exact * (1 - 1e-9) <= given <= coins * (1 + 1e-9)
        if disagreements < 1_000:
            assert given == pytest.approx(exact)


def test_few_labels_of_many_disagreements_still_give_an_interval_that_is_no_wider_than_possible():
    found = Labelled(52, 48, 0, disagreements=50_000, images=100_000)
    low, high = interval_of_gain(found)
    centre, spread = 0.5 * 0.04, 0.5 * 1.96 * math.sqrt(1 - 0.04**2) / 10
    assert low == pytest.approx(centre - spread, abs=0.01)
    assert high == pytest.approx(centre + spread, abs=0.01)


def test_the_labels_that_would_decide_do_so_and_fewer_do_not():
    found = Labelled(12, 6, 2, disagreements=400, images=1_000)
    more = labels_to_decide(found)
    assert 10 < more < 100

    def with_more(n):
        share = (found.n + n) / found.n
        wins, losses = round(12 * share), round(6 * share)
        return Labelled(wins, losses, found.n + n - wins - losses, 400, 1_000)

    assert is_decided(interval_of_gain(with_more(more)))
    assert not is_decided(interval_of_gain(with_more(more // 2)))
    assert labels_to_decide(Labelled(20, 1, 0, 400, 1_000)) == 0
    assert labels_to_decide(Labelled(5, 5, 0, 400, 1_000)) is None
    assert labels_to_decide(Labelled(0, 0, 0, 400, 1_000)) is None
    assert labels_to_decide(found, most=25) is None


def test_without_disagreements_or_labels_nothing_is_made_up():
    assert estimated_gain(Labelled(0, 0, 0, 0, 10)) == 0
    assert interval_of_gain(Labelled(0, 0, 0, 0, 10)) == (0, 0)
    assert math.isnan(estimated_gain(Labelled(0, 0, 0, 3, 10)))
    assert interval_of_gain(Labelled(0, 0, 0, 3, 10)) == (-0.3, 0.3)


@pytest.mark.parametrize("counts", [(3, 0, 0, 2, 9), (1, 0, 0, 9, 2), (-1, 1, 0, 3, 9)])
def test_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(ValueError, match=r"below 0|more labels than"):
        Labelled(*counts)
    with pytest.raises(ValueError, match="between 0 and 1"):
        interval_of_gain(Labelled(1, 0, 0, 2, 3), 95)
