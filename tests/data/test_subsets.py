"""Subsets of datasets: deterministic, nested, in the order of the full dataset."""

from collections import Counter

import pytest

from lpclip.data.base import UNLABELLED, Sample
from lpclip.data.subsets import Stratified, choose
from lpclip.errors import LpclipError
from lpclip.utils.settings import build

SIZES = {0: 40, 1: 9, 2: 1, UNLABELLED: 20}
SAMPLES = [
    Sample(f"{label}/{i}", f"root/{label}/{i}.png", label)
    for label, n in SIZES.items()
    for i in range(n)
]


def chosen(samples=SAMPLES, *, limit=None, seed=0, **stratified):
    how = build(Stratified, stratified, where="stratified") if stratified else None
    return choose(samples, limit=limit, stratified=how, seed=seed)


def test_without_settings_everything_stays():
    assert chosen() == SAMPLES


def test_a_limit_is_kept_and_the_order_too():
    found = chosen(limit=30)
    assert len(found) == 30
    assert found == [sample for sample in SAMPLES if sample in found]
    assert chosen(limit=1000) == SAMPLES


def test_a_limit_does_not_take_the_first_classes_alone():
    assert len({sample.label for sample in chosen(limit=30)}) >= 3


def test_a_smaller_subset_is_part_of_a_larger_one():
    for small, large in [
        (chosen(limit=5), chosen(limit=30)),
        (chosen(per_class=3), chosen(per_class=8)),
        (chosen(share=0.2), chosen(share=0.5)),
        (chosen(share=0.5, limit=10), chosen(share=0.5)),
    ]:
        assert set(small) < set(large)


def test_the_seed_and_nothing_else_changes_the_draw():
    assert chosen(limit=30) == chosen(limit=30)
    assert chosen(limit=30) != chosen(limit=30, seed=1)
    backwards = chosen(SAMPLES[::-1], limit=30)
    assert sorted(backwards) == sorted(chosen(limit=30))


def test_every_class_gives_the_same_number_or_all_it_has():
    counts = Counter(sample.label for sample in chosen(per_class=8))
    assert counts == {0: 8, 1: 8, 2: 1, UNLABELLED: 8}


def test_every_class_gives_the_same_share_and_never_nothing():
    counts = Counter(sample.label for sample in chosen(share=0.25))
    assert counts == {0: 10, 1: 2, 2: 1, UNLABELLED: 5}
    assert chosen(share=1) == SAMPLES


def test_other_images_do_not_change_whether_one_stays():
    fewer = [sample for sample in SAMPLES if sample.label != 0]
    of_one = [sample for sample in chosen(per_class=4) if sample.label == 1]
    assert [sample for sample in chosen(fewer, per_class=4) if sample.label == 1] == of_one


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"per_class": 0}, "per_class is 0"),
        ({"share": 1.5}, "share is 1.5"),
        ({"share": 0.5, "per_class": 1}, "either per_class or share"),
    ],
)
def test_impossible_sizes_are_refused(settings, sentence):
    with pytest.raises(LpclipError, match=sentence):
        chosen(**settings)


@pytest.mark.parametrize(
    "how", [{"share": 0.5}, {"share": 0.3}, {"per_class": 2}, {"per_class": 99}]
)
def test_the_rest_is_what_is_left_out_of_every_class(how):
    first, rest = (chosen(seed=4, **how, rest=one) for one in (False, True))
    assert not set(first) & set(rest)
    assert sorted([*first, *rest]) == sorted(SAMPLES)
    assert rest == [sample for sample in SAMPLES if sample in set(rest)]
    assert rest != chosen(seed=5, **how, rest=True) or not rest
