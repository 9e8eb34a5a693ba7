"""Classes with equal text features are rejected; nearly equal ones are reported."""

import numpy as np
import pytest

from lpclip.errors import LpclipError
from lpclip.features import text_checks
from lpclip.features.text_checks import check_distinct


@pytest.fixture
def rows():
    """Return 600 unit vectors of float32, more than two blocks."""
    rows = np.random.default_rng(0).normal(size=(600, 32))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


NAMES = [f"class {row}" for row in range(600)]


def turned(row, by):
    """Return a unit vector whose cosine with a row is 1 minus ``by``."""
    row = row.astype(np.float64) / np.linalg.norm(row.astype(np.float64))
    across = np.roll(row, 1) - (np.roll(row, 1) @ row) * row
    return (1 - by) * row + np.sqrt(1 - (1 - by) ** 2) * across / np.linalg.norm(across)


def test_classes_that_differ_pass_without_a_word(rows, caplog):
    rows[599] = turned(rows[3], by=0.0011)
    check_distinct(rows, NAMES, where="w")
    assert caplog.text == ""


@pytest.mark.parametrize("by", [0, 1e-7])
def test_all_classes_of_a_kind_are_named_wherever_they_are(rows, by):
    for row in (10, 300, 599):
        rows[row] = turned(rows[2], by=by)
    with pytest.raises(LpclipError) as error:
        check_distinct(rows, NAMES, where="t.npz: 'text'")
    assert str(error.value).startswith(
        "t.npz: 'text': 4 classes have the same text features ('class 2', 'class 10', 'class 300', "
        "'class 599'), so the head "
    )


def test_a_row_in_half_precision_is_the_row(rows):
    rows[500] = rows[499].astype(np.float16)
    with pytest.raises(LpclipError, match="'class 499', 'class 500'"):
        check_distinct(rows, NAMES, where="w")


def test_the_reason_is_given_for_two_classes_of_other_names(rows):
    rows[5] = rows[4] = rows[1]
    names = [*NAMES[:4], NAMES[1], *NAMES[5:]]
    with pytest.raises(LpclipError, match=r"distinguish them\. Why 1 5\? Give them"):
        check_distinct(rows, names, where="w", reason=lambda a, b: f"Why {a} {b}? ")


def test_nearly_the_same_classes_are_named_the_nearest_first(rows, caplog):
    for row, like, by in ((100, 7, 1e-4), (400, 9, 9e-4), (401, 8, 1e-5)):
        rows[row] = turned(rows[like], by=by)
    check_distinct(rows, NAMES, where="w")
    assert caplog.messages == [
        "w: 3 pairs of classes with nearly the same text features, which the head hardly "
        "distinguishes: 'class 8' and 'class 401' (cosine 0.999990); 'class 7' and 'class 100' "
        "(cosine 0.999900); 'class 9' and 'class 400' (cosine 0.999100)"
    ]


def test_a_name_that_stands_for_two_classes_is_warned_of(rows, caplog):
    rows[300] = rows[2]
    names = [*NAMES[:300], NAMES[2], *NAMES[301:]]
    check_distinct(rows, names, where="w")
    assert "w: classes 2 and 300 have the same name, 'class 2'" in caplog.text


def test_no_more_than_a_few_pairs_are_listed(rows, caplog):
    for row in range(20, 40):
        rows[row] = turned(rows[row - 20], by=1e-4)
    check_distinct(rows, NAMES, where="w")
    assert "w: 20 pairs" in caplog.text
    assert caplog.text.count("cosine") == text_checks._SHOWN
    assert "; …" in caplog.text
