"""What is kept of too many images."""

import numpy as np

from lpclip.utils.thinning import order_of_keeping, shares


def test_what_is_kept_depends_on_the_ids_alone_and_looks_random():
    ids = [f"image-{number}" for number in range(1000)]
    kept = {ids[row] for row in order_of_keeping(ids)[:100]}
    backwards = ids[::-1]
    assert kept == {backwards[row] for row in order_of_keeping(backwards)[:100]}
    # 100 of 1000 at random: about 50 of the first half.
    assert 30 < sum(one in kept for one in ids[:500]) < 70


def test_shares_are_as_equal_as_the_sizes_allow():
    assert shares([5, 5], at_most=100) == [5, 5]
    assert shares([1000, 10, 1000], at_most=100) == [45, 10, 45]
    assert shares([1000, 1000, 1000], at_most=100) == [33, 33, 34]
    assert shares([], at_most=3) == []
    for at_most in range(1, 40):
        found = shares([7, 20, 11], at_most=at_most)
        assert sum(found) == min(at_most, 38)
        assert np.all(np.array(found) <= [7, 20, 11])
