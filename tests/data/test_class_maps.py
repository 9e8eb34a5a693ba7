"""Class maps rename classes, and labels follow their class."""

import json

import open_clip
import pytest
from PIL import Image
from timm.data import ImageNetInfo

from lpclip.data.base import UNLABELLED, Sample
from lpclip.data.class_maps import MappedSource, read_class_map
from lpclip.errors import LpclipError


class Fake:
    """A source for tests that use only its labels."""

    def __init__(self, names):
        self.class_names = names

    def samples(self):
        labels = [*range(len(self.class_names or ())), UNLABELLED]
        return [Sample(f"id-{label}", f"path-{label}", label) for label in labels]

    def read(self, path):
        return Image.new("RGB", (len(path), 1))


MAP = {"n1": "dog", "n2": "cat", "n3": "dog"}


def labels(source):
    return [sample.label for sample in source.samples()]


def test_classes_are_renamed_and_equal_names_become_one_class():
    source = MappedSource(Fake(["n1", "n2", "n3"]), MAP)
    assert source.class_names == ["dog", "cat"]
    assert labels(source) == [0, 1, 0, UNLABELLED]
    assert source.read("path").size == (4, 1)


def test_ids_and_paths_stay():
    fake = Fake(["n2", "n3"])
    source = MappedSource(fake, MAP)
    assert [sample[:2] for sample in source.samples()] == [s[:2] for s in fake.samples()]
    assert source.class_names == ["cat", "dog"]


def test_a_class_that_is_not_in_the_map_is_refused():
    source = MappedSource(Fake(["n1", "n4"]), MAP)
    with pytest.raises(LpclipError, match=r"class 'n4' is not in class_map\. Available: n1, n2"):
        _ = source.class_names
    source = MappedSource(Fake(["n0144076"]), "imagenet")
    with pytest.raises(LpclipError, match=r"in class_map imagenet\. Did you mean 'n0144076\d'"):
        _ = source.class_names


def test_an_unlabelled_source_has_nothing_to_rename():
    with pytest.raises(LpclipError, match="there are none"):
        _ = MappedSource(Fake(None), MAP).class_names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.json", json.dumps(MAP)),
        ("map.csv", "name,folder\n dog,n1\ncat,n2\ndog,n3\n"),
        ("map.txt", "n1 dog\n\nn2\tcat\nn3  dog \n"),
    ],
)
def test_maps_are_read_from_files(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_class_map(str(tmp_path / name)) == MAP


@pytest.mark.parametrize("name", ["map.csv", "map.json", "map.txt"])
def test_maps_may_be_utf_16_and_their_columns_have_semicolons(tmp_path, name):
    texts = {
        "map.csv": "folder;name\nn1;dög, big\n",
        "map.json": json.dumps({"n1": "dög, big"}, ensure_ascii=False),
        "map.txt": "n1 dög, big\n",
    }
    (tmp_path / name).write_text(texts[name], encoding="utf-16")
    assert read_class_map(str(tmp_path / name)) == {"n1": "dög, big"}


def test_names_of_several_words_are_kept_whole(tmp_path):
    (tmp_path / "synsets.txt").write_text("n01440764 tench, Tinca tinca\n007 null\n")
    expected = {"n01440764": "tench, Tinca tinca", "007": "null"}
    assert read_class_map(str(tmp_path / "synsets.txt")) == expected
    (tmp_path / "m.csv").write_text('folder,name\nn01440764,"tench, Tinca tinca"\n007,null\n')
    assert read_class_map(str(tmp_path / "m.csv")) == expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("map.json", "[1]", "must be an object"),
        ("map.json", "{", "cannot be read"),
        ("map.json", '{"n1": 3}', "must be text, not 3"),
        ("map.csv", "id,name\nn1,dog\n", "has no column 'folder'"),
        ("map.csv", "folder,name\nn1,\n", "must be text, not ''"),
        ("map.csv", "folder,name,name\nn1,dog,cat\n", "the column 'name' twice, in places 2 and 3"),
        ("map.json", '{"n1": "dog", "n1": "cat"}', "the folder 'n1' twice, with different names"),
        ("map.json", "[" * 100_000, "cannot be read"),
        ("map.txt", "n1\n", "'n1' has no name"),
        ("map.txt", "n1 dog\nn1 cat\n", "'n1' twice"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(LpclipError, match=sentence):
        read_class_map(str(tmp_path / name))


def test_a_name_that_is_no_file_may_be_a_misspelt_set():
    with pytest.raises(LpclipError, match=r"'imagent', which is no file\. Did you mean 'imagenet'"):
        read_class_map("imagent")


def test_wordnet_ids_get_the_names_of_open_clip_and_keep_their_labels():
    ids = ImageNetInfo("imagenet-1k").label_names()
    source = MappedSource(Fake(ids), "imagenet")
    assert list(source.class_names) == list(open_clip.IMAGENET_CLASSNAMES)
    # Two names occur twice; their classes still remain separate.
    assert len(set(source.class_names)) == 998
    assert labels(source) == [*range(1000), UNLABELLED]
    some = MappedSource(Fake(["n01443537", "n02099601"]), "imagenet")
    assert list(some.class_names) == ["goldfish", "Golden Retriever"]
