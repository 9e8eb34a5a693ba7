"""Matching a dataset's classes with a benchmark's, and the effect on labels and logits."""

import json

import numpy as np
import pandas as pd
import pytest

from lpclip.data import imagenet
from lpclip.data.class_matching import (
    check_same_images,
    group_logits,
    labels_if_any,
    match_classes,
    read_labels,
)
from lpclip.errors import LpclipError
from lpclip.storage.samples import write_samples

DIGITS = ["zero", "one", "two"]


def write_index(path, labels, names, paths=None, kind="folder"):
    samples = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(len(labels))],
            "path": paths or [f"{i}" for i in range(len(labels))],
            "label": np.asarray(labels, np.int32),
        }
    )
    provenance = {"class_names": json.dumps(names), "source": json.dumps({"kind": kind})}
    write_samples(path, samples, provenance)
    return path


@pytest.mark.parametrize(
    ("names", "class_names", "groups"),
    [
        (["two", "zero"], DIGITS, ((2,), (0,))),
        (["Two", "one_"], DIGITS, ((2,), (1,))),
        (["sea_lion", "fur-seal"], ["fur seal", "sea lion"], ((1,), (0,))),
        (["b", "B"], ["a", "B", "b"], ((2,), (1,))),  # names differ only in case
        (["cafe\u0301", "zero"], ["zero", "Caf\u00e9"], ((1,), (0,))),  # two encodings of é
        (["0", "1", "10", "2"], list("abcd"), ((0,), (1,), (3,), (2,))),
        (["1", "10", "2"], DIGITS, ((0,), (2,), (1,))),
        (["two | zero", "one"], DIGITS, ((2, 0), (1,))),
    ],
)
def test_classes_are_found_by_name_else_by_number(names, class_names, groups):
    assert match_classes(names, class_names) == groups


def test_folders_of_wordnet_ids_are_imagenets_classes():
    ids = imagenet.synsets()
    assert ids == tuple(sorted(ids))
    expected = tuple((ids.index(name),) for name in imagenet.synsets("imagenet_a"))
    assert match_classes(imagenet.synsets("imagenet_a"), imagenet.names()) == expected
    assert match_classes(imagenet.synsets("imagenet_a"), ids) == expected
    numbered = sorted(map(str, range(1000)))  # as ImageNet-V2's folders, in alphabetical order
    assert match_classes(numbered, imagenet.names()) == tuple((int(n),) for n in numbered)


@pytest.mark.parametrize(
    ("names", "class_names", "sentence"),
    [
        (["two", "tree"], ["one", "two", "three"], "its class 'tree' is not .* mean 'three'"),
        (["x", "y"], DIGITS, "has 2 classes .x, y., the benchmark 3 class names"),
        (["hund", "katze", "maus"], ["cat", "dog", "mouse"], "no name is in both. Match them with"),
        (["0", "1", "2", "3"], DIGITS, "If its labels count from 1, subtract 1: numbers index"),
        (["n99999999"], imagenet.names(), "its class 'n99999999' is not among"),
        (["Two", "two"], DIGITS, "several of its classes are the class 'two'"),
        (["two | one", "one"], DIGITS, "several of its classes are the class 'one'"),
    ],
)
def test_a_class_that_the_benchmark_does_not_have_is_named(names, class_names, sentence):
    with pytest.raises(LpclipError, match=sentence):
        match_classes(names, class_names)


def test_labels_are_told_in_the_benchmarks_classes(tmp_path):
    path = write_index(tmp_path / "s.h5", [0, 1, -1, 1], ["two", "zero"])
    labels = read_labels(path, DIGITS)
    assert labels.of_benchmark.tolist() == [2, 0, -1, 0]
    assert labels.is_subset
    assert not read_labels(path, ["zero", "two"]).is_subset
    assert labels.restricted(np.array([0, 1, 2, -1])).tolist() == [1, -1, 0, -1]


def test_several_classes_for_one_label_are_none_of_them_alone(tmp_path):
    labels = read_labels(write_index(tmp_path / "s.h5", [0, 1], ["two | zero", "one"]), DIGITS)
    assert labels.of_benchmark.tolist() == [-1, 1]
    assert labels.restricted(np.array([0, 1, 2])).tolist() == [0, 1, 0]
    assert labels.is_subset


def test_labels_of_other_classes_judge_nothing(tmp_path):
    path = write_index(tmp_path / "s.h5", [0, 1], ["cat", "dog"])
    assert labels_if_any(path, DIGITS).tolist() == [-1, -1]
    assert labels_if_any(path, ["dog", "cat", "cow"]).tolist() == [1, 0]
    with pytest.raises(LpclipError, match=r"s\.h5: it has 2 classes"):
        read_labels(path, DIGITS)


def test_a_group_is_predicted_where_any_of_its_classes_is_the_best():
    logits = np.random.default_rng(0).normal(size=(200, 6))
    groups = ((4, 1), (0,), (5, 3))
    best = [max((4, 1, 0, 5, 3), key=row.__getitem__) for row in logits]
    expected = [next(g for g, group in enumerate(groups) if index in group) for index in best]
    assert group_logits(logits, groups).argmax(axis=1).tolist() == expected


@pytest.mark.parametrize(
    ("labels", "paths", "kind", "sentence"),
    [
        ([0, 1, 2, 2], None, "folder", "other numbers of each class"),
        ([1, 0, 2, 1], ["a", "b", "c", "d"], "arrays", "other labels at the same places"),
        ([1, 0], ["w/0.JPEG", "v/1.JPEG"], "folder", "'0.JPEG' has another label in"),
    ],
)
def test_published_corruptions_of_other_images_are_refused(tmp_path, labels, paths, kind, sentence):
    clean = [f"x/{i}.JPEG" for i in range(4)] if kind == "folder" else None
    test = write_index(tmp_path / "test.h5", [0, 1, 1, 2], DIGITS, clean, kind)
    official = write_index(tmp_path / "official.h5", labels, DIGITS, paths)
    with pytest.raises(LpclipError, match=sentence):
        check_same_images(official, test, DIGITS)
    same = write_index(tmp_path / "same.h5", [0, 1, 1, 2], ["0", "1", "2"], clean)
    check_same_images(same, test, DIGITS)
