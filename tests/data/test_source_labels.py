"""Text and numeric labels as indices into class names."""

import numpy as np
import pytest

from lpclip.data.label_values import label_index, named_classes, numbers_or_text
from lpclip.errors import LpclipError


def index(values, names):
    values = np.array(values)
    return label_index(values, named_classes(values, names, where="x"), where="x").tolist()


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        (["dog", "cat", "", "dog"], None, [1, 0, -1, 1]),
        (["dog", "cat", "", "dog"], ["dog", "cow", "cat"], [0, 2, -1, 0]),
        ([2, 0, -1], None, [2, 0, -1]),
        (np.array([2, 0], dtype=np.uint8), ["a", "b", "c"], [2, 0]),
    ],
)
def test_labels_are_names_or_indices(values, names, expected):
    assert index(values, names) == expected


def test_a_number_that_no_image_has_is_a_class_where_a_larger_one_is():
    assert named_classes(np.array([3, 1]), None, where="x") == ["0", "1", "2", "3"]


def test_a_number_that_is_no_class_does_not_become_a_billion_classes():
    with pytest.raises(LpclipError, match=r"x has the label 1000000000. .* Is it another column"):
        named_classes(np.array([3, 1_000_000_000]), None, where="x")


def test_text_of_whole_numbers_is_taken_for_numbers_only_where_nothing_is_lost():
    assert numbers_or_text(["2", "10", "", None], None).tolist() == [2, 10, -1, -1]
    for texts in (["01", "1"], ["1.0", "2"], ["+1"], ["1", "one"], ["²"], ["1e3"], ["1 "]):
        assert numbers_or_text(texts, None).tolist() == texts


def test_small_unsigned_numbers_name_their_classes():
    assert index(np.array([2, 0], dtype=np.uint8), None) == [2, 0]


def test_class_names_that_are_digits_are_names():
    assert index(numbers_or_text(["7", "1"], ["1", "7"]), ["1", "7"]) == [1, 0]
    assert index(numbers_or_text(["1", "0"], ["one", "two"]), ["one", "two"]) == [1, 0]


def test_a_warning_says_that_labels_from_1_on_leave_class_0_empty(caplog):
    assert index([1, 2, -1], ["a", "b", "c"]) == [1, 2, -1]
    assert "labels 1 to 2: they are taken to count from 0, so that class 0 ('a') is" in caplog.text
    caplog.clear()
    assert index([0, 2], ["a", "b", "c"]) == [0, 2]
    assert index([2, 3], None) == [2, 3]
    assert index([-1, -1], ["a"]) == [-1, -1]
    assert not caplog.text


@pytest.mark.parametrize(
    ("values", "names", "sentence"),
    [
        (["dog"], ["dogs"], "x has the label 'dog', which is no class name. Did you mean 'dogs'"),
        ([0, 3], ["a", "b"], "x has labels 0 to 3, but there are 2 class names"),
        ([-2, 0], ["a", "b"], "x has labels -2 to 0"),
        ([0.5], None, "x is float64, but labels are whole numbers or text"),
        (["a"], ["a", "b", "a"], "class_names has a name twice, 'a' (1 and 3)."),
        ([0], ["a", " "], "class_names: name 2 is empty"),
        ([1, 2], ["a", "b"], "or -1 for none. Do they count from 1? Then subtract 1."),
        ([0], [*map(str, range(999)), "0"], "give the benchmark class_names: imagenet"),
    ],
)
def test_labels_that_are_no_class_are_refused(values, names, sentence):
    with pytest.raises(LpclipError) as error:
        index(values, names)
    assert sentence in str(error.value)
