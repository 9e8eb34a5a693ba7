"""The source `features`: ids, labels and class names of a feature file."""

import json

import numpy as np
import pandas as pd
import pytest

from lpclip.data.base import UNLABELLED
from lpclip.data.index import index_samples
from lpclip.data.registry import has_images, open_source
from lpclip.errors import LpclipError
from lpclip.storage.features import write_features
from lpclip.storage.hdf5 import read_provenance
from lpclip.storage.samples import fingerprint, read_samples, write_samples

N = 6
VALUES = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
TEXT = ["dog", "cat", "dog", "cat", "dog", "cat"]


@pytest.fixture
def path(tmp_path):
    np.savez(
        tmp_path / "f.npz",
        img=VALUES,
        text_labels=TEXT,
        byte_labels=np.array(TEXT, dtype="S"),
        labels=np.array([0, 1, 2, 1, 0, -1]),
        floats=np.arange(N) / 2,
        names=["a", "b", "c"],
        few=np.arange(3),
        ids=[f"x{row}" for row in range(N)],
        twice=["x"] * N,
    )
    return tmp_path / "f.npz"


def source(path, **settings):
    return open_source("features", {"path": str(path), "key": "img", **settings})


def labels(opened):
    return [sample.label for sample in opened.samples()]


def test_rows_are_samples_in_their_order_without_labels(path):
    opened = source(path)
    assert opened.class_names is None
    assert [sample.id for sample in opened.samples()][:2] == ["row-000000", "row-000001"]
    assert [sample.path for sample in opened.samples()] == list("012345")
    assert set(labels(opened)) == {UNLABELLED}


def test_ids_are_taken_where_they_are_named(path):
    assert source(path, ids="ids").samples()[3].id == "x3"


@pytest.mark.parametrize("key", ["text_labels", "byte_labels"])
def test_text_is_numbered_by_the_alphabet_or_in_the_order_of_class_names(path, key):
    assert source(path, labels=key).class_names == ["cat", "dog"]
    assert labels(source(path, labels=key)) == [1, 0, 1, 0, 1, 0]
    given = source(path, labels=key, class_names=["dog", "bird", "cat"])
    assert labels(given) == [0, 2, 0, 2, 0, 2]
    assert list(given.class_names) == ["dog", "bird", "cat"]


def test_numbers_are_indices_of_class_names(path):
    assert labels(source(path, labels="labels")) == [0, 1, 2, 1, 0, UNLABELLED]
    assert source(path, labels="labels").class_names == ["0", "1", "2"]
    assert source(path, labels="labels", class_names="names").class_names == ["a", "b", "c"]


def test_columns_may_lie_in_other_files(path, tmp_path):
    np.save(tmp_path / "img.npy", VALUES)
    pd.DataFrame({"what": TEXT}).to_csv(tmp_path / "unused.csv")
    np.save(tmp_path / "labels.npy", np.array([1, 0] * 3))
    opened = open_source(
        "features",
        {
            "path": str(tmp_path / "img.npy"),
            "labels": {"path": str(tmp_path / "labels.npy")},
            "ids": {"path": str(path), "key": "ids"},
        },
    )
    assert labels(opened) == [1, 0] * 3
    assert opened.samples()[0].id == "x0"
    names = [file.name for file in opened.files()]
    assert names == ["img.npy", "f.npz", "labels.npy"]


def test_an_lpclip_cache_with_its_index_is_a_labelled_dataset(tmp_path):
    samples = pd.DataFrame({"id": [f"i{n}" for n in range(N)], "path": "p"})
    index = {"index": fingerprint(samples)}
    write_features(
        tmp_path / "clean.h5",
        samples=samples,
        versions={"clean": 0},
        parts=[VALUES.astype(np.float16)[None]],
        provenance=index,
    )
    names = {"class_names": json.dumps(["a", "b"])}
    for name, provenance in (("s.h5", index), ("other.h5", {"index": "77"})):
        write_samples(tmp_path / name, samples.assign(label=np.arange(N) % 2), provenance | names)

    def opened(name):
        where = {"path": str(tmp_path / name), "key": "label"}
        settings = {"path": str(tmp_path / "clean.h5"), "labels": where}
        return open_source("features", settings)

    assert opened("s.h5").samples()[1] == ("i1", "1", 1)
    with pytest.raises(LpclipError, match=r"other\.h5 is the index 77, but .*clean\.h5 was made"):
        opened("other.h5")


def test_there_are_no_pixels(path):
    assert not has_images({"kind": "features"})
    assert has_images({"kind": "digits"})
    with pytest.raises(LpclipError, match="row 3 has no pixels, which weak and strong views"):
        source(path).read("3")


def test_the_index_holds_the_labels(path, tmp_path):
    settings = {"kind": "features", "path": str(path), "key": "img", "labels": "text_labels"}
    index_samples(output=tmp_path / "s.h5", dataset="d", source=settings)
    frame = read_samples(tmp_path / "s.h5", labels=True)
    assert list(frame["label"]) == [1, 0, 1, 0, 1, 0]
    assert json.loads(read_provenance(tmp_path / "s.h5")["class_names"]) == ["cat", "dog"]
    with pytest.raises(LpclipError, match="two images with the id 'x'"):
        index_samples(output=tmp_path / "t.h5", dataset="d", source=settings | {"ids": "twice"})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"key": "imgs"}, "no array 'imgs'. Did you mean 'img'"),
        ({"labels": "label"}, "Did you mean 'labels'"),
        ({"labels": "few"}, "'few' has 3 labels for 6 rows of 'img'"),
        ({"ids": "few"}, "'few' has 3 ids for 6 rows"),
        ({"labels": "img"}, "'img' has shape"),
        ({"labels": {"pth": "x"}}, "no setting 'pth'. Did you mean 'path'"),
        ({"labels": {"key": "x"}}, "'labels' lacks the setting 'path'"),
        ({"labels": {"path": "gone.npz"}}, "'gone.npz' does not exist"),
        ({"label": "labels"}, "no setting 'label'. Did you mean 'labels'"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_read(path, settings, sentence):
    with pytest.raises(LpclipError) as error:
        source(path, **settings)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"labels": "floats"}, "'floats' is float64, but labels are whole numbers or text"),
        ({"labels": "labels", "class_names": ["a", "b"]}, "labels -1 to 2, but there are 2 class"),
        (
            {"labels": "text_labels", "class_names": ["dogs", "cat"]},
            "the label 'dog', which is no class name. Did you mean 'dogs'",
        ),
        ({"labels": "labels", "class_names": ["a", "a", "b"]}, "has a name twice"),
    ],
)
def test_labels_that_do_not_fit_are_refused(path, settings, sentence):
    with pytest.raises(LpclipError) as error:
        source(path, **settings).samples()
    assert sentence in str(error.value)
